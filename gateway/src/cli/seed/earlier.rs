//! What earlier runs with the same seed have left: ids that are taken, and passengers who still wait.

use anyhow::bail;
use hyper::{Method, StatusCode};
use serde::Deserialize;
use signalbox_protocol::PassengerId;
use signalbox_protocol::fleet::PoolKind;

use super::plan::Plan;
use crate::cli::http::Http;

/// Passengers of one page of a list.
const PAGE: &str = "1000";
/// More rounds of one seed than anybody has the patience for.
const ROUNDS_MAX: u32 = 1_000;

#[derive(Debug, Deserialize)]
struct Page {
    items: Vec<Listed>,
    cursor: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Listed {
    passenger_id: PassengerId,
}

/// The round whose ids are free. Only `--replace` goes beyond the first.
pub(super) async fn free_round(http: &mut Http, plan: &Plan, replace: bool) -> anyhow::Result<u32> {
    for round in 0..ROUNDS_MAX {
        let arrivals = plan.arrivals(round)?;
        let Some((_, first)) = arrivals.first() else { return Ok(round) };
        let id = &first.passenger_id;
        let answer = http.get(&path(id), &[]).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(round);
        }
        answer.success()?;
        if !replace {
            bail!("{}", taken(id.as_str()));
        }
    }
    bail!("{ROUNDS_MAX} rounds of this seed are known: give another --seed")
}

/// What to do about passengers that exist.
pub(super) fn taken(what: &str) -> String {
    format!(
        "an earlier run has pushed passengers of this seed ({what}): give another --seed, or --replace to cancel \
         those who still wait and push under new ids"
    )
}

/// Cancels the passengers of this seed who still wait in the pools; how many.
pub(super) async fn cancel_waiting(http: &mut Http, plan: &Plan) -> anyhow::Result<usize> {
    let mut cancelled = 0;
    for ground in plan.grounds() {
        let pool = ground.pool();
        let name = match pool.kind() {
            PoolKind::Route => "route_id",
            PoolKind::Depot => "depot_id",
        };
        let mut cursor: Option<String> = None;
        loop {
            let mut query = vec![(name, pool.id()), ("state", "waiting"), ("limit", PAGE)];
            query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let page: Page = http.get("/api/passengers", &query).await?.json()?;
            for listed in
                page.items.iter().filter(|listed| plan.is_of_this_seed(listed.passenger_id.as_str()))
            {
                cancelled += usize::from(cancel(http, &listed.passenger_id).await?);
            }
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
    }
    Ok(cancelled)
}

/// Whether it was cancelled; not if a vehicle was faster.
async fn cancel(http: &mut Http, id: &PassengerId) -> anyhow::Result<bool> {
    let answer = http.call(Method::DELETE, &path(id), &[], "").await?;
    match answer.status {
        StatusCode::CONFLICT | StatusCode::NOT_FOUND => Ok(false),
        _ => answer.success().map(|()| true),
    }
}

/// Ids hold no character that a path could not.
fn path(id: &PassengerId) -> String {
    format!("/api/passengers/{id}")
}
