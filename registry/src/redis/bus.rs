//! The bus over Redis: its two halves and its subscriptions behind one trait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use signalbox_protocol::{Tenant, Topic};
use tokio::sync::oneshot;

use super::call::{Call, read};
use super::follow::Followed;
use super::inlet::Inlet;
use super::lanes::{Lanes, Outcome};
use super::store::Store;
use super::subscriber::Subscriber;
use crate::bus::batch::Batch;
use crate::bus::{BusCounters, BusHealth};
use crate::measured::Measured;
use crate::{Bus, BusListener, Destination, Error, Parcel};

/// Channels that are asked about at a time.
const CHANNELS_PER_CALL: usize = 500;

/// One node's bus.
#[derive(Debug)]
pub(super) struct RedisBus {
    pub(super) lanes: Arc<Lanes>,
    pub(super) inlet: Arc<Inlet>,
    pub(super) followed: Arc<Followed>,
    pub(super) subscriber: Arc<Subscriber>,
    pub(super) store: Arc<Store>,
}

#[async_trait]
impl Bus for RedisBus {
    fn attach(&self, listener: Arc<dyn BusListener>) {
        self.inlet.attach(listener);
    }

    fn post(&self, to: &Destination, parcel: Parcel) -> Result<(), Error> {
        self.lanes.post(to, &parcel, None)
    }

    fn post_confirmed(&self, to: &Destination, parcel: Parcel) -> BoxFuture<'static, Result<u64, Error>> {
        let (tell, outcome) = oneshot::channel();
        if let Err(error) = self.lanes.post(to, &parcel, Some(tell)) {
            return std::future::ready(Err(error)).boxed();
        }
        let answer = async {
            match outcome.await {
                Ok(Outcome::Taken(nodes)) => Ok(nodes),
                Ok(Outcome::NotSent) => Err(Error::Unavailable(None)),
                // The flush was cut off with its runtime: nobody knows.
                Ok(Outcome::Unknown) | Err(_) => Err(Error::OutcomeUnknown(None)),
            }
        };
        answer.boxed()
    }

    async fn subscribe(&self, tenant: &Tenant, topic: &Topic) -> Result<(), Error> {
        self.subscriber.follow((tenant.clone(), topic.clone())).await
    }

    fn unsubscribe(&self, tenant: &Tenant, topic: &Topic) {
        self.followed.unwant((tenant.clone(), topic.clone()));
    }

    fn resubscribe(&self) {
        self.subscriber.renew();
    }

    fn topics(&self) -> Vec<(Tenant, Topic, u64)> {
        self.followed.topics()
    }

    async fn followed(&self, tenant: &Tenant) -> Result<Vec<(Topic, u64)>, Error> {
        let mut bulk = self.store.bulk().await?;
        let prefix = self.store.keys.channel_prefix(tenant);
        let [list, count] = match self.store.keys.is_sharded() {
            true => [Call::new("PUBSUB").arg("SHARDCHANNELS"), Call::new("PUBSUB").arg("SHARDNUMSUB")],
            false => [Call::new("PUBSUB").arg("CHANNELS"), Call::new("PUBSUB").arg("NUMSUB")],
        };
        let mut followed = Vec::new();
        for server in 0..bulk.servers() {
            let channels = list.clone().arg(format!("{prefix}*"));
            let channels: Vec<String> = read(bulk.one_at(server, channels).await?, "list of channels")?;
            for some in channels.chunks(CHANNELS_PER_CALL) {
                let counts = bulk.one_at(server, count.clone().arg(some)).await?;
                let counts: Vec<(String, u64)> = read(counts, "count of subscribers")?;
                followed.extend(counts.into_iter().filter_map(|(channel, nodes)| {
                    let topic = self.store.keys.topic_of_channel(tenant, &channel)?;
                    Some((topic, nodes)).filter(|(_, nodes)| *nodes > 0)
                }));
            }
        }
        Ok(followed)
    }

    fn health(&self) -> BusHealth {
        self.subscriber.health()
    }

    fn counters(&self) -> BusCounters {
        let (subscriptions, bytes_queued) = (self.followed.len() as u64, self.lanes.bytes());
        BusCounters { subscriptions, bytes_queued, ..self.followed.tally().read() }
    }
}

/// What a node's bus did, as it happens.
#[derive(Debug, Default)]
pub(super) struct Tally {
    batches_out: AtomicU64,
    parcels_out: AtomicU64,
    bytes_out: AtomicU64,
    parcels_dropped: AtomicU64,
    batches_in: AtomicU64,
    parcels_in: AtomicU64,
    announcements_in: AtomicU64,
    batches_late: AtomicU64,
    batches_missed: AtomicU64,
    batches_malformed: AtomicU64,
    reconnects: AtomicU64,
    measured: Arc<Measured>,
}

impl Tally {
    pub(super) fn new(measured: &Arc<Measured>) -> Self {
        Self { measured: Arc::clone(measured), ..Self::default() }
    }

    pub(super) fn sent(&self, batch: &Batch) {
        self.batches_out.fetch_add(1, Ordering::Relaxed);
        self.parcels_out.fetch_add(batch.parcels(), Ordering::Relaxed);
        self.bytes_out.fetch_add(batch.bytes().len() as u64, Ordering::Relaxed);
        self.measured.batch_parcels.note(batch.parcels());
    }

    /// A probe came back after so long.
    pub(super) fn probed(&self, lag: Duration) {
        self.measured.bus_lag.note_time(lag);
    }

    pub(super) fn dropped(&self, parcels: u64) {
        self.parcels_dropped.fetch_add(parcels, Ordering::Relaxed);
    }

    pub(super) fn received(&self, parcels: u64, missed: u64) {
        self.batches_in.fetch_add(1, Ordering::Relaxed);
        self.parcels_in.fetch_add(parcels, Ordering::Relaxed);
        self.batches_missed.fetch_add(missed, Ordering::Relaxed);
    }

    pub(super) fn announced(&self) {
        self.announcements_in.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn late(&self) {
        self.batches_late.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn malformed(&self) {
        self.batches_malformed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn reconnected(&self) {
        self.reconnects.fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self) -> BusCounters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        BusCounters {
            batches_out: read(&self.batches_out),
            parcels_out: read(&self.parcels_out),
            bytes_out: read(&self.bytes_out),
            parcels_dropped: read(&self.parcels_dropped),
            batches_in: read(&self.batches_in),
            parcels_in: read(&self.parcels_in),
            announcements_in: read(&self.announcements_in),
            batches_late: read(&self.batches_late),
            batches_missed: read(&self.batches_missed),
            batches_malformed: read(&self.batches_malformed),
            reconnects: read(&self.reconnects),
            ..BusCounters::default()
        }
    }
}
