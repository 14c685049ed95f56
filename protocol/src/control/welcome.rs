use serde::{Deserialize, Serialize};

use super::Positions;
use crate::json::{write_number, write_str};
use crate::{Agent, ConnectionId, NodeId, SessionId};

/// `system:welcome`: the first frame on a connection, once it can be found from every node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Welcome {
    /// This WebSocket; never used twice.
    pub connection_id: ConnectionId,
    /// The session that it belongs to, made up if the client named none.
    pub session_id: SessionId,
    /// The node that holds it.
    pub node_id: NodeId,
    /// Who the client is to others: the `source` of its messages.
    pub agent: Agent,
    /// The principal that the session belongs to.
    pub subject: String,
    /// The tenant that everything here belongs to.
    pub tenant: String,
    /// The namespaces that the client may use.
    pub namespaces: Vec<String>,
    /// How often the node pings.
    pub heartbeat_seconds: u64,
    /// After how long without a frame the node closes the connection.
    pub timeout_seconds: u64,
    /// Most bytes of one message.
    pub message_bytes_max: u64,
    /// Where the connection's own topics stand.
    pub positions: Positions,
}

impl Welcome {
    /// Appends it as JSON, as serde does: each newcomer gets one, and this takes a fifth of the time.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut text = |name: &str, value: &str| {
            out.extend_from_slice(name.as_bytes());
            write_str(out, value);
        };
        text(r#"{"connection_id":"#, self.connection_id.as_str());
        text(r#","session_id":"#, self.session_id.as_str());
        text(r#","node_id":"#, self.node_id.as_str());
        text(r#","agent":"#, self.agent.as_str());
        text(r#","subject":"#, &self.subject);
        text(r#","tenant":"#, &self.tenant);
        out.extend_from_slice(br#","namespaces":["#);
        separated(out, &self.namespaces, |out, namespace| write_str(out, namespace));
        let mut number = |name: &str, value: u64| {
            out.extend_from_slice(name.as_bytes());
            write_number(out, value);
        };
        number(r#"],"heartbeat_seconds":"#, self.heartbeat_seconds);
        number(r#","timeout_seconds":"#, self.timeout_seconds);
        number(r#","message_bytes_max":"#, self.message_bytes_max);
        out.extend_from_slice(br#","positions":{"#);
        separated(out, &self.positions, |out, (topic, position)| {
            write_str(out, topic.as_str());
            out.extend_from_slice(br#":{"epoch":"#);
            write_str(out, &position.epoch);
            out.extend_from_slice(br#","offset":"#);
            write_number(out, position.offset);
            out.push(b'}');
        });
        out.extend_from_slice(b"}}");
    }
}

fn separated<T>(out: &mut Vec<u8>, all: impl IntoIterator<Item = T>, write: impl Fn(&mut Vec<u8>, T)) {
    for (at, one) in all.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, one);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Topic;
    use crate::control::Position;

    fn welcome() -> Welcome {
        let place = |offset| Position { epoch: "lx8f3k2a".to_owned(), offset };
        let topic = |text| Topic::try_new(text).unwrap();
        Welcome {
            connection_id: ConnectionId::try_new("n1-a").unwrap(),
            session_id: SessionId::try_new("n1-a~0d9").unwrap(),
            node_id: NodeId::try_new("n1").unwrap(),
            agent: Agent::of("vehicle", "V1").unwrap(),
            subject: "a \"quoted\" \\ subject".to_owned(),
            tenant: "default".to_owned(),
            namespaces: vec!["a".to_owned(), "b".to_owned()],
            heartbeat_seconds: 30,
            timeout_seconds: 65,
            message_bytes_max: 1 << 20,
            positions: [(topic("vehicle:V1"), place(0)), (topic("agent_type:vehicle"), place(u64::MAX))]
                .into(),
        }
    }

    #[test]
    fn it_is_written_as_serde_writes_it() {
        let none = Welcome { namespaces: vec![], positions: Positions::new(), ..welcome() };
        for welcome in [welcome(), none] {
            let mut out = b"before".to_vec();
            welcome.write(&mut out);
            let expected = ["before", &serde_json::to_string(&welcome).unwrap()].concat();
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
