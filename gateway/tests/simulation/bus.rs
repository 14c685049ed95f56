//! A node's bus on a bad road. It breaks no promise of the registry's bus: what one node posts to one destination
//! stays in order and comes once; stored messages may come late, twice, or not at all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use signalbox_protocol::{NodeId, Tenant, Topic};
use signalbox_registry::bus::{Break, BusCounters, BusHealth, BusListener};
use signalbox_registry::{Announcement, Bus, Destination, Error, Logged, Parcel};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use crate::climate::Fault;
use crate::link::Link;
use crate::weather::Away;

/// How late what is late may be.
const LATE_MAX_MS: u64 = 400;
/// In ordinary times.
const TRANSIT_MAX_MS: u64 = 4;

/// What a node's bus does, over the one in memory.
#[derive(Debug)]
pub(crate) struct FaultyBus {
    inner: Arc<dyn Bus>,
    link: Arc<Link>,
    inlet: OnceLock<Arc<Inlet>>,
    tasks: TaskTracker,
}

impl FaultyBus {
    pub(crate) fn new(inner: Arc<dyn Bus>, link: &Arc<Link>, tasks: &TaskTracker) -> Arc<Self> {
        let (inlet, tasks) = (OnceLock::new(), tasks.clone());
        Arc::new(Self { inner, link: Arc::clone(link), inlet, tasks })
    }

    /// The node may have missed something, and is about to learn that.
    pub(crate) fn reconnected(&self) {
        if let Some(inlet) = self.inlet.get() {
            let at = Instant::now() + self.link.within("reconnecting", 300);
            inlet.put(Arrival::Break(Break::Reconnected), at);
        }
    }

    /// Whether a post goes nowhere, and nobody can tell.
    fn loses(&self, what: &str) -> bool {
        self.link.is_cut() || self.link.happens(Fault::ParcelLost, what)
    }

    /// Whether it is known that nobody listens there.
    fn is_dead(&self, to: &Destination) -> bool {
        matches!(to, Destination::Node(node) if self.link.weather().away(node) == Some(Away::Dead))
    }
}

#[async_trait]
impl Bus for FaultyBus {
    fn attach(&self, listener: Arc<dyn BusListener>) {
        let inlet = Arc::new(Inlet {
            listener,
            link: Arc::clone(&self.link),
            waiting: Mutex::default(),
            changed: Notify::new(),
        });
        assert!(self.inlet.set(Arc::clone(&inlet)).is_ok(), "a listener is attached once");
        self.tasks.spawn(Arc::clone(&inlet).pump());
        self.inner.attach(inlet);
    }

    fn post(&self, to: &Destination, parcel: Parcel) -> Result<(), Error> {
        if self.link.is_down() {
            return Err(Error::Unavailable(None));
        }
        if self.loses(&name(&parcel)) || self.is_dead(to) { Ok(()) } else { self.inner.post(to, parcel) }
    }

    fn post_confirmed(&self, to: &Destination, parcel: Parcel) -> BoxFuture<'static, Result<u64, Error>> {
        if self.link.is_down() {
            return std::future::ready(Err(Error::Unavailable(None))).boxed();
        }
        let what = name(&parcel);
        let posted = match (self.loses(&what), self.is_dead(to)) {
            (true, _) => None,
            (false, true) => Some(std::future::ready(Ok(0)).boxed()),
            (false, false) => Some(self.inner.post_confirmed(to, parcel)),
        };
        let link = Arc::clone(&self.link);
        Box::pin(async move {
            if let Some(posted) = posted {
                let taken = posted.await;
                if link.travel(&what).await {
                    return taken;
                }
            }
            link.give_up().await;
            Err(Error::OutcomeUnknown(None))
        })
    }

    async fn subscribe(&self, tenant: &Tenant, topic: &Topic) -> Result<(), Error> {
        let what = format!("subscribe {topic}");
        if self.link.is_down() || !self.link.travel(&what).await {
            self.link.give_up().await;
            return Err(Error::Unavailable(None));
        }
        self.inner.subscribe(tenant, topic).await?;
        if self.link.travel(&what).await {
            return Ok(());
        }
        self.inner.unsubscribe(tenant, topic);
        self.link.give_up().await;
        Err(Error::Unavailable(None))
    }

    fn unsubscribe(&self, tenant: &Tenant, topic: &Topic) {
        self.inner.unsubscribe(tenant, topic);
    }

    fn resubscribe(&self) {
        self.inner.resubscribe();
    }

    fn topics(&self) -> Vec<(Tenant, Topic, u64)> {
        self.inner.topics()
    }

    async fn followed(&self, tenant: &Tenant) -> Result<Vec<(Topic, u64)>, Error> {
        self.link.ask("followed", self.inner.followed(tenant)).await
    }

    fn health(&self) -> BusHealth {
        let healthy = !self.link.weather().is_deaf(self.link.node());
        BusHealth { healthy, ..self.inner.health() }
    }

    fn counters(&self) -> BusCounters {
        self.inner.counters()
    }
}

