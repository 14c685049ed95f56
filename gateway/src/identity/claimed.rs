//! What a newcomer says it is, cheaply and without being believed: only to decide whom to look at first.

use std::borrow::Cow;

use axum::http::HeaderMap;
use signalbox_identity::Said;

use super::query::Fields;
use super::shown::shown;

/// The agent type that the request claims: by its token, whose signature is not looked at, or by its query.
pub fn claimed_agent_type<'r>(
    headers: &'r HeaderMap,
    query: &'r str,
    is_url_taken: bool,
) -> Option<Cow<'r, str>> {
    let Some(token) = shown(headers, query, is_url_taken).ok()? else { return Fields::agent_type_of(query) };
    let said = Said::of(&token).ok()?;
    said.claims.get("agent_type")?.as_str().map(|agent_type| agent_type.to_owned().into())
}
