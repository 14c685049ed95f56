//! A message to each of many clients in turn, through another node than its own.

use std::rc::Rc;

use anyhow::Context;
use signalbox_client::Wire;
use tokio::time::sleep_until;

use crate::crowd::Crowd;
use crate::meter::{Watched, watch};
use crate::observed::{Observed, Timeline};
use crate::pace::Schedule;
use crate::report::Points;
use crate::tally::Tally;
use crate::traffic::Traffic;
use crate::workers::Load;

/// Sends as `load` says, and waits for what is still under way.
pub(super) async fn message(crowd: &Crowd, load: Load) -> anyhow::Result<Tally> {
    let (share, mut senders) = (crowd.share(), Vec::new());
    for node in 0..share.urls.len() {
        let targets = crowd.beyond(node);
        if !targets.is_empty() {
            let name = format!("{}-{}-{node}", share.run, share.process);
            let config = share.config(share.count, node, "service", &name);
            let (wire, _) = Wire::connect(&config).await.with_context(|| config.url.clone())?;
            senders.push((wire, targets));
        }
    }
    let timeline = Timeline::starting_now(load.warm_up, load.measured);
    let observed = Observed::new(timeline, share.count, share.count);
    observed.borrow_mut().plant(load.plant);
    observed.borrow_mut().leave_out(load.hiccups.as_deref())?;
    crowd.judged_by(&observed);
    let mut traffic = Traffic::new(Rc::clone(&observed), timeline, load.payload_bytes);
    let due = senders.into_iter().map(|(wire, targets)| traffic.send_in_turn(wire, targets)).collect();
    let schedule = Schedule::try_new(load.per_second).context("a rate is positive")?;
    let pacing = Traffic::pace(timeline, schedule, due);
    let (paced, counts) = tokio::join!(pacing, counted(timeline, &*observed));
    // A sender that was told of a message may not have sent it yet.
    traffic.finish(|_| schedule.arrivals_before(timeline.end())).await;
    paced?;
    let findings = observed.borrow().findings(|client| client);
    Ok(Tally::of(&mut observed.borrow_mut(), findings).counted(counts))
}

/// How much was done in the measured part, and second by second.
pub(super) async fn counted(timeline: Timeline, watched: &impl Watched) -> (u64, Points) {
    sleep_until(timeline.measured_from()).await;
    let before = watched.done();
    let rates = watch(timeline, watched).await;
    (watched.done() - before, rates)
}
