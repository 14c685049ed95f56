//! What whoever asks may do: what its token grants, or, without a token, everything, since only a node that trusts
//! its neighbourhood takes anonymous clients.
//!
//! Shared by WebSocket and HTTP. Every right is missed here and nowhere else, so that every refusal names what is
//! missing and is counted.

use std::sync::Arc;

use serde_json::json;
use signalbox_identity::{Capabilities, Claims, Verb};
use signalbox_protocol::Topic;
use signalbox_protocol::error::{ErrorCode, Fault};

use crate::metrics::AccessMetrics;

/// Stands for all that a verb can be done to: only a capability that ends with `:*` covers it.
pub const ANYTHING: &str = "*";
/// What [`Verb::Admin`] is about.
pub const NODES: &str = "nodes";

/// What a token grants for as long as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// What may be done.
    pub capabilities: Capabilities,
    /// The namespaces that may be followed and sent to; `None`: the capabilities decide.
    pub namespaces: Option<Vec<String>>,
    /// When it ends, seconds since 1970.
    pub expires_at: u64,
    /// When it began, if the token says.
    pub issued_at: Option<u64>,
}

impl From<&Claims> for Grant {
    fn from(claims: &Claims) -> Self {
        Self {
            capabilities: claims.capabilities.clone(),
            namespaces: claims.namespaces.clone(),
            expires_at: claims.expires_at,
            issued_at: claims.issued_at,
        }
    }
}

/// What somebody may do. Costs one pointer.
#[derive(Debug, Clone, Default)]
pub struct Rights(Option<Arc<Grant>>);

impl Rights {
    /// Those of a grant; everything without one.
    pub fn of(grant: Option<Arc<Grant>>) -> Self {
        Self(grant)
    }

    /// None at all.
    pub fn none() -> Self {
        let (capabilities, namespaces) = (Capabilities::default(), Some(Vec::new()));
        Self(Some(Arc::new(Grant { capabilities, namespaces, expires_at: u64::MAX, issued_at: None })))
    }

    /// Whether it may be done, for whoever goes another way if not. Refuses nothing, and counts nothing.
    pub fn cover(&self, verb: Verb, what: &str) -> bool {
        self.0.as_ref().is_none_or(|grant| grant.capabilities.allow(verb, what))
    }

    /// Checks that `verb` may be done to `what`; [`ANYTHING`] for all that there is.
    ///
    /// # Errors
    /// [`ErrorCode::Forbidden`], with the capability that is missing.
    pub fn may(&self, metrics: &AccessMetrics, verb: Verb, what: &str) -> Result<(), Fault> {
        if self.cover(verb, what) { Ok(()) } else { Err(missing(metrics, verb, what)) }
    }

    /// Checks that `verb` may be done to something; to what, is to be checked once it is known.
    ///
    /// # Errors
    /// As [`Rights::may`].
    pub fn may_some(&self, metrics: &AccessMetrics, verb: Verb) -> Result<(), Fault> {
        let covers_some = self.0.as_ref().is_none_or(|grant| grant.capabilities.allow_some(verb));
        if covers_some { Ok(()) } else { Err(missing(metrics, verb, ANYTHING)) }
    }

    /// Checks that a topic may be followed, and that may be seen who else does. A namespace of the token's list
    /// needs no capability beside it.
    ///
    /// # Errors
    /// [`ErrorCode::Forbidden`], with the capability or the namespace that is missing.
    pub fn may_follow(&self, metrics: &AccessMetrics, topic: &Topic) -> Result<(), Fault> {
        match self.lists(topic) {
            Some(true) => Ok(()),
            Some(false) => Err(other_namespace(metrics, topic)),
            None => self.may(metrics, Verb::Subscribe, topic.as_str()),
        }
    }

    /// Whether a topic may be followed. Refuses nothing, and counts nothing.
    pub fn cover_topic(&self, topic: &Topic) -> bool {
        self.lists(topic).unwrap_or_else(|| self.cover(Verb::Subscribe, topic.as_str()))
    }

    /// Checks that a message may go to a topic.
    ///
    /// # Errors
    /// [`ErrorCode::Forbidden`], with the namespace that is missing.
    pub fn may_send_to(&self, metrics: &AccessMetrics, topic: &Topic) -> Result<(), Fault> {
        if self.lists(topic) == Some(false) { Err(other_namespace(metrics, topic)) } else { Ok(()) }
    }

    /// Whether the namespace is one of the token's list; `None` for other topics, and without a list.
    fn lists(&self, topic: &Topic) -> Option<bool> {
        let listed = self.0.as_ref()?.namespaces.as_ref()?;
        (topic.kind() == "namespace").then(|| listed.iter().any(|name| name == topic.id()))
    }
}

fn missing(metrics: &AccessMetrics, verb: Verb, what: &str) -> Fault {
    metrics.count_refusal(verb.as_str());
    let capability = format!("{}:{what}", verb.as_str());
    let fault = Fault::new(ErrorCode::Forbidden, format!("the token lacks the capability {capability}"));
    fault.with_details(json!({ "capability": capability }))
}

fn other_namespace(metrics: &AccessMetrics, topic: &Topic) -> Fault {
    metrics.count_refusal(AccessMetrics::NAMESPACE);
    let text = format!("the token does not list the namespace {}", topic.id());
    Fault::new(ErrorCode::Forbidden, text).with_details(json!({ "namespace": topic.id() }))
}

#[cfg(test)]
mod tests;
