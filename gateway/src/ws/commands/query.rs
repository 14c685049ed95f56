//! `vehicle:query_commuters`: who waits near a vehicle.

use std::sync::Arc;

use signalbox_identity::Verb;
use signalbox_protocol::control::{QueryCommuters, parse_data};
use signalbox_protocol::envelope::Incoming;
use signalbox_protocol::error::Fault;
use signalbox_protocol::timestamp::Timestamp;
use signalbox_reservoir::reservoir::{Answer, Query, Source};

use crate::fleet;
use crate::node::Node;
use crate::stamps::now_ms;
use crate::ws::answer;
use crate::ws::asker::Asker;
use crate::ws::dispatch::{Outcome, Step};

pub(super) fn commuters(node: &Arc<Node>, asker: Asker<'_>, incoming: &Incoming<'_>) -> Result<Step, Fault> {
    let asked: QueryCommuters = parse_data(incoming.data)?;
    let pool = asked.pool()?;
    let tenant = asker.may(Verb::Query, pool.as_str())?.profile().tenant.clone();
    let query =
        Query { pool, position: asked.position, radius_km: asked.radius_km, max_results: asked.max_results };
    let correlation = incoming.answer_to().map(str::to_owned);
    let node = Arc::clone(node);
    Ok(Step::Wait(Box::pin(async move {
        let answer = node.query(&tenant, &query).await;
        match answer {
            Ok(answer) => Outcome::Reply(found(&answer, correlation.as_deref())),
            Err(error) => Outcome::Failed(fleet::fault(&error), correlation),
        }
    })))
}

fn found(answer: &Answer, correlation_id: Option<&str>) -> bytes::Bytes {
    let now = Timestamp(now_ms());
    let cached: &[u8] = if answer.source == Source::Hit { b"true" } else { b"false" };
    // A `CommutersFound`.
    answer::reply_with("vehicle:commuters_found", correlation_id, &|out: &mut Vec<u8>| {
        out.extend_from_slice(br#"{"commuters":"#);
        answer.write_events(out, now);
        for part in [br#","cached":"#.as_slice(), cached, b"}"] {
            out.extend_from_slice(part);
        }
    })
}
