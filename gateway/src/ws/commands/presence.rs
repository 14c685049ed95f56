//! `presence:list`: who is there now, of a session, an agent, an agent type, a pillar or a namespace.

use std::sync::Arc;

use signalbox_protocol::control::{Member, PresenceMembers, PresenceRequest, parse_data};
use signalbox_protocol::envelope::Incoming;
use signalbox_protocol::error::{ErrorCode, Fault};
use signalbox_protocol::{Agent, SessionId, Tenant, Topic, timestamp};
use signalbox_registry::directory::Filter;
use signalbox_registry::presence::INDEXED_KINDS;
use signalbox_registry::{Error, Row};

use crate::node::Node;
use crate::router::fault;
use crate::ws::answer;
use crate::ws::asker::Asker;
use crate::ws::dispatch::{Outcome, Step};
use crate::ws::prepare::is_known;

/// Members of a page unless the asker says otherwise, and the most that it may ask for.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1_000;

/// What is asked for.
#[derive(Debug)]
pub(crate) struct PresenceQuery {
    pub(crate) topic: Topic,
    pub(crate) limit: Option<u32>,
    pub(crate) cursor: Option<String>,
}

pub(super) fn list(node: &Arc<Node>, asker: Asker<'_>, incoming: &Incoming<'_>) -> Result<Step, Fault> {
    let PresenceRequest { topic, limit, cursor } = parse_data(incoming.data)?;
    let tenant = asker.may_see_members(&topic)?.profile().tenant.clone();
    let query = PresenceQuery { topic, limit, cursor };
    let correlation = incoming.answer_to().map(str::to_owned);
    let node = Arc::clone(node);
    Ok(Step::Wait(Box::pin(async move {
        match members(&node, &tenant, query).await {
            Ok(members) => {
                Outcome::Reply(answer::reply("presence:members", correlation.as_deref(), &members))
            }
            Err(fault) => Outcome::Failed(fault, correlation),
        }
    })))
}

/// Answers a query of presence, for WebSocket and HTTP alike.
pub(crate) async fn members(
    node: &Node,
    tenant: &Tenant,
    query: PresenceQuery,
) -> Result<PresenceMembers, Fault> {
    let topic = query.topic;
    is_known(node, &topic)?;
    let limit = query.limit.map_or(LIMIT, |limit| limit as usize).clamp(1, LIMIT_MAX);
    let found = if INDEXED_KINDS.contains(&topic.kind()) {
        let page = node.cluster.presence.members(tenant, &topic, query.cursor.as_deref(), limit).await;
        page.map(|page| (page.agents, page.rows, page.cursor))
    } else {
        let rows = rows_of(node, tenant, &topic).await?;
        // A session has at most 16 connections, and an agent a handful: one page holds them.
        rows.map(|rows| (distinct_agents(&rows), rows, None))
    };
    let (count, rows, cursor) = found.map_err(|error| fault(&error, &topic))?;
    Ok(PresenceMembers { topic, count, members: rows.into_iter().map(member).collect(), cursor })
}

async fn rows_of(node: &Node, tenant: &Tenant, topic: &Topic) -> Result<Result<Vec<Row>, Error>, Fault> {
    let directory = &node.cluster.directory;
    if topic.kind() == "session" {
        let session_id =
            SessionId::try_new(topic.id()).expect("topic ids have the characters of session ids");
        return Ok(directory.by_session(tenant, &session_id, Filter::default()).await);
    }
    if node.vocabulary.is_agent_type(topic.kind()) {
        return Ok(directory.by_agent(tenant, &Agent::from_topic(topic.clone())).await);
    }
    let text = format!("{topic}: presence is told of sessions, agents, agent_type, pillar and namespace");
    Err(Fault::new(ErrorCode::InvalidTarget, text))
}

fn distinct_agents(rows: &[Row]) -> u64 {
    let mut agents: Vec<_> = rows.iter().map(|row| &row.agent).collect();
    agents.sort_unstable();
    agents.dedup();
    agents.len() as u64
}

fn member(row: Row) -> Member {
    Member {
        agent: row.agent,
        session_id: row.session_id,
        node_id: row.node_id,
        connected_at: timestamp::to_string(row.connected_at_ms),
    }
}
