//! Whose tokens are believed, and for how long.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Secret;
use crate::config::units::{bytes, period};

const HOUR: Duration = Duration::from_secs(3_600);

/// Whose tokens are believed, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// Keys in files, each as algorithm, file and, if tokens name it, the key's id.
    pub keys: Vec<String>,
    /// A secret for HS256.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// The id by which tokens name that secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_id: Option<String>,
    /// A public key in PEM; its kind decides the algorithm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// The id by which tokens name that public key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_key_id: Option<String>,
    /// Where an issuer publishes its keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_url: Option<String>,
    /// Certificates in PEM that vouch for that server, instead of the machine's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_ca_file: Option<String>,
    /// How often the published keys are read.
    #[serde(with = "period")]
    pub jwks_refresh: Duration,
    /// The least time between two readings for the sake of a key that is not known.
    #[serde(with = "period")]
    pub jwks_reread: Duration,
    /// How long one reading may take.
    #[serde(with = "period")]
    pub jwks_timeout: Duration,
    /// Bytes of the published keys.
    #[serde(with = "bytes")]
    pub jwks_bytes_max: usize,
    /// One of these has to have issued a token; none: anybody who has a key.
    pub issuers: Vec<String>,
    /// A token has to be for one of these; none: for nobody in particular.
    pub audiences: Vec<String>,
    /// How far clocks may differ.
    #[serde(with = "period")]
    pub leeway: Duration,
    /// How long a token may be valid in all.
    #[serde(with = "period")]
    pub lifetime_max: Duration,
    /// Whether a token may stand in the address.
    pub token_in_url: bool,
    /// How long before its token's end a client is told.
    #[serde(with = "period")]
    pub expiry_notice: Duration,
    /// Revocations kept of one tenant.
    pub revocations_max: usize,
    /// How often a node looks for revocations that it was not told of.
    #[serde(with = "period")]
    pub revocations_reread: Duration,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            secret: None,
            secret_id: None,
            public_key: None,
            public_key_id: None,
            jwks_url: None,
            jwks_ca_file: None,
            jwks_refresh: Duration::from_secs(300),
            jwks_reread: Duration::from_secs(10),
            jwks_timeout: Duration::from_secs(5),
            jwks_bytes_max: 256 << 10,
            issuers: Vec::new(),
            audiences: Vec::new(),
            leeway: Duration::from_secs(30),
            lifetime_max: 30 * 24 * HOUR,
            token_in_url: false,
            expiry_notice: Duration::from_secs(60),
            revocations_max: 10_000,
            revocations_reread: Duration::from_secs(5),
        }
    }
}

impl Auth {
    /// Whether any key is configured, wherever it lies.
    pub fn has_keys(&self) -> bool {
        !self.keys.is_empty() || self.secret.is_some() || self.public_key.is_some() || self.jwks_url.is_some()
    }
}
