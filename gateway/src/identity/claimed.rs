//! What a newcomer says it is, cheaply and without being believed: only to decide whom to look at first.

use std::borrow::Cow;

use signalbox_identity::Said;

use super::query::Fields;

/// The agent type that the request claims: by its token, whose signature is not looked at, or without one by its query.
pub fn claimed_agent_type<'r>(token: Option<&str>, query: &'r str) -> Option<Cow<'r, str>> {
    let Some(token) = token else { return Fields::agent_type_of(query) };
    let said = Said::of(token).ok()?;
    said.claims.get("agent_type")?.as_str().map(|agent_type| agent_type.to_owned().into())
}