#[derive(Debug, Clone)]
enum Arrival {
    Parcel(NodeId, Parcel),
    Announcement(Announcement),
    Logged(Logged),
    Break(Break),
}

/// From the bus to the node: what comes is handed over when its time has come.
struct Inlet {
    listener: Arc<dyn BusListener>,
    link: Arc<Link>,
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    /// By time, and what is due at one time in the order of its coming.
    arrivals: BTreeMap<(Instant, u64), Arrival>,
    count: u64,
    /// What keeps its order can't be handed over before this.
    in_order_from: Option<Instant>,
}

impl std::fmt::Debug for Inlet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inlet").field("link", &self.link).finish_non_exhaustive()
    }
}

impl Inlet {
    fn put(&self, arrival: Arrival, at: Instant) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.count += 1;
        let count = waiting.count;
        waiting.arrivals.insert((at, count), arrival);
        self.changed.notify_one();
    }

    /// Puts it behind all that has come and keeps its order.
    fn put_in_order(&self, arrival: Arrival, what: &str) {
        let at = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let at = self.due(what).max(waiting.in_order_from.unwrap_or_else(Instant::now));
            *waiting.in_order_from.insert(at)
        };
        self.put(arrival, at);
    }

    /// When what comes now gets through.
    fn due(&self, what: &str) -> Instant {
        let late = self.link.happens(Fault::Late, what);
        Instant::now() + self.link.within(what, if late { LATE_MAX_MS } else { TRANSIT_MAX_MS })
    }

    fn is_deaf(&self) -> bool {
        self.link.weather().is_deaf(self.link.node())
    }

    /// The earliest that waits, and whether it is due.
    fn next(&self) -> Option<Result<Arrival, Instant>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = waiting.arrivals.first_entry()?;
        let at = entry.key().0;
        Some(if at <= Instant::now() { Ok(entry.remove()) } else { Err(at) })
    }

    fn lose(&self, parcel: &Parcel) {
        if let Parcel::Deliver { frame, .. } = parcel {
            self.link.weather().lost(frame);
        }
    }

    async fn pump(self: Arc<Self>) {
        loop {
            match self.next() {
                Some(Ok(arrival)) => self.hand_over(arrival),
                Some(Err(at)) => drop(timeout_at(at, self.changed.notified()).await),
                None => self.changed.notified().await,
            }
        }
    }

    /// What was on its way to a node that hears nothing is lost.
    fn hand_over(&self, arrival: Arrival) {
        match arrival {
            Arrival::Break(what) => self.listener.on_break(what),
            Arrival::Parcel(_, parcel) if self.is_deaf() => {
                self.link.weather().count("not heard by the deaf");
                self.lose(&parcel);
            }
            _ if self.is_deaf() => self.link.weather().count("not heard by the deaf"),
            Arrival::Parcel(from, parcel) => self.listener.on_parcel(&from, parcel),
            Arrival::Announcement(announcement) => self.listener.on_announcement(announcement),
            Arrival::Logged(logged) => self.listener.on_logged(logged),
        }
    }
}

impl BusListener for Inlet {
    fn on_parcel(&self, from: &NodeId, parcel: Parcel) {
        let what = format!("{from} {}", name(&parcel));
        if self.link.happens(Fault::ParcelUnheard, &what) {
            self.lose(&parcel);
            // The next batch shows that one is missing; here at once.
            let gap = Break::Gap { from: from.clone(), batches: 1 };
            return self.put(Arrival::Break(gap), Instant::now() + Duration::from_millis(LATE_MAX_MS));
        }
        self.put_in_order(Arrival::Parcel(from.clone(), parcel), &what);
    }

    fn on_announcement(&self, announcement: Announcement) {
        let what = announcement.topic.to_string();
        self.put_in_order(Arrival::Announcement(announcement), &what);
    }

    fn on_logged(&self, logged: Logged) {
        let what = format!("{} {} {}", logged.tenant, logged.topic, logged.position.offset);
        if self.link.happens(Fault::MessageUnheard, &what) {
            return;
        }
        if self.link.happens(Fault::Twice, &what) {
            self.put(Arrival::Logged(logged.clone()), self.due(&what));
        }
        self.put(Arrival::Logged(logged), self.due(&what));
    }

    fn on_break(&self, what: Break) {
        self.put(Arrival::Break(what), Instant::now());
    }
}

/// What dice are thrown for.
fn name(parcel: &Parcel) -> String {
    match parcel {
        Parcel::Deliver { tenant, topic, .. } | Parcel::NotHere { tenant, topic } => {
            format!("{tenant} {topic}")
        }
        Parcel::Logged(logged) => format!("{} {} {}", logged.tenant, logged.topic, logged.position.offset),
        Parcel::Close { .. } => "close".to_owned(),
        Parcel::Drain => "drain".to_owned(),
        Parcel::Revoked => "revoked".to_owned(),
    }
}
