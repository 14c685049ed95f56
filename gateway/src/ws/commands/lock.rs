//! `lock:*`: the registry's locks, for clients. A lock's token alone tells its holder, so a lock outlives its
//! connection; `lock:RESOURCE` says who may use locks at all.

use std::sync::Arc;
use std::time::Duration;

use signalbox_identity::Verb;
use signalbox_protocol::control::{
    LockAcquire, LockDenied, LockGranted, LockProof, LockReleased, parse_data,
};
use signalbox_protocol::envelope::Incoming;
use signalbox_protocol::error::{ErrorCode, Fault};
use signalbox_protocol::limits::{LOCK_TTL_BOUNDS, LOCK_WAIT_MAX};
use signalbox_protocol::{Resource, Tenant};
use signalbox_registry::Error;
use signalbox_registry::lock::{Acquired, Ask, Denial, Grant, Released};

use crate::fleet;
use crate::node::Node;
use crate::ws::answer;
use crate::ws::asker::Asker;
use crate::ws::dispatch::{Later, Outcome, Step};

/// How long a lock is to last: within [`LOCK_TTL_BOUNDS`].
///
/// # Errors
/// [`ErrorCode::InvalidData`].
pub(crate) fn checked_ttl(ttl_ms: u64) -> Result<Duration, Fault> {
    let ttl = Duration::from_millis(ttl_ms);
    let (shortest, longest) = LOCK_TTL_BOUNDS;
    if (shortest..=longest).contains(&ttl) {
        return Ok(ttl);
    }
    let text = format!("ttl_ms is {} to {}", shortest.as_millis(), longest.as_millis());
    Err(Fault::new(ErrorCode::InvalidData, text).in_field("ttl_ms"))
}

/// How long to stand in line: at most [`LOCK_WAIT_MAX`].
///
/// # Errors
/// [`ErrorCode::InvalidData`].
pub(crate) fn checked_wait(wait_ms: u64) -> Result<Duration, Fault> {
    let wait = Duration::from_millis(wait_ms);
    if wait <= LOCK_WAIT_MAX {
        return Ok(wait);
    }
    let text = format!("wait_ms is at most {}", LOCK_WAIT_MAX.as_millis());
    Err(Fault::new(ErrorCode::InvalidData, text).in_field("wait_ms"))
}

pub(super) fn acquire(node: &Arc<Node>, asker: Asker<'_>, incoming: &Incoming<'_>) -> Result<Step, Fault> {
    let asked: LockAcquire = parse_data(incoming.data)?;
    let connection = asker.may(Verb::Lock, asked.resource.as_str())?;
    node.limits.lock_attempt(connection)?;
    let profile = connection.profile();
    let ask = Ask {
        tenant: profile.tenant.clone(),
        resource: asked.resource,
        owner: profile.agent.clone(),
        subject: profile.subject().to_owned(),
        request_id: asked.request_id,
        ttl: checked_ttl(asked.ttl_ms)?,
        wait: checked_wait(asked.wait_ms)?,
    };
    let correlation_id = incoming.answer_to().map(str::to_owned);
    let (node, correlation, is_short) = (Arc::clone(node), correlation_id.clone(), ask.wait.is_zero());
    let work = Box::pin(async move {
        let acquired = node.acquire(&ask).await;
        acquired_outcome(acquired, ask.resource, correlation)
    });
    Ok(if is_short { Step::Wait(work) } else { Step::Later(Later { work, correlation_id }) })
}

pub(super) fn renew(node: &Arc<Node>, asker: Asker<'_>, incoming: &Incoming<'_>) -> Result<Step, Fault> {
    let (node, tenant, proof, correlation) = parts(node, asker, incoming)?;
    Ok(Step::Wait(Box::pin(async move {
        let renewed = node.cluster.locks.renew(&tenant, &proof.resource, &proof.token, None).await;
        acquired_outcome(renewed, proof.resource, correlation)
    })))
}

pub(super) fn release(node: &Arc<Node>, asker: Asker<'_>, incoming: &Incoming<'_>) -> Result<Step, Fault> {
    let (node, tenant, proof, correlation) = parts(node, asker, incoming)?;
    Ok(Step::Wait(Box::pin(async move {
        let resource = proof.resource;
        match node.cluster.locks.release(&tenant, &resource, &proof.token).await {
            Ok(Released::Released) => {
                let data = LockReleased { resource };
                Outcome::Reply(answer::reply("lock:released", correlation.as_deref(), &data))
            }
            Ok(Released::Denied(denial)) => denied(denial, resource, correlation.as_deref()),
            Err(error) => Outcome::Failed(fleet::registry_fault(&error), correlation),
        }
    })))
}

type Parts = (Arc<Node>, Tenant, LockProof, Option<String>);

fn parts(node: &Arc<Node>, asker: Asker<'_>, incoming: &Incoming<'_>) -> Result<Parts, Fault> {
    let proof: LockProof = parse_data(incoming.data)?;
    let correlation = incoming.answer_to().map(str::to_owned);
    let connection = asker.may(Verb::Lock, proof.resource.as_str())?;
    Ok((Arc::clone(node), connection.profile().tenant.clone(), proof, correlation))
}

fn acquired_outcome(
    acquired: Result<Acquired, Error>,
    resource: Resource,
    correlation_id: Option<String>,
) -> Outcome {
    match acquired {
        Ok(Acquired::Granted(Grant { token, fence, ttl })) => {
            let data = LockGranted { resource, token, fence, ttl_ms: ttl.as_millis() as u64 };
            Outcome::Reply(answer::reply("lock:granted", correlation_id.as_deref(), &data))
        }
        Ok(Acquired::Denied(denial)) => denied(denial, resource, correlation_id.as_deref()),
        Err(error) => Outcome::Failed(fleet::registry_fault(&error), correlation_id),
    }
}

fn denied(denial: Denial, resource: Resource, correlation_id: Option<&str>) -> Outcome {
    let retry_after_ms = denial.retry_after.as_millis() as u64;
    let data = LockDenied { resource, held_by: denial.held_by, retry_after_ms };
    Outcome::Reply(answer::reply("lock:denied", correlation_id, &data))
}
