//! The floor: one bare publish/subscribe hop through Redis, in the same open loop as the messages.

use std::io;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::{new_report, note_run};
use crate::cluster::Cluster;
use crate::latency::Latencies;
use crate::observed::Timeline;
use crate::options::{Redis, Run};
use crate::pace::{Pacer, Schedule};
use crate::plant::Plant;
use crate::report::Report;
use crate::resp::{RedisConnection, Reply};
use crate::sequence::{Findings, Stream};
use crate::tick::Tick;

const CHANNEL: &[u8] = b"signalbox-load";

/// The last message comes within this time, or never.
const QUIET: Duration = Duration::from_secs(2);

/// What a bare hop took.
#[derive(Debug)]
pub(crate) struct Hop {
    pub(crate) latencies: Latencies,
    pub(crate) findings: Findings,
}

pub(crate) async fn run(options: &Redis, cluster: &Cluster) -> anyhow::Result<Report> {
    let mut report = new_report("redis", cluster).await;
    note_run(&mut report, &options.run);
    report.setting("payload_bytes", options.payload.bytes);
    report.setting("rate_per_second", options.rate.per_second());
    let plant = Plant::new(options.planted.plant);
    let hop = measure_with(plant, cluster, options.rate, &options.run, options.payload.bytes).await?;
    report.latencies("latency", &hop.latencies);
    report.result("measured", hop.latencies.count());
    report.findings(hop.findings);
    Ok(report)
}

/// Publishes on one connection and receives on another, both this tester's.
pub(crate) async fn measure(
    cluster: &Cluster,
    rate: Schedule,
    run: &Run,
    payload_bytes: usize,
) -> anyhow::Result<Hop> {
    measure_with(Plant::default(), cluster, rate, run, payload_bytes).await
}

async fn measure_with(
    plant: Plant,
    cluster: &Cluster,
    rate: Schedule,
    run: &Run,
    payload_bytes: usize,
) -> anyhow::Result<Hop> {
    let address = cluster.redis.as_deref().context("where is Redis? Name it with --redis HOST:PORT")?;
    let mut subscriber = RedisConnection::connect(address).await.context("no subscriber")?;
    let mut publisher = RedisConnection::connect(address).await.context("no publisher")?;
    let Reply::Array(Some(_)) = subscriber.ask(&[b"SUBSCRIBE", CHANNEL]).await? else {
        bail!("Redis refuses the subscription");
    };
    let timeline = Timeline::starting_now(run.warm_up_seconds, run.seconds);
    let total = rate.arrivals_before(timeline.end());
    let mut heard = Heard { plant, stream: Stream::default(), latencies: Latencies::default() };
    let publishing = async {
        let mut pacer = Pacer::new()?;
        for number in 0..total {
            let due = rate.due(number);
            pacer.until(timeline.began + due).await?;
            let data = data(number, due, payload_bytes);
            publisher.send(&[b"PUBLISH", CHANNEL, data.get().as_bytes()]).await?;
            // Its reply is read with the next one's: waiting for it would close the loop.
            publisher.discard_received()?;
        }
        io::Result::Ok(())
    };
    let receiving = heard.receive(&mut subscriber, total, timeline);
    let (published, received) = tokio::join!(publishing, receiving);
    published.context("publishing failed")?;
    received?;
    Ok(Hop { findings: heard.stream.findings(total), latencies: heard.latencies })
}

/// What the subscriber heard.
struct Heard {
    plant: Plant,
    stream: Stream,
    latencies: Latencies,
}

impl Heard {
    /// Receives until all came or nothing comes any more.
    async fn receive(
        &mut self,
        subscriber: &mut RedisConnection,
        total: u64,
        timeline: Timeline,
    ) -> anyhow::Result<()> {
        for _ in 0..total {
            let quiet = timeline.began + timeline.end() + QUIET;
            let limit = quiet.saturating_duration_since(tokio::time::Instant::now()).max(QUIET);
            let Ok(message) = timeout(limit, subscriber.receive()).await else { break };
            let tick = tick(&message?).context("what was published did not come back as it was")?;
            for number in self.plant.pass(0, tick.number).into_iter().flatten() {
                self.stream.note(number);
            }
            if timeline.measures(tick.due()) {
                self.latencies.record(timeline.began.elapsed().saturating_sub(tick.due()));
            }
        }
        Ok(())
    }
}

fn data(number: u64, due: Duration, bytes: usize) -> Box<RawValue> {
    Tick { from: 0, number, due_ns: due.as_nanos() as u64 }.data(bytes)
}

/// What the message in `["message", channel, data]` tells.
fn tick(message: &Reply) -> Option<Tick> {
    let Reply::Array(Some(parts)) = message else { return None };
    let [Reply::Bulk(Some(_)), Reply::Bulk(Some(_)), Reply::Bulk(Some(data))] = parts.as_slice() else {
        return None;
    };
    serde_json::from_slice(data).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_message_tells_when_it_was_due() {
        let data = data(5, Duration::from_millis(7), 200);
        let bulk = |bytes: &[u8]| Reply::Bulk(Some(bytes.to_vec()));
        let message = Reply::Array(Some(vec![bulk(b"message"), bulk(CHANNEL), bulk(data.get().as_bytes())]));
        assert_eq!(tick(&message), Some(Tick { from: 0, number: 5, due_ns: 7_000_000 }));
        assert_eq!(tick(&Reply::Integer(1)), None);
        assert_eq!(tick(&Reply::Array(Some(vec![bulk(b"message"), bulk(CHANNEL), bulk(b"{}")]))), None);
    }
}
