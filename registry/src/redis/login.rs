//! How a server is connected to, wherever it is: TCP with the options that notice a dead peer, TLS, log-in.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::{AsyncPushSender, MultiplexedConnection};
use redis::{
    AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, ProtocolVersion, RedisConnectionInfo, RedisError,
};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::address::Address;
use super::secret::{self, Secret};
use super::unhurried::Unhurried;
use super::wire::Wire;
use crate::Error;

/// A peer that acknowledges nothing for this long is taken for dead by the kernel.
const USER_TIMEOUT: Duration = Duration::from_secs(3);
/// After this long without traffic the kernel asks the peer, and then again after each as much.
const KEEPALIVE: Duration = Duration::from_secs(1);
/// Commands that wait for the driver; more make their callers wait, within their time limit.
const WAITING_COMMANDS_MAX: usize = 1_024;
/// Bytes that gather before the driver insists on writing.
const WRITE_BYTES: usize = 64 * 1024;

/// What is the same at every server of one kind.
#[derive(Clone)]
pub(super) struct Login {
    settings: RedisConnectionInfo,
    tls: Option<Secret>,
    /// Certificates that vouch for the servers; `None`: those that the machine trusts.
    ca: Option<Vec<u8>>,
    tracker: TaskTracker,
}

impl Login {
    /// Logs in as these settings say; by TLS if that is told, vouched for by `ca` or by the machine's certificates.
    pub(super) fn try_new(
        settings: RedisConnectionInfo,
        is_tls: bool,
        ca: Option<Vec<u8>>,
        tracker: TaskTracker,
    ) -> Result<Self, Error> {
        let tls = is_tls.then(|| Secret::try_new(ca.as_deref())).transpose()?;
        let settings = settings.set_protocol(ProtocolVersion::RESP3);
        Ok(Self { settings, tls, ca, tracker })
    }

    /// The same for somebody else, at servers without databases.
    pub(super) fn as_another(&self, user: Option<&str>, password: Option<&str>) -> Self {
        let mut settings = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3);
        if let Some(user) = user {
            settings = settings.set_username(user);
        }
        if let Some(password) = password {
            settings = settings.set_password(password);
        }
        Self { settings, ..self.clone() }
    }

    /// The same as the redis crate's own connections (the pool's) need it.
    pub(super) fn info(&self, info: &ConnectionInfo, address: &Address) -> Result<ConnectionInfo, Error> {
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
        let tcp = info.tcp_settings().clone();
        let tcp = tcp.set_nodelay(true).set_keepalive(keepalive).set_user_timeout(USER_TIMEOUT);
        let (host, port) = (address.host.clone(), address.port);
        let place = match self.tls {
            None => ConnectionAddr::Tcp(host, port),
            Some(_) => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
        };
        let info = info.clone().set_addr(place).set_redis_settings(self.settings.clone());
        let info = info.set_tcp_settings(tcp);
        if self.tls.is_some() { secret::trusting(info, self.ca.clone()) } else { Ok(info) }
    }

    /// Connects and logs in; `push` gets what the server sends unasked. The caller bounds the time.
    pub(super) async fn open(
        &self,
        address: &Address,
        push: Option<Arc<dyn AsyncPushSender>>,
    ) -> Result<Wire, RedisError> {
        let stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
        stream.set_nodelay(true)?;
        let socket = SockRef::from(&stream);
        socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE))?;
        match &self.tls {
            None => self.log_in(stream, push).await,
            Some(tls) => {
                let stream = Box::pin(tls.connect(&address.host, stream)).await?;
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
        let (connection, driver) =
            MultiplexedConnection::new_with_config(&self.settings, stream, config).await?;
        let (end, closed) = (CancellationToken::new(), CancellationToken::new());
        let (ended, ending) = (closed.clone().drop_guard(), end.clone());
        self.tracker.spawn(async move {
            let _tells_even_if_the_driver_panics = ended;
            ending.run_until_cancelled_owned(Unhurried::new(driver)).await;
        });
        Ok(Wire::new(connection, closed, end.drop_guard()))
    }
}

/// What is told where something took too long.
pub(super) fn timed_out() -> RedisError {
    io::Error::from(io::ErrorKind::TimedOut).into()
}
