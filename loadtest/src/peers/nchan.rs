//! nchan: what is published at one address is told at another, each message in a frame. A topic is a channel.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use super::caller::{Client, Role, Topic};
use super::dialect::{Dialect, Heard, all};
use super::servers::{Program, Setup, write};

const MODULE: &str = "/usr/share/nginx/modules/ngx_nchan_module.so";

#[derive(Debug)]
pub(super) struct Nchan;

impl Dialect for Nchan {
    fn path(&self, client: &Client) -> String {
        let verb = match client.role {
            Role::Follow => "follow",
            Role::Publish => "publish",
        };
        format!("/{verb}/{}", client.topic.name())
    }

    fn opening(&self, _: &Client) -> Option<String> {
        None
    }

    fn welcomes(&self) -> bool {
        false
    }

    fn publication(&self, _: &Topic, message: &str) -> String {
        message.to_owned()
    }

    fn hear<'a>(&self, client: &Client, rest: &mut &'a [u8]) -> Heard<'a> {
        let text = all(rest);
        match client.role {
            Role::Follow => Heard::Message(text),
            // Every publication is answered with what became of its channel.
            Role::Publish if text.starts_with(b"queued messages:") => Heard::Talk,
            Role::Publish => Heard::Refused(text),
        }
    }
}

/// A server of one process. Redis hands messages on and does not store them, which is nchan's quickest way with a Redis; a
/// channel remembers enough messages for subscribers that are behind by as many as a run has under way.
pub(super) fn server(setup: &Setup<'_>, number: usize) -> anyhow::Result<Program> {
    let folder = setup.folder.display();
    let config = format!(
        "daemon off; master_process off; worker_processes 1;\n\
         pid {folder}/nchan_{number}.pid; error_log stderr warn;\n\
         load_module {MODULE};\n\
         events {{ worker_connections 16384; }}\n\
         http {{\n\
         access_log off; client_body_temp_path {folder};\n\
         nchan_shared_memory_size 256m; nchan_message_buffer_length 1024; nchan_message_timeout 10s;\n\
         upstream shared {{ nchan_redis_server redis://{};\n\
         nchan_redis_storage_mode nostore; nchan_redis_nostore_fastpublish on; }}\n\
         server {{\n\
         listen {} backlog=4096;\n\
         location ~ ^/follow/(.+)$ {{ nchan_subscriber websocket; nchan_subscriber_first_message newest;\n\
         nchan_channel_id $1; nchan_redis_pass shared; }}\n\
         location ~ ^/publish/(.+)$ {{ nchan_publisher websocket; nchan_channel_id $1; nchan_redis_pass shared; }}\n\
         }} }}\n",
        setup.redis.context("nchan needs Redis")?,
        setup.addresses[number],
    );
    let path = write(setup.folder, &format!("nchan_{number}.conf"), &config)?;
    Ok(Program::new("nginx", [String::from("-c"), path]))
}

pub(super) fn version() -> anyhow::Result<String> {
    const MISSING: &str = "nchan is not installed: it is Debian's package libnginx-mod-nchan";
    ensure!(Path::new(MODULE).exists(), MISSING);
    let mut command = Command::new("dpkg-query");
    let output = command.args(["--show", "--showformat", "${Version}", "libnginx-mod-nchan"]).output();
    let output = output.context(MISSING)?;
    ensure!(output.status.success(), MISSING);
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::dialect::tests::heard;

    #[test]
    fn followers_hear_messages_and_publishers_what_became_of_theirs() {
        let topic = || Topic::Shared("a".to_owned());
        let follower = Client { number: 1, role: Role::Follow, topic: topic() };
        let publisher = Client { number: 1, role: Role::Publish, topic: topic() };
        assert_eq!(
            (Nchan.path(&follower), Nchan.path(&publisher)),
            ("/follow/a".into(), "/publish/a".into())
        );
        assert_eq!(heard(&Nchan, &follower, "{}"), [Heard::Message(b"{}")]);
        let answer = "queued messages: 0\r\nlast requested: -1 sec. ago\r\nactive subscribers: 0\r\n";
        assert_eq!(heard(&Nchan, &publisher, answer), [Heard::Talk]);
        assert_eq!(heard(&Nchan, &publisher, "403"), [Heard::Refused(b"403")]);
    }
}
