//! One open connection to Redis, and who answered.
//!
//! The driver, which does all reading and writing, is a task of the node's tracker. It ends when the
//! connection does or when the [`Wire`] is dropped, and `closed` tells.

use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisError, Value};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How Redis knows one connection, so that it can be told to end it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClientId {
    id: String,
    addr: String,
}

/// An open connection. Dropping it ends its driver, and with that the connection.
pub(super) struct Wire {
    pub(super) connection: MultiplexedConnection,
    /// `None` where Redis does not tell.
    pub(super) client: Option<ClientId>,
    /// Which process answers: changes with each start of a Redis.
    pub(super) run_id: Option<String>,
    /// It said that it follows another.
    pub(super) is_replica: bool,
    /// Cancelled when the driver has ended.
    pub(super) closed: CancellationToken,
    _driver: DropGuard,
}

impl Wire {
    /// A connection whose driver `closed` tells of, and ends with `driver`.
    pub(super) fn new(
        connection: MultiplexedConnection,
        closed: CancellationToken,
        driver: DropGuard,
    ) -> Self {
        Self { connection, client: None, run_id: None, is_replica: false, closed, _driver: driver }
    }

    /// Names the connection, and learns who answers. A Redis that forbids these commands is used without.
    pub(super) async fn introduce(&mut self, name: &str) -> Result<(), RedisError> {
        let mut pipeline = redis::Pipeline::new();
        pipeline.cmd("CLIENT").arg("SETNAME").arg(name);
        pipeline.cmd("CLIENT").arg("INFO").cmd("INFO").arg("server").cmd("INFO").arg("replication");
        let answers = self.connection.send_packed_commands(&pipeline, 0, 4).await?;
        let [_, client, server, replication] = <[Value; 4]>::try_from(answers).unwrap_or_default();
        self.client = text(client).and_then(|text| ClientId::parse(&text));
        self.run_id = text(server).and_then(|text| {
            text.lines().find_map(|line| line.strip_prefix("run_id:")).map(|id| id.trim().to_owned())
        });
        self.is_replica =
            text(replication).is_some_and(|text| text.lines().any(|line| line.trim() == "role:slave"));
        Ok(())
    }

    /// Ends the connection, and waits until nothing comes from it any more.
    pub(super) async fn end(self) {
        let Self { closed, _driver: driver, .. } = self;
        drop(driver);
        closed.cancelled().await;
    }

    /// Makes Redis end an earlier connection of ours before anything is sent on this one, so that what it
    /// had received there and not yet carried out never is: commands of a link keep their order across
    /// reconnections. Where it is gone already, or forbidden, nothing happens.
    pub(super) async fn bury(&mut self, earlier: &ClientId) -> Result<(), RedisError> {
        let mut kill = Cmd::new();
        // By id and address: a Redis that started anew may have given the id to somebody else.
        kill.arg("CLIENT").arg("KILL").arg("ID").arg(&earlier.id).arg("ADDR").arg(&earlier.addr);
        self.connection.send_packed_command(&kill).await.map(|_| ())
    }
}

impl ClientId {
    /// Reads the answer of `CLIENT INFO`: `id=3 addr=127.0.0.1:5555 laddr=...`.
    fn parse(info: &str) -> Option<Self> {
        let field = |name: &str| {
            let mut fields = info.split_ascii_whitespace();
            fields.find_map(|field| field.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
        };
        Some(Self { id: field("id")?, addr: field("addr")? })
    }
}

fn text(value: Value) -> Option<String> {
    redis::from_redis_value(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_known_by_its_id_and_address() {
        let info = "id=7 addr=127.0.0.1:5555 laddr=127.0.0.1:6379 fd=8 name= age=0\n";
        let expected = ClientId { id: "7".into(), addr: "127.0.0.1:5555".into() };
        assert_eq!(ClientId::parse(info), Some(expected));
        assert_eq!(ClientId::parse("laddr=x id="), None);
    }
}
