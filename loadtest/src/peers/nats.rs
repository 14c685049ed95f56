//! NATS: a text protocol of lines, carried in WebSocket frames. A topic is a subject.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use super::caller::{Client, Role, Topic};
use super::dialect::{Dialect, Heard, all};
use super::link::Kind;
use super::servers::{Program, Setup, write};

const PROGRAM: &str = "nats-server";

/// Nothing is confirmed that need not be: this is how its own clients connect.
const CONNECT: &str =
    r#"CONNECT {"verbose":false,"pedantic":false,"lang":"signalbox-load","version":"1","protocol":1}"#;

#[derive(Debug)]
pub(super) struct Nats;

impl Dialect for Nats {
    fn path(&self, _: &Client) -> String {
        "/".to_owned()
    }

    fn kind(&self) -> Kind {
        Kind::Binary
    }

    fn opening(&self, client: &Client) -> Option<String> {
        // The answer to the ping tells that what came before was done.
        Some(match client.role {
            Role::Follow => format!("{CONNECT}\r\nSUB {} 1\r\nPING\r\n", client.topic.name()),
            Role::Publish => format!("{CONNECT}\r\nPING\r\n"),
        })
    }

    fn publication(&self, topic: &Topic, message: &str) -> String {
        format!("PUB {} {}\r\n{message}\r\n", topic.name(), message.len())
    }

    fn hear<'a>(&self, _: &Client, rest: &mut &'a [u8]) -> Heard<'a> {
        let whole = *rest;
        let Some((line, after)) = line(whole) else { return Heard::Refused(all(rest)) };
        *rest = after;
        match line.split(|byte| *byte == b' ').next().unwrap_or_default() {
            b"MSG" => match message(line, after) {
                Some((message, after)) => {
                    *rest = after;
                    Heard::Message(message)
                }
                None => Heard::Refused(whole),
            },
            b"PING" => Heard::Asked("PONG\r\n".to_owned()),
            b"PONG" => Heard::In,
            b"INFO" | b"+OK" => Heard::Talk,
            _ => Heard::Refused(line),
        }
    }
}

/// A line without its end, and what follows it.
fn line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| *byte == b'\n')?;
    Some((text[..end].strip_suffix(b"\r")?, &text[end + 1..]))
}

/// What a line such as `MSG <subject> <id> <bytes>` announces, and what follows it.
fn message<'a>(line: &[u8], after: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let bytes = line.rsplit(|byte| *byte == b' ').next()?;
    let bytes: usize = std::str::from_utf8(bytes).ok()?.parse().ok()?;
    let (message, after) = after.split_at_checked(bytes)?;
    Some((message, after.strip_prefix(b"\r\n")?))
}

/// Two servers of a cluster, each of which is told where the first one is.
pub(super) fn server(setup: &Setup<'_>, number: usize) -> anyhow::Result<Program> {
    let config = format!(
        "server_name: \"{number}\"\n\
         listen: \"127.0.0.1:{}\"\n\
         websocket {{ listen: \"{}\", no_tls: true, compression: false }}\n\
         cluster {{ name: load, listen: \"127.0.0.1:{}\", routes: [\"nats://127.0.0.1:{}\"] }}\n",
        setup.spare_ports[2 * number],
        setup.addresses[number],
        setup.spare_ports[2 * number + 1],
        setup.spare_ports[1],
    );
    let path = write(setup.folder, &format!("nats_{number}.conf"), &config)?;
    Ok(Program::new(PROGRAM, [String::from("-c"), path]))
}

pub(super) fn version() -> anyhow::Result<String> {
    const MISSING: &str = "nats-server is not installed: it is Debian's package nats-server";
    let output = Command::new(Path::new(PROGRAM)).arg("--version").output().context(MISSING)?;
    ensure!(output.status.success(), MISSING);
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::dialect::tests::heard;

    fn client() -> Client {
        Client { number: 1, role: Role::Follow, topic: Topic::Own("a".to_owned()) }
    }

    #[test]
    fn a_frame_holds_any_number_of_lines_and_messages() {
        let frame = "INFO {\"server_id\":\"x\"}\r\nPONG\r\nMSG a 1 5\r\nhe\r\no\r\nMSG a 1 0\r\n\r\nPING\r\n";
        assert_eq!(
            heard(&Nats, &client(), frame),
            [
                Heard::Talk,
                Heard::In,
                Heard::Message(b"he\r\no"),
                Heard::Message(b""),
                Heard::Asked("PONG\r\n".to_owned())
            ]
        );
    }

    #[test]
    fn what_is_cut_short_or_unknown_is_refused() {
        for frame in
            ["MSG a 1 5\r\nhell", "MSG a 1 5\r\nhello??", "MSG a 1 x\r\n", "MSG", "\r\n", "-ERR 'no'\r\n"]
        {
            let heard = heard(&Nats, &client(), frame);
            assert!(matches!(heard[0], Heard::Refused(_)), "{frame:?}: {heard:?}");
        }
    }

    #[test]
    fn a_message_is_announced_with_its_length() {
        assert_eq!(Nats.publication(&client().topic, "{}"), "PUB a 2\r\n{}\r\n");
        assert!(Nats.opening(&client()).unwrap().ends_with("\r\nSUB a 1\r\nPING\r\n"));
    }
}
