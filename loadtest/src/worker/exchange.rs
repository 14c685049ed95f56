//! Pairs of clients, each from one node to the next, that talk as `unicast` says.

use std::rc::Rc;

use anyhow::Context;

use super::messaging::counted;
use crate::observed::{Observed, Timeline};
use crate::pace::Schedule;
use crate::scenario::pairs::{self, Pair, RECEIVERS, SENDERS};
use crate::tally::Tally;
use crate::traffic::Traffic;
use crate::workers::{Load, Share};

/// The pairs, connected.
#[derive(Debug)]
pub(super) struct Pairs {
    pairs: Vec<Pair>,
    /// Messages of each that may be under way, if they talk at full speed.
    window: Option<u32>,
}

impl Pairs {
    /// Connects the pairs of this process: sender i stands on node i, counted round and round over all processes.
    pub(super) async fn connect(share: &Share, window: Option<u32>) -> anyhow::Result<Self> {
        let names: Vec<String> = (0..share.count).map(|pair| share.name(pair)).collect();
        let senders = names.iter().enumerate();
        let senders = senders.map(|(pair, name)| share.config(pair, share.first + pair, SENDERS, name));
        let receivers = names
            .iter()
            .enumerate()
            .map(|(pair, name)| share.config(share.count + pair, share.first + pair + 1, RECEIVERS, name));
        let pairs = pairs::connect_by(&names, receivers.collect(), senders.collect()).await?;
        Ok(Self { pairs, window })
    }

    /// Lets them talk, and waits for what is still under way.
    pub(super) async fn exchange(self, load: Load) -> anyhow::Result<Tally> {
        let timeline = Timeline::starting_now(load.warm_up, load.measured);
        let count = self.pairs.len();
        let observed = Observed::new(timeline, count, count);
        observed.borrow_mut().plant(load.plant);
        observed.borrow_mut().leave_out(load.hiccups.as_deref())?;
        let mut traffic = Traffic::new(Rc::clone(&observed), timeline, load.payload_bytes);
        let due = pairs::start(&mut traffic, self.pairs, self.window);
        let schedule = Schedule::try_new(load.per_second).context("a rate is positive")?;
        let pacing =
            async { if due.is_empty() { Ok(()) } else { Traffic::pace(timeline, schedule, due).await } };
        let (paced, counts) = tokio::join!(pacing, counted(timeline, &*observed));
        let told = if self.window.is_none() { schedule.arrivals_before(timeline.end()) } else { 0 };
        traffic.finish(|sent| sent.max(told)).await;
        paced?;
        let findings = observed.borrow().findings(|pair| pair);
        Ok(Tally::of(&mut observed.borrow_mut(), findings).counted(counts))
    }
}
