//! Socket.IO over Engine.IO 4, WebSockets only. A topic is a room, and what is told in it an event with one JSON value.

use std::path::Path;

use anyhow::{Context, ensure};
use serde::Deserialize;

use super::caller::{Client, Role, Topic};
use super::dialect::{Dialect, Heard, all};
use super::servers::{Program, Setup, write};

/// The server: as little as rooms on two processes need.
const SERVER: &str = include_str!("socketio.cjs");

/// What it uses.
const PACKAGES: [&str; 3] = ["socket.io", "@socket.io/redis-adapter", "redis"];

/// The frame of an event: a message (4) that is an event (2), its name, and the message itself.
const EVENT: &[u8] = br#"42["message","#;

#[derive(Debug)]
pub(super) struct SocketIo;

impl Dialect for SocketIo {
    fn path(&self, _: &Client) -> String {
        "/socket.io/?EIO=4&transport=websocket".to_owned()
    }

    fn opening(&self, _: &Client) -> Option<String> {
        Some("40".to_owned())
    }

    fn publication(&self, topic: &Topic, message: &str) -> String {
        format!(r#"42["publish","{}",{message}]"#, topic.name())
    }

    fn hear<'a>(&self, client: &Client, rest: &mut &'a [u8]) -> Heard<'a> {
        let text = all(rest);
        match text {
            [b'2'] => Heard::Asked("3".to_owned()),
            [b'0', ..] => Heard::Talk,
            [b'4', b'0', ..] if client.role == Role::Publish => Heard::In,
            [b'4', b'0', ..] => Heard::Asked(format!(r#"420["follow","{}"]"#, client.topic.name())),
            b"430[]" => Heard::In,
            _ => match text.strip_prefix(EVENT).and_then(|text| text.strip_suffix(b"]")) {
                Some(message) => Heard::Message(message),
                None => Heard::Refused(text),
            },
        }
    }
}

/// A process with the packages of `setup.node_modules`.
pub(super) fn server(setup: &Setup<'_>, number: usize) -> anyhow::Result<Program> {
    let script = write(setup.folder, "socketio.cjs", SERVER)?;
    let packages = setup.node_modules.context("Socket.IO needs its packages")?;
    let packages = std::path::absolute(packages)?.display().to_string();
    let redis = format!("redis://{}", setup.redis.context("Socket.IO needs Redis")?);
    let (host, port) = setup.addresses[number].split_once(':').context("an address has a port")?;
    let args = ["NODE_ENV=production", "node", &script, &packages, host, port, &redis];
    Ok(Program::new("env", args.map(str::to_owned)))
}

/// The versions of all packages.
pub(super) fn version(node_modules: Option<&Path>) -> anyhow::Result<String> {
    #[derive(Deserialize)]
    struct Package {
        version: String,
    }
    let missing = |what: &str| {
        let packages = PACKAGES.join(" ");
        format!("{what}: install npm's {packages}, and name the folder node_modules with --node-modules")
    };
    let folder = node_modules.with_context(|| missing("Socket.IO is not known to be installed"))?;
    let mut versions = Vec::new();
    for package in PACKAGES {
        let file = folder.join(package).join("package.json");
        let absent = || missing(&format!("{package} is not installed in {}", folder.display()));
        let text = std::fs::read_to_string(&file).with_context(absent)?;
        let Package { version } = serde_json::from_str(&text).with_context(|| file.display().to_string())?;
        versions.push(format!("{package} {version}"));
    }
    let node = std::process::Command::new("node").arg("--version").output();
    let node = node.context("Node.js is not installed: it is Debian's package nodejs")?;
    ensure!(node.status.success(), "Node.js does not tell its version");
    versions.push(format!("Node.js {}", String::from_utf8_lossy(&node.stdout).trim()));
    Ok(versions.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::dialect::tests::heard;

    fn client(role: Role) -> Client {
        Client { number: 1, role, topic: Topic::Own("a".to_owned()) }
    }

    #[test]
    fn a_follower_is_in_when_it_is_in_its_room() {
        let follower = client(Role::Follow);
        let open =
            r#"0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
        assert_eq!(heard(&SocketIo, &follower, open), [Heard::Talk]);
        let asked = Heard::Asked(r#"420["follow","a"]"#.to_owned());
        assert_eq!(heard(&SocketIo, &follower, r#"40{"sid":"y"}"#), [asked]);
        assert_eq!(heard(&SocketIo, &follower, "430[]"), [Heard::In]);
        assert_eq!(heard(&SocketIo, &client(Role::Publish), r#"40{"sid":"y"}"#), [Heard::In]);
    }

    #[test]
    fn messages_pings_and_errors_are_told_apart() {
        let follower = client(Role::Follow);
        assert_eq!(heard(&SocketIo, &follower, r#"42["message",{"a":1}]"#), [Heard::Message(br#"{"a":1}"#)]);
        assert_eq!(heard(&SocketIo, &follower, "2"), [Heard::Asked("3".to_owned())]);
        for text in [r#"44{"message":"no"}"#, r#"42["other",{}]"#, r#"42["message",{}"#, "1", "41"] {
            assert_eq!(heard(&SocketIo, &follower, text), [Heard::Refused(text.as_bytes())]);
        }
        assert_eq!(SocketIo.publication(&follower.topic, "{}"), r#"42["publish","a",{}]"#);
    }

    #[test]
    fn what_is_not_installed_is_named() {
        let empty = tempfile::tempdir().unwrap();
        for folder in [None, Some(empty.path())] {
            let refusal = version(folder).unwrap_err().to_string();
            assert!(refusal.contains("socket.io @socket.io/redis-adapter redis"), "{refusal}");
        }
    }
}
