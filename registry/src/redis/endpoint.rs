//! The one Redis to talk to: where it is now, and an open connection to it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis::aio::AsyncPushSender;
use redis::{ConnectionInfo, ErrorKind, RedisError};
use signalbox_protocol::NodeId;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::address::{Address, Place};
use super::config::{Mode, RedisConfig};
use super::login::{Login, timed_out};
use super::sentinel::Sentinels;
use super::wire::Wire;
use crate::Error;
use crate::mutex::lock;

/// How the server is found.
#[derive(Clone)]
enum Road {
    /// It is always there.
    Fixed(Address),
    /// Sentinels say where it is.
    Watched(Arc<Sentinels>),
    /// One of these tells of all.
    Seeds(Arc<[Address]>),
}

/// A server, as all connections of a node to it need to know it.
#[derive(Clone)]
pub(super) struct Endpoint {
    road: Road,
    login: Login,
    info: ConnectionInfo,
    connect_timeout: Duration,
    /// How our connections are named in `CLIENT LIST`.
    client_name: String,
    /// Where the newest connection went.
    latest: Arc<Mutex<Option<Address>>>,
    is_sharded: bool,
}

impl Endpoint {
    pub(super) fn try_new(config: &RedisConfig, node: &NodeId, tracker: TaskTracker) -> Result<Self, Error> {
        let place = Place::parse(&config.url, &config.mode)?;
        let settings = place.info.redis_settings().clone();
        let login = Login::try_new(settings, place.is_tls, config.ca.clone(), tracker)?;
        let (road, latest) = match &config.mode {
            Mode::Single => {
                let address = place.addresses.into_iter().next();
                let address = address.ok_or_else(|| Error::Url("no host".into()))?;
                (Road::Fixed(address.clone()), Some(address))
            }
            Mode::Sentinel { service, user, password } => {
                let login = login.as_another(user.as_deref(), password.as_deref());
                let patience = config.connect_timeout / 2;
                let sentinels = Sentinels::new(place.addresses, service.clone(), login, patience);
                (Road::Watched(Arc::new(sentinels)), None)
            }
            Mode::Cluster => (Road::Seeds(place.addresses.into()), None),
        };
        Ok(Self {
            road,
            login,
            info: place.info,
            connect_timeout: config.connect_timeout,
            client_name: format!("signalbox-{node}"),
            latest: Arc::new(Mutex::new(latest)),
            is_sharded: matches!(config.mode, Mode::Cluster),
        })
    }

    /// Another server of the same kind.
    pub(super) fn at(&self, address: Address) -> Self {
        let latest = Arc::new(Mutex::new(Some(address.clone())));
        Self { road: Road::Fixed(address), latest, ..self.clone() }
    }

    /// Those that tell of all.
    pub(super) fn seeds(&self) -> Vec<Self> {
        match &self.road {
            Road::Seeds(addresses) => addresses.iter().map(|address| self.at(address.clone())).collect(),
            Road::Fixed(_) | Road::Watched(_) => Vec::new(),
        }
    }

    /// Whether it is one of a Cluster.
    pub(super) fn is_sharded(&self) -> bool {
        self.is_sharded
    }

    /// Where the newest connection went, or the next one would for certain.
    pub(super) fn latest(&self) -> Option<Address> {
        lock(&self.latest).clone()
    }

    /// What the redis crate's own connections to this address (the pool's) need.
    pub(super) fn info(&self, address: &Address) -> Result<ConnectionInfo, Error> {
        self.login.info(&self.info, address)
    }

    /// Whether somebody says where the server is.
    pub(super) fn is_watched(&self) -> bool {
        matches!(self.road, Road::Watched(_))
    }

    /// Connects and logs in; `push` gets what Redis sends unasked.
    pub(super) async fn open(&self, push: Option<Arc<dyn AsyncPushSender>>) -> Result<Wire, RedisError> {
        let opened = timeout(self.connect_timeout, self.open_at_leisure(push)).await;
        let opened = opened.unwrap_or_else(|_| Err(timed_out()));
        if let (Err(_), Road::Watched(sentinels)) = (&opened, &self.road) {
            sentinels.forget();
        }
        opened
    }

    async fn open_at_leisure(&self, push: Option<Arc<dyn AsyncPushSender>>) -> Result<Wire, RedisError> {
        let address = match &self.road {
            Road::Fixed(address) => address.clone(),
            Road::Watched(sentinels) => sentinels.master().await?,
            Road::Seeds(_) => return Err((ErrorKind::Io, "a cluster is no server").into()),
        };
        let mut wire = self.login.open(&address, push).await?;
        wire.introduce(&self.client_name).await?;
        // Sentinels that are behind still name one that was replaced, and is a replica by now.
        if self.is_watched() && wire.is_replica {
            return Err((ErrorKind::Io, "the server is not the master").into());
        }
        *lock(&self.latest) = Some(address);
        Ok(wire)
    }
}
