//! TLS without a proxy.

use serde::{Deserialize, Serialize};

/// The node's certificate; both or neither.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// The file of the chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// The file of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}
