//! Locks over HTTP. A lock's token alone tells its holder, so it may have been got anywhere.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use signalbox_identity::Verb;
use signalbox_protocol::control::LockGranted;
use signalbox_protocol::error::{ErrorCode, Fault};
use signalbox_protocol::limits::{LOCK_TTL, LOCK_TTL_BOUNDS, LOCK_WAIT_MAX};
use signalbox_protocol::{Agent, RequestId, Resource};
use signalbox_registry::Error;
use signalbox_registry::lock::{Acquired, Ask, Denial, Grant, Held, Released};
use tokio::time::timeout;

use super::caller::Caller;
use super::document::Draft;
use super::input::{Body, Page, Params, path_texts};
use super::output::{Created, List, NoContent};
use super::problem::Problem;
use super::refusal::{conflict, unknown};
use super::table::{DELETE, GET, Input, PATCH, POST, Table};
use crate::node::Node;
use crate::rights::ANYTHING;

/// One lock. Asking for it may take as long as its line.
pub(super) const ONE: &str = "/api/locks/{resource}";
const TOKEN: &str = "X-Lock-Token";

pub(super) fn routes(table: Table) -> Table {
    let not_yours = "The token is not, or no longer, that of the holder: `details` as of acquiring.";
    table
        .group("locks", "At most one holder of a resource at a time; what must not happen twice is for the fence to prevent.")
        .on(GET, "/api/locks", list, "What is held, in no order; a page may be short, and even empty, before the end")
        .on(GET, ONE, look, "Whether a resource is held, and by whom")
        .on(POST, ONE, acquire, "Take a lock, or stand in line for it")
        .refuses(429, "The caller asks for too many locks: `details` are the `limit` and `retry_after_ms`.")
        .refuses(409, "Somebody has it: `details` are `held_by` (`null`: promised to somebody in line) and `retry_after_ms`.")
        .example(json!({"ttl_ms": 5000, "wait_ms": 1000, "request_id": "lock-1"}))
        .on(PATCH, ONE, renew, "Let a lock last for its time again, or from now on for another")
        .refuses(409, not_yours)
        .example(json!({"ttl_ms": 5000}))
        .on(DELETE, ONE, release, "Give a lock back")
        .refuses(409, not_yours)
}

/// The resource in the path.
#[derive(Debug)]
pub(super) struct ResourcePath(Resource);

impl FromRequestParts<Arc<Node>> for ResourcePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Node>) -> Result<Self, Problem> {
        let resource = Resource::try_new(path_texts(parts).await.first().map_or("", String::as_str));
        resource.map(Self).map_err(|error| invalid("resource", error.to_string()))
    }
}

impl Input for ResourcePath {
    fn describe(draft: &mut Draft<'_>) {
        draft.path_parameter::<Resource>();
    }
}

/// The token of a grant, from its header.
#[derive(Debug)]
pub(super) struct LockToken(String);

impl FromRequestParts<Arc<Node>> for LockToken {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Node>) -> Result<Self, Problem> {
        let token = parts.headers.get(TOKEN).and_then(|token| token.to_str().ok());
        let missing = || invalid(TOKEN, format!("the header {TOKEN} tells the token of the grant"));
        token.filter(|token| !token.is_empty()).map(|token| Self(token.to_owned())).ok_or_else(missing)
    }
}

impl Input for LockToken {
    fn describe(draft: &mut Draft<'_>) {
        draft.header(TOKEN, "The token of the grant.");
    }
}

fn invalid(field: &str, text: String) -> Problem {
    Fault::new(ErrorCode::InvalidData, text).in_field(field).into()
}

/// How a lock is wanted. All of it may be left out, and the body too.
#[derive(Debug, Deserialize, JsonSchema)]
struct Wanted {
    /// How long the lock lasts unless it is renewed, in milliseconds.
    #[schemars(range(min = TTL_MS.0, max = TTL_MS.1), extend("default" = LOCK_TTL.as_millis() as u64))]
    ttl_ms: Option<u64>,
    /// How long to stand in line for it, in milliseconds.
    #[schemars(range(max = WAIT_MS), extend("default" = 0))]
    wait_ms: Option<u64>,
    /// Tells a retry from a new request: it gets the grant that stands.
    request_id: Option<RequestId>,
    /// Who others are told holds it; the caller if absent. Only a service may name another.
    owner: Option<Agent>,
}

/// For how long a lock is renewed.
#[derive(Debug, Deserialize, JsonSchema)]
struct Renewed {
    /// In milliseconds; as long as before if absent.
    #[schemars(range(min = TTL_MS.0, max = TTL_MS.1))]
    ttl_ms: Option<u64>,
}

const TTL_MS: (u64, u64) = (LOCK_TTL_BOUNDS.0.as_millis() as u64, LOCK_TTL_BOUNDS.1.as_millis() as u64);
const WAIT_MS: u64 = LOCK_WAIT_MAX.as_millis() as u64;

fn ttl(ms: u64) -> Result<Duration, Problem> {
    let (shortest, longest) = TTL_MS;
    if (shortest..=longest).contains(&ms) {
        return Ok(Duration::from_millis(ms));
    }
    Err(invalid("ttl_ms", format!("ttl_ms: a lock lasts {shortest} to {longest} ms")))
}

fn wait(ms: u64) -> Result<Duration, Problem> {
    if ms <= WAIT_MS {
        return Ok(Duration::from_millis(ms));
    }
    Err(invalid("wait_ms", format!("wait_ms: at most {WAIT_MS}")))
}

