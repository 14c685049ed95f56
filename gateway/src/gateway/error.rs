//! Why a node does not run.

use std::io;
use std::net::SocketAddr;

use signalbox_protocol::vocabulary::InvalidVocabulary;
use signalbox_reservoir::strapi::InvalidSettings;
use thiserror::Error;

use crate::config::UnusableKeys;
use crate::tls::UnusableTls;
use crate::trace::InvalidCollector;

/// Why a node could not start, or ended by itself.
#[derive(Debug, Error)]
pub enum StartError {
    /// The address can't be listened on.
    #[error("can't listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The certificates that vouch for Redis can't be read.
    #[error("{path}, which vouches for Redis, can't be read")]
    RedisCertificates {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The registry's settings make no sense.
    #[error("the registry can't be used")]
    Registry(#[from] signalbox_registry::Error),
    /// The lists of agent types and namespaces make no sense.
    #[error("agent types or namespaces can't be used")]
    Vocabulary(#[from] InvalidVocabulary),
    /// The certificate can't be used.
    #[error("TLS can't be served")]
    Tls(#[from] UnusableTls),
    /// The settings of Strapi make no sense.
    #[error("strapi can't be used")]
    Strapi(#[from] InvalidSettings),
    /// Nobody can be told of spans.
    #[error("the collector of spans can't be used")]
    Collector(#[from] InvalidCollector),
    /// Keys of tokens can't be used.
    #[error(transparent)]
    Keys(#[from] UnusableKeys),
    /// A background task that must run as long as the node ended; the node was stopped in order.
    #[error("a background task of the node ended by itself")]
    Halted,
}
