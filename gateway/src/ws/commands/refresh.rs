//! `system:refresh`: another token for the same client, on the same connection. The old grant stays until the new one
//! is believed.

use std::sync::Arc;

use signalbox_identity::Claims;
use signalbox_protocol::Topic;
use signalbox_protocol::control::{TokenRefresh, TokenRefreshed, parse_data};
use signalbox_protocol::envelope::Incoming;
use signalbox_protocol::error::{ErrorCode, Fault};
use signalbox_registry::revocation::Whom;

use super::is_own;
use super::subscribe::part;
use crate::hub::Connection;
use crate::identity::vouched;
use crate::node::Node;
use crate::rights::{Grant, Rights};
use crate::trust;
use crate::ws::answer;
use crate::ws::asker::Asker;
use crate::ws::dispatch::{Outcome, Step};

pub(super) fn refresh(node: &Arc<Node>, asker: Asker<'_>, incoming: &Incoming<'_>) -> Result<Step, Fault> {
    let request: TokenRefresh = parse_data(incoming.data)?;
    let connection = asker.itself();
    let renewed = renewed(node, connection, &request.token);
    node.metrics.trust.count_refresh(renewed.is_ok());
    let grant = renewed?;
    let expires_in_seconds = grant.expires_at.saturating_sub(node.trust.now());
    let topics = no_longer_allowed(connection, &grant);
    connection.set_grant(grant);
    trust::begin(node, connection);
    let told = TokenRefreshed { expires_in_seconds, left: topics.clone() };
    let ack = answer::reply("system:refreshed", incoming.answer_to(), &told);
    let (node, connection) = (Arc::clone(node), Arc::clone(connection));
    Ok(Step::Wait(Box::pin(async move {
        part(&node, &connection, &topics).await;
        Outcome::Left { topics, ack }
    })))
}

/// What a token grants, if it is for the client that shows it.
fn renewed(node: &Node, connection: &Connection, token: &str) -> Result<Grant, Fault> {
    let profile = connection.profile();
    if connection.grant().is_none() {
        return Err(forbidden("this connection came without a token: connect with one".to_owned()));
    }
    let claims = vouched(token, &node.trust, &node.vocabulary);
    let claims = claims.map_err(|refused| forbidden(refused.to_string()))?;
    let Claims { tenant, agent, subject, pillar, .. } = &claims;
    if *tenant != profile.tenant || *agent != profile.agent || subject != profile.subject() {
        return Err(forbidden("the token is for another tenant, agent or subject".to_owned()));
    }
    if pillar.as_deref() != profile.pillar.as_deref() {
        return Err(forbidden("the token is for another pillar".to_owned()));
    }
    let session = [Whom::Session(profile.session_id())];
    if node.trust.is_revoked(tenant, &session, claims.issued_at) {
        return Err(forbidden("the token was revoked".to_owned()));
    }
    let grant = Grant::from(&claims);
    match profile.namespace.as_deref().map(|name| Topic::of("namespace", name)) {
        Some(Ok(topic)) if !Rights::of(Some(Arc::new(grant.clone()))).cover_topic(&topic) => {
            Err(forbidden(format!("the token does not allow {topic}, in which the connection is")))
        }
        _ => Ok(grant),
    }
}

fn forbidden(text: String) -> Fault {
    Fault::new(ErrorCode::Forbidden, text)
}

/// The topics that the connection joined and would not be let into any more.
fn no_longer_allowed(connection: &Connection, grant: &Grant) -> Vec<Topic> {
    let rights = Rights::of(Some(Arc::new(grant.clone())));
    let is_over = |topic: &Topic| !is_own(connection, topic) && !rights.cover_topic(topic);
    let mut topics: Vec<Topic> = connection.topics().into_iter().filter(is_over).collect();
    topics.sort_unstable();
    topics
}
