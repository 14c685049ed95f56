//! `system:token_expiring`, `system:refresh` and `system:refreshed`: a connection outlives its token.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Topic;

/// `system:token_expiring`: the token of this connection ends soon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct TokenExpiring {
    /// From now to the token's `exp`. The node closes the connection then, or a little later, with 4401.
    pub expires_in_seconds: u64,
}

/// `system:refresh`: another token for the same client.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct TokenRefresh {
    /// For the same tenant, agent, subject and pillar as the one before.
    pub token: String,
}

impl fmt::Debug for TokenRefresh {
    /// Leaves the token out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRefresh").finish_non_exhaustive()
    }
}

/// `system:refreshed`: the new token counts from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct TokenRefreshed {
    /// From now to the new token's `exp`.
    pub expires_in_seconds: u64,
    /// Topics that the connection followed and the new token does not allow: nothing more comes of them.
    pub left: Vec<Topic>,
}
