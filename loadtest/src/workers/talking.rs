//! Messages of all processes at once: what came of them, and what the servers spent on them.

use std::time::Duration;

use anyhow::{Context, bail};
use tokio::time::sleep_until;

use super::{Load, Order, Told, Workers};
use crate::cluster::Cluster;
use crate::meter::{Meter, Spent};
use crate::observed::Timeline;
use crate::tally::Tally;

/// What is still under way when sending ends comes within this time, and the rest is told.
const ENDS_WITHIN: Duration = Duration::from_secs(60);

impl Workers {
    /// Has each of them send as `load` says, all at once, and measures the servers over the measured part.
    ///
    /// # Errors
    /// When a process fails, or takes too long.
    pub(crate) async fn talk(
        &mut self,
        cluster: &Cluster,
        order: impl Fn(Load) -> Order,
        load: Load,
    ) -> anyhow::Result<(Tally, Spent)> {
        let (generators, within) = (self.pids(), load.warm_up + load.measured + ENDS_WITHIN);
        let plant = |process| if process == 0 { load.plant } else { None };
        let orders =
            (0..generators.len()).map(|process| order(Load { plant: plant(process), ..load.clone() }));
        let timeline = Timeline::starting_now(load.warm_up, load.measured);
        let measuring = async {
            sleep_until(timeline.measured_from()).await;
            let meter = Meter::start_with(cluster, generators, 0).await?;
            sleep_until(timeline.began + timeline.end()).await;
            anyhow::Ok(meter.stop(0).await?)
        };
        let (told, spent) = tokio::join!(self.ask(orders.collect(), within, |_| {}), measuring);
        let mut tally = Tally::default();
        for told in told? {
            let Told::Messaged(share) = told else { bail!("a process told something else than what came") };
            tally.add(*share);
        }
        let mut spent = spent.context("the servers can't be measured")?;
        (spent.done, spent.rates) = (tally.measured, tally.rates.clone());
        Ok((tally, spent))
    }
}
