//! Messages: to all who follow a topic, or from one client to another on the next server.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, ensure};
use futures_util::future::{join_all, try_join_all};
use tokio::time::timeout;

use super::{Crowd, own_topics};
use crate::cluster::Cluster;
use crate::meter;
use crate::observed::{Observed, Timeline};
use crate::options::Peers;
use crate::peers::{Caller, Role, Topic};
use crate::report::Report;
use crate::scenario::{note_observed, run_name};
use crate::traffic::{Traffic, Window};

/// A probe reaches its followers within this time, or is sent again.
const PROBED_WITHIN: Duration = Duration::from_millis(300);

/// Servers that do not know each other after so many probes never will.
const PROBES_MAX: u32 = 50;

/// One publisher, many subscribers in turn on both servers.
pub(super) async fn fan_out(
    crowd: &Crowd<'_>,
    options: &Peers,
    cluster: &Cluster,
    report: &mut Report,
) -> anyhow::Result<()> {
    let topic = Topic::Shared(run_name());
    let followers = vec![topic.clone(); options.clients as usize];
    let followers = crowd.connect(Role::Follow, followers, |number| number).await?;
    let publishers = crowd.connect(Role::Publish, vec![topic], |_| 0).await?;
    let window = options.full_speed.then(|| Window::shared_by(options.clients, options.window));
    let talk = Talk { followers, publishers, windows: vec![window], of: "delivery", ofs: "deliveries" };
    talk.measure(options, cluster, report).await
}

/// Pairs: who publishes is on the first server, who follows on the second.
pub(super) async fn unicast(
    crowd: &Crowd<'_>,
    options: &Peers,
    cluster: &Cluster,
    report: &mut Report,
) -> anyhow::Result<()> {
    let topics = own_topics(options.clients as usize);
    let followers = crowd.connect(Role::Follow, topics.clone(), |_| 1).await?;
    let publishers = crowd.connect(Role::Publish, topics, |_| 0).await?;
    let windows =
        publishers.iter().map(|_| options.full_speed.then(|| Window::new(options.window))).collect();
    let talk = Talk { followers, publishers, windows, of: "message", ofs: "messages" };
    talk.measure(options, cluster, report).await
}

/// Who talks to whom: follower n hears publisher n, or the only one.
struct Talk {
    followers: Vec<Caller>,
    publishers: Vec<Caller>,
    /// Of each publisher.
    windows: Vec<Option<Rc<Window>>>,
    /// What is counted, and several of it.
    of: &'static str,
    ofs: &'static str,
}

impl Talk {
    async fn measure(
        mut self,
        options: &Peers,
        cluster: &Cluster,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        self.probe().await?;
        let (senders, receivers) = (self.publishers.len(), self.followers.len());
        let timeline = Timeline::starting_now(options.run.warm_up_seconds, options.run.seconds);
        let observed = Observed::new(timeline, senders, receivers);
        observed.borrow_mut().plant(options.planted.plant);
        let mut traffic = Traffic::new(Rc::clone(&observed), timeline, options.payload.bytes);
        for (number, follower) in self.followers.into_iter().enumerate() {
            traffic.follow(number, follower, self.windows[number % senders].clone());
        }
        let mut due = Vec::new();
        for (number, (publisher, window)) in self.publishers.into_iter().zip(self.windows).enumerate() {
            match window {
                Some(window) => traffic.publish_at_full_speed(number, publisher, window),
                None => due.push(traffic.publish_when_due(number, publisher)),
            }
        }
        let pacing =
            async { if due.is_empty() { Ok(()) } else { Traffic::pace(timeline, options.rate, due).await } };
        let (paced, spent) = tokio::join!(pacing, meter::measure(cluster, timeline, &*observed));
        traffic.finish(|sent| sent * (receivers / senders) as u64).await;
        if let Err(error) = paced {
            report.failure(error.to_string());
        }
        let spent = spent.context("the servers can't be measured")?;
        spent.note(report, self.of, self.ofs);
        spent.judge(report, observed.borrow().send_lags().quantile(0.99));
        note_observed(report, &observed, |receiver| receiver % senders);
        Ok(())
    }

    /// Waits until servers know who follows what, however they tell each other: until a message reached everybody. Those
    /// of earlier rounds came before it, or never will.
    async fn probe(&mut self) -> anyhow::Result<()> {
        for round in 0..PROBES_MAX {
            let probe = format!(r#"{{"type":"load:probe","data":{{"round":{round}}}}}"#);
            let end = format!(r#""round":{round}}}"#);
            try_join_all(self.publishers.iter_mut().map(async |publisher| {
                publisher.publish(&probe);
                publisher.flush().await
            }))
            .await?;
            let probed = join_all(self.followers.iter_mut().map(|follower| {
                let end = end.as_bytes();
                let reached = async move {
                    let mut reached = false;
                    while !reached {
                        let here = |message: &[u8]| message.windows(end.len()).any(|part| part == end);
                        follower.hear(|message, _| reached |= here(message)).await?;
                    }
                    anyhow::Ok(())
                };
                timeout(PROBED_WITHIN, reached)
            }))
            .await;
            let mut all = true;
            for probed in probed {
                match probed {
                    Ok(ended) => ended?,
                    Err(_) => all = false,
                }
            }
            if all {
                return Ok(());
            }
        }
        ensure!(false, "the servers do not hand on what is published");
        Ok(())
    }
}
