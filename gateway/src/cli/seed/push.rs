//! Pushes passengers in batches, each until it is known what became of it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use hyper::{Method, StatusCode};
use signalbox_protocol::fleet::NewPassenger;
use signalbox_protocol::timestamp::Timestamp;
use tokio::time::Instant;

use super::SeedArgs;
use super::earlier::{cancel_waiting, free_round, taken};
use super::plan::Plan;
use super::progress::Progress;
use super::timetable::Timetable;
use crate::cli::http::Http;

/// How often a batch is sent before it is given up, and the pause after the first failure; it doubles.
const ATTEMPTS: u32 = 6;
const PAUSE: Duration = Duration::from_millis(200);

/// What was done.
#[derive(Debug, Default)]
pub(super) struct Pushed {
    pub(super) by_pool: BTreeMap<String, usize>,
    pub(super) cancelled: usize,
    pub(super) label: String,
    pub(super) took: Duration,
}

pub(super) async fn push_all(args: &SeedArgs, plan: &Plan) -> anyhow::Result<Pushed> {
    let mut http = args.api.http()?;
    let round = free_round(&mut http, plan, args.replace).await?;
    let cancelled = if args.replace { cancel_waiting(&mut http, plan).await? } else { 0 };
    let mut pushed = Pushed { cancelled, label: plan.label(round), ..Pushed::default() };
    let arrivals = plan.arrivals(round)?;
    let mut progress = Progress::start(arrivals.len());
    let begun = Instant::now();
    let mut timetable = Timetable::start(arrivals, args.start_hour, args.speed);
    let mut done = 0;
    loop {
        let mut batch = timetable.next().await;
        if batch.is_empty() {
            break;
        }
        set_end(&mut batch, args.expires_in);
        match push(&mut http, &batch).await.with_context(|| format!("after {done} passengers"))? {
            Outcome::Taken => {}
            Outcome::Exists(detail) => bail!("after {done} passengers: {}", taken(&detail)),
        }
        done += batch.len();
        for passenger in &batch {
            let pool = passenger.pool.as_ref().map(ToString::to_string).unwrap_or_default();
            *pushed.by_pool.entry(pool).or_default() += 1;
        }
        progress.show(done);
    }
    pushed.took = begun.elapsed();
    Ok(pushed)
}

/// Waiting ends so long from now.
fn set_end(batch: &mut [NewPassenger], expires_in: Option<Duration>) {
    let Some(expires_in) = expires_in else { return };
    let end = SystemTime::now() + expires_in;
    let since_1970 = end.duration_since(UNIX_EPOCH).unwrap_or_default();
    for passenger in batch {
        passenger.expires_at = Some(Timestamp(since_1970.as_millis() as u64));
    }
}

/// What became of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) enum Outcome {
    /// All are in.
    Taken,
    /// None is in: there is a passenger of one of the ids. Says the node.
    Exists(String),
}

/// Pushes a batch, all or none. Tries again while the node can't; after a lost answer "exists" means that it
/// had been done.
pub(in crate::cli) async fn push(http: &mut Http, batch: &[NewPassenger]) -> anyhow::Result<Outcome> {
    let body = serde_json::to_vec(batch)?;
    let mut maybe_done = false;
    let mut pause = PAUSE;
    let mut attempt = 0;
    loop {
        attempt += 1;
        let failed = match http.call(Method::POST, "/api/passengers", &[], body.clone()).await {
            Ok(answer) if answer.status == StatusCode::CONFLICT && maybe_done => return Ok(Outcome::Taken),
            Ok(answer) => match (answer.status, answer.success()) {
                (_, Ok(())) => return Ok(Outcome::Taken),
                (StatusCode::CONFLICT, Err(exists)) => return Ok(Outcome::Exists(exists.to_string())),
                (StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT, Err(unknown)) => {
                    maybe_done = true;
                    unknown
                }
                (_, Err(later)) if answer.is_from_a_node_in_trouble() => later,
                (_, Err(refused)) => return Err(refused),
            },
            Err(error) => {
                maybe_done |= !error.nothing_was_done();
                error.into()
            }
        };
        if attempt == ATTEMPTS {
            return Err(failed);
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}