async fn acquire(
    State(node): State<Arc<Node>>,
    caller: Caller,
    ResourcePath(resource): ResourcePath,
    body: Body<Wanted, false>,
) -> Result<Created<LockGranted>, Problem> {
    let wanted = body.read()?;
    let allowed = caller.may(Verb::Lock, resource.as_str())?;
    node.limits.lock_asked(allowed.tenant, allowed.agent)?;
    let ask = Ask {
        tenant: allowed.tenant.clone(),
        resource,
        owner: owner(allowed.agent, wanted.owner)?,
        subject: allowed.subject.to_owned(),
        request_id: wanted.request_id,
        ttl: wanted.ttl_ms.map_or(Ok(LOCK_TTL), ttl)?,
        wait: wanted.wait_ms.map_or(Ok(Duration::ZERO), wait)?,
    };
    let within = ask.wait + node.settings.handshake_timeout;
    match node.halt.run_until_cancelled(timeout(within, node.acquire(&ask))).await {
        Some(Ok(acquired)) => granted(&ask.resource, acquired?).map(Created),
        Some(Err(_late)) => Err(unknown("the lock was not answered in time")),
        None => Err(unknown("the node stops")),
    }
}

/// Who is told to hold a lock: whoever takes it, or, for a service, whom it takes it for.
fn owner(agent: &Agent, named: Option<Agent>) -> Result<Agent, Fault> {
    match named {
        Some(named) if named != *agent && agent.agent_type() != "service" => {
            let text = format!("{agent} may not lock for {named}");
            Err(Fault::new(ErrorCode::Forbidden, text).in_field("owner"))
        }
        named => Ok(named.unwrap_or_else(|| agent.clone())),
    }
}

fn granted(resource: &Resource, acquired: Acquired) -> Result<LockGranted, Problem> {
    match acquired {
        Acquired::Granted(Grant { token, fence, ttl }) => {
            Ok(LockGranted { resource: resource.clone(), token, fence, ttl_ms: ttl.as_millis() as u64 })
        }
        Acquired::Denied(denial) => Err(denied(&denial)),
    }
}

fn denied(denial: &Denial) -> Problem {
    let retry_after_ms = denial.retry_after.as_millis() as u64;
    let text = match &denial.held_by {
        Some(owner) => format!("{owner} holds the lock"),
        None => "the lock is not held by that token, or promised to somebody in line".to_owned(),
    };
    conflict(text, json!({"held_by": denial.held_by, "retry_after_ms": retry_after_ms}))
}

async fn renew(
    State(node): State<Arc<Node>>,
    caller: Caller,
    ResourcePath(resource): ResourcePath,
    LockToken(token): LockToken,
    body: Body<Renewed, false>,
) -> Result<Json<LockGranted>, Problem> {
    let ttl = body.read()?.ttl_ms.map(ttl).transpose()?;
    let tenant = caller.may(Verb::Lock, resource.as_str())?.tenant;
    let renewed = node.cluster.locks.renew(tenant, &resource, &token, ttl).await?;
    granted(&resource, renewed).map(Json)
}

async fn release(
    State(node): State<Arc<Node>>,
    caller: Caller,
    ResourcePath(resource): ResourcePath,
    LockToken(token): LockToken,
) -> Result<NoContent, Problem> {
    let tenant = caller.may(Verb::Lock, resource.as_str())?.tenant;
    match node.cluster.locks.release(tenant, &resource, &token).await? {
        Released::Released => Ok(NoContent),
        Released::Denied(denial) => Err(denied(&denial)),
    }
}

/// A resource as whoever looks at it sees it: never the token.
#[derive(Debug, Serialize, JsonSchema)]
struct Lock {
    resource: Resource,
    /// Whether somebody holds it.
    held: bool,
    /// Who.
    owner: Option<Agent>,
    /// The fence of the grant.
    fence: Option<u64>,
    /// How long it lasts from now, in milliseconds.
    ttl_ms: Option<u64>,
    /// How many stand in line for it.
    waiters: u64,
}

impl From<Held> for Lock {
    fn from(held: Held) -> Self {
        Self {
            resource: held.resource,
            held: true,
            owner: Some(held.owner),
            fence: Some(held.fence),
            ttl_ms: Some(held.remaining.as_millis() as u64),
            waiters: held.waiters,
        }
    }
}

async fn look(
    State(node): State<Arc<Node>>,
    caller: Caller,
    ResourcePath(resource): ResourcePath,
) -> Result<Json<Lock>, Problem> {
    let tenant = caller.may(Verb::Lock, resource.as_str())?.tenant;
    let held = node.cluster.locks.inspect(tenant, &resource).await?;
    let free = || Lock { resource, held: false, owner: None, fence: None, ttl_ms: None, waiters: 0 };
    Ok(Json(held.map_or_else(free, Lock::from)))
}

async fn list(
    State(node): State<Arc<Node>>,
    caller: Caller,
    Params(page): Params<Page>,
) -> Result<Json<List<Lock>>, Problem> {
    let cursor = page.cursor.as_deref();
    let tenant = caller.may(Verb::Lock, ANYTHING)?.tenant;
    let found = node.cluster.locks.list(tenant, cursor, page.limit()).await;
    let found = found.map_err(|error| match error {
        Error::Unreadable { .. } if cursor.is_some() => {
            invalid("cursor", "cursor: not one that this list gave".to_owned())
        }
        error => error.into(),
    })?;
    Ok(Json(List { items: found.items.into_iter().map(Lock::from).collect(), cursor: found.cursor }))
}
