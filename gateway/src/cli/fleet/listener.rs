//! Hears what the pools announce, and hands it to the audit.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use signalbox_client::{Client, RecvError, Subscription};
use signalbox_protocol::Received;

use super::audit::{Announced, Change, Facts};
use super::link::{Link, NoLink};
use super::shared::Shared;

/// A dashboard that listens, in the pools' topics or in their namespace.
#[derive(Debug)]
pub(super) struct Listener {
    client: Client,
    /// Whether it hears the namespace: copies, which nobody repeats.
    hears_namespace: bool,
    all: Subscription,
    shared: Arc<Shared>,
    /// Reconnects that are known as gaps.
    reconnects: u64,
}

#[derive(Debug, Deserialize)]
struct Batch {
    commuters: Vec<Facts>,
}

impl Listener {
    /// Connects and joins `topics`, if there are any; from then on what is missed is known.
    pub(super) async fn open(mut link: Link, topics: &[String], shared: Arc<Shared>) -> Result<Self, NoLink> {
        let (client, all) = link.listen().await?;
        join(&mut link, topics).await?;
        let reconnects = client.stats().reconnects;
        Ok(Self { client, hears_namespace: topics.is_empty(), all, shared, reconnects })
    }

    /// Listens until it is dropped, or cannot any more.
    pub(super) async fn listen(mut self) -> Result<(), NoLink> {
        loop {
            let next = self.all.recv().await;
            self.count_reconnects();
            match next {
                Ok(message) => self.hear(&message),
                Err(RecvError::Missed(_) | RecvError::Lost(_)) => self.gap(),
                Err(RecvError::Closed(closed)) => {
                    self.gap();
                    return Err(closed.into());
                }
            }
        }
    }

    /// Of what is not durable something may be missing after each reconnect. They are counted before the first
    /// message of the new connection comes.
    fn count_reconnects(&mut self) {
        let reconnects = self.client.stats().reconnects;
        if std::mem::replace(&mut self.reconnects, reconnects) != reconnects && self.hears_namespace {
            self.gap();
        }
    }

    fn hear(&self, message: &Received) {
        let Some(change) = Change::of(&message.message_type) else { return };
        let facts = match message.message_type.as_str() {
            "commuter:spawned_batch" => message.data::<Batch>().map(|batch| batch.commuters),
            _ => message.data::<Facts>().map(|facts| vec![facts]),
        };
        let Ok(facts) = facts else {
            self.shared.tally().unreadable += 1;
            return;
        };
        for facts in facts {
            let waited = self.waited(change, &facts);
            let announced = Announced { message_id: message.id.clone(), change, facts };
            self.shared.audit().announced(self.hears_namespace, &announced);
            if let Some(waited) = waited {
                self.shared.tally().waited.record(waited);
            }
        }
    }

    /// How long a passenger waited whom a vehicle of this fleet picks up.
    fn waited(&self, change: Change, facts: &Facts) -> Option<Duration> {
        let own = facts.vehicle_id.as_ref().is_some_and(|vehicle| self.shared.audit().owns(vehicle));
        if change != Change::PickedUp || !own || self.hears_namespace {
            return None;
        }
        let (spawned, boarded) = (facts.spawned_at?.0, facts.boarded_at?.0);
        Some(Duration::from_millis(boarded.saturating_sub(spawned)))
    }

    fn gap(&self) {
        let mut audit = self.shared.audit();
        let stream = if self.hears_namespace { &mut audit.namespace } else { &mut audit.pools };
        stream.gaps += 1;
    }
}

async fn join(link: &mut Link, topics: &[String]) -> Result<(), NoLink> {
    if topics.is_empty() {
        return Ok(());
    }
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    loop {
        match link.client().await?.subscribe(topics.as_slice()).await {
            Ok(_) => return Ok(()),
            Err(error) if is_final(&error) => return Err(error.into()),
            Err(_) => {}
        }
    }
}

fn is_final(error: &signalbox_client::RequestError) -> bool {
    use signalbox_client::{RequestError, SendError};
    match error {
        RequestError::Refused(fault) => !fault.code.retryable(),
        RequestError::Send(SendError::Closed(_) | SendError::QueueFull(_) | SendError::Offline)
        | RequestError::NotSent(_)
        | RequestError::Unknown(_) => false,
        RequestError::Send(_) | RequestError::TooMany(_) | RequestError::Unreadable(_) => true,
    }
}
