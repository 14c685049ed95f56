//! One open connection to Redis: TCP with the options that notice a dead peer, log-in, and who answered.
//!
//! The driver, which does all reading and writing, is a task of the node's tracker. It ends when the
//! connection does or when the [`Wire`] is dropped, and `closed` tells.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::{AsyncPushSender, MultiplexedConnection};
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion,
    RedisError, Value,
};
use signalbox_protocol::NodeId;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::RedisConfig;
use super::secret::{self, Secret};
use super::unhurried::Unhurried;
use crate::Error;

/// A peer that acknowledges nothing for this long is taken for dead by the kernel.
const USER_TIMEOUT: Duration = Duration::from_secs(3);
/// After this long without traffic the kernel asks the peer, and then again after each as much.
const KEEPALIVE: Duration = Duration::from_secs(1);
/// Commands that wait for the driver; more make their callers wait, within their time limit.
const WAITING_COMMANDS_MAX: usize = 1_024;
/// Bytes that gather before the driver insists on writing.
const WRITE_BYTES: usize = 64 * 1024;

/// Where Redis is, and how to log in.
#[derive(Clone)]
pub(super) struct Endpoint {
    host: String,
    port: u16,
    info: ConnectionInfo,
    connect_timeout: Duration,
    tls: Option<Secret>,
    /// How our connections are named in `CLIENT LIST`.
    client_name: String,
    tracker: TaskTracker,
}

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
    /// Cancelled when the driver has ended.
    pub(super) closed: CancellationToken,
    _driver: DropGuard,
}

impl Endpoint {
    pub(super) fn try_new(config: &RedisConfig, node: &NodeId, tracker: TaskTracker) -> Result<Self, Error> {
        let info = config.url.as_str().into_connection_info().map_err(|error| Error::Url(error.into()))?;
        let (host, port, tls) = match info.addr() {
            ConnectionAddr::Tcp(host, port) => (host.clone(), *port, None),
            ConnectionAddr::TcpTls { host, port, insecure: false, .. } => {
                (host.clone(), *port, Some(Secret::try_new(host, config.ca.as_deref())?))
            }
            ConnectionAddr::TcpTls { .. } => {
                return Err(Error::Url("TLS that trusts anybody is none".into()));
            }
            ConnectionAddr::Unix(_) => {
                return Err(Error::Url("only redis://host:port and rediss://host:port are supported".into()));
            }
            _ => return Err(Error::Url("an address of an unknown kind".into())),
        };
        let info = match &tls {
            None => info,
            Some(_) => secret::trusting(info, config.ca.clone())?,
        };
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        Ok(Self {
            host,
            port,
            info: info.set_redis_settings(settings),
            connect_timeout: config.connect_timeout,
            tls,
            client_name: format!("signalbox-{node}"),
            tracker,
        })
    }

    /// The same as the redis crate's own connections (the pool's) need it.
    pub(super) fn info(&self) -> ConnectionInfo {
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
        let tcp = self.info.tcp_settings().clone();
        let tcp = tcp.set_nodelay(true).set_keepalive(keepalive).set_user_timeout(USER_TIMEOUT);
        self.info.clone().set_tcp_settings(tcp)
    }

    /// Connects and logs in; `push` gets what Redis sends unasked.
    pub(super) async fn open(&self, push: Option<Arc<dyn AsyncPushSender>>) -> Result<Wire, RedisError> {
        let opened = timeout(self.connect_timeout, self.open_at_leisure(push)).await;
        opened.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
    }

    async fn open_at_leisure(&self, push: Option<Arc<dyn AsyncPushSender>>) -> Result<Wire, RedisError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        let socket = SockRef::from(&stream);
        socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE))?;
        match &self.tls {
            None => self.log_in(stream, push).await,
            Some(tls) => {
                let stream = Box::pin(tls.connect(stream)).await?;
                Box::pin(self.log_in(Box::new(stream), push)).await
            }
        }
    }

    async fn log_in<S>(&self, stream: S, push: Option<Arc<dyn AsyncPushSender>>) -> Result<Wire, RedisError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut config = AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_pipeline_buffer_size(WAITING_COMMANDS_MAX)
            .set_write_backpressure_boundary(WRITE_BYTES);
        if let Some(push) = push {
            config = config.set_push_sender(push);
        }
        let settings = self.info.redis_settings();
        let (connection, driver) = MultiplexedConnection::new_with_config(settings, stream, config).await?;
        let (end, closed) = (CancellationToken::new(), CancellationToken::new());
        let (ended, ending) = (closed.clone().drop_guard(), end.clone());
        self.tracker.spawn(async move {
            let _tells_even_if_the_driver_panics = ended;
            ending.run_until_cancelled_owned(Unhurried::new(driver)).await;
        });
        let mut wire = Wire { connection, client: None, run_id: None, closed, _driver: end.drop_guard() };
        wire.introduce(&self.client_name).await?;
        Ok(wire)
    }
}

impl Wire {
    /// Names the connection, and learns who answers. A Redis that forbids these commands is used without.
    async fn introduce(&mut self, name: &str) -> Result<(), RedisError> {
        let mut pipeline = redis::Pipeline::new();
        pipeline.cmd("CLIENT").arg("SETNAME").arg(name);
        pipeline.cmd("CLIENT").arg("INFO").cmd("INFO").arg("server");
        let answers = self.connection.send_packed_commands(&pipeline, 0, 3).await?;
        let [_, client, server] = <[Value; 3]>::try_from(answers).unwrap_or_default();
        self.client = text(client).and_then(|text| ClientId::parse(&text));
        self.run_id = text(server).and_then(|text| {
            text.lines().find_map(|line| line.strip_prefix("run_id:")).map(|id| id.trim().to_owned())
        });
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

    #[test]
    fn a_url_that_is_not_plain_redis_is_refused() {
        let node = NodeId::try_new("n1").unwrap();
        for (url, good) in [
            ("redis://:secret@localhost:6379/3", true),
            ("redis://localhost", true),
            ("redis+unix:///tmp/redis.sock", false),
            ("rediss://localhost", true),
            ("rediss://localhost/#insecure", false),
            ("http://localhost", false),
            ("localhost:6379", false),
        ] {
            let endpoint = Endpoint::try_new(&RedisConfig::new(url), &node, TaskTracker::new());
            assert_eq!(endpoint.is_ok(), good, "{url}");
        }
    }
}
