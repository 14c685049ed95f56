//! Signalbox itself, spoken by the same clients as the others.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use super::caller::{Client, Role, Topic};
use super::dialect::{Dialect, Heard, all};
use crate::cluster::Cluster;

/// Every message begins with an id of this length.
const BEFORE_TYPE: usize = r#"{"id":"019b7892-1c00-7a30-9d2e-3f4a5b6c7d8e","#.len();

/// A topic of its own is a vehicle's name; the other topic is a route, which has to be joined.
#[derive(Debug)]
pub(super) struct Signalbox;

impl Dialect for Signalbox {
    fn path(&self, client: &Client) -> String {
        let (agent_type, agent_id) = match (&client.role, &client.topic) {
            (Role::Follow, Topic::Own(name)) => ("vehicle", name.clone()),
            (Role::Follow, Topic::Shared(name)) => ("passenger", format!("{name}-{}", client.number)),
            (Role::Publish, topic) => ("passenger", format!("{}-p{}", topic.name(), client.number)),
        };
        format!("/ws?tenant={}&agent_type={agent_type}&agent_id={agent_id}", Cluster::TENANT)
    }

    fn opening(&self, client: &Client) -> Option<String> {
        let Topic::Shared(name) = &client.topic else { return None };
        let joining = || format!(r#"{{"type":"system:subscribe","data":{{"topics":["route:{name}"]}}}}"#);
        (client.role == Role::Follow).then(joining)
    }

    fn publication(&self, topic: &Topic, message: &str) -> String {
        let target = match topic {
            Topic::Own(name) => format!("vehicle:{name}"),
            Topic::Shared(name) => format!("route:{name}"),
        };
        let open = message.strip_suffix('}').unwrap_or(message);
        format!(r#"{open},"target":"{target}"}}"#)
    }

    fn hear<'a>(&self, client: &Client, rest: &mut &'a [u8]) -> Heard<'a> {
        let text = all(rest);
        let joins = self.opening(client).is_some();
        let message_type = text.get(BEFORE_TYPE..).unwrap_or_default();
        if message_type.starts_with(br#""type":"load:"#) {
            Heard::Message(text)
        } else if message_type.starts_with(br#""type":"system:welcome""#) {
            if joins { Heard::Talk } else { Heard::In }
        } else if message_type.starts_with(br#""type":"system:ack""#) && joins {
            Heard::In
        } else {
            Heard::Refused(text)
        }
    }
}

/// The binary that nodes are started with.
pub(super) fn version(binary: &Path) -> anyhow::Result<String> {
    let missing =
        || format!("{} can't be started: build it, or name another with --binary", binary.display());
    let output = Command::new(binary).arg("--version").output().with_context(missing)?;
    ensure!(output.status.success(), missing());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::dialect::tests::heard;

    const WELCOME: &str =
        r#"{"id":"019b7892-1c00-7a30-9d2e-3f4a5b6c7d8e","type":"system:welcome","data":{}}"#;
    const ACK: &str = r#"{"id":"019b7892-1c00-7a30-9d2e-3f4a5b6c7d8e","type":"system:ack","data":{}}"#;
    const TICK: &str =
        r#"{"id":"019b7892-1c00-7a30-9d2e-3f4a5b6c7d8e","type":"load:tick","data":{"from":0}}"#;

    #[test]
    fn who_joins_nothing_is_in_when_welcomed_and_others_when_they_joined() {
        let own = Client { number: 1, role: Role::Follow, topic: Topic::Own("a".to_owned()) };
        let shared = Client { number: 1, role: Role::Follow, topic: Topic::Shared("a".to_owned()) };
        assert_eq!(heard(&Signalbox, &own, WELCOME), [Heard::In]);
        assert_eq!(heard(&Signalbox, &shared, WELCOME), [Heard::Talk]);
        assert_eq!(heard(&Signalbox, &shared, ACK), [Heard::In]);
        assert_eq!(heard(&Signalbox, &own, ACK), [Heard::Refused(ACK.as_bytes())]);
        assert_eq!(heard(&Signalbox, &own, TICK), [Heard::Message(TICK.as_bytes())]);
        assert_eq!(heard(&Signalbox, &own, "{"), [Heard::Refused(b"{")]);
    }

    #[test]
    fn a_message_is_sent_to_a_vehicle_or_a_route() {
        for (topic, target) in
            [(Topic::Own("a".to_owned()), "vehicle:a"), (Topic::Shared("a".to_owned()), "route:a")]
        {
            let message = Signalbox.publication(&topic, r#"{"type":"load:tick","data":{}}"#);
            assert_eq!(message, format!(r#"{{"type":"load:tick","data":{{}},"target":"{target}"}}"#));
        }
    }
}
