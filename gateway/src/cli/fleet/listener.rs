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
    link: Link,
    /// What it joins; nothing if it hears the namespace.
    topics: Vec<String>,
    shared: Arc<Shared>,
    ear: (Client, Subscription),
}

#[derive(Debug, Deserialize)]
struct Batch {
    commuters: Vec<Facts>,
}

impl Listener {
    /// Connects and joins; from then on nothing is missed.
    pub(super) async fn open(
        mut link: Link,
        topics: Vec<String>,
        shared: Arc<Shared>,
    ) -> Result<Self, NoLink> {
        let ear = join(&mut link, &topics).await?;
        Ok(Self { link, topics, shared, ear })
    }

    /// Listens until it is dropped, or cannot any more.
    pub(super) async fn listen(mut self) -> Result<(), NoLink> {
        loop {
            match self.ear.1.recv().await {
                Ok(message) => self.hear(&message),
                Err(RecvError::Missed(_) | RecvError::Lost(_)) => self.gap(),
                Err(RecvError::Closed(_)) => {
                    self.gap();
                    self.ear = match join(&mut self.link, &self.topics).await {
                        Err(NoLink::GivenUp) => return Ok(()),
                        ear => ear?,
                    };
                }
            }
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
            self.shared.audit().announced(self.hears_namespace(), &announced);
            if let Some(waited) = waited {
                self.shared.tally().waited.record(waited);
            }
        }
    }

    /// How long a passenger waited whom a vehicle of this fleet picks up.
    fn waited(&self, change: Change, facts: &Facts) -> Option<Duration> {
        let own = facts.vehicle_id.as_ref().is_some_and(|vehicle| self.shared.audit().owns(vehicle));
        if change != Change::PickedUp || !own || self.hears_namespace() {
            return None;
        }
        let (spawned, boarded) = (facts.spawned_at?.0, facts.boarded_at?.0);
        Some(Duration::from_millis(boarded.saturating_sub(spawned)))
    }

    fn gap(&self) {
        let mut audit = self.shared.audit();
        let stream = if self.hears_namespace() { &mut audit.namespace } else { &mut audit.pools };
        stream.gaps += 1;
    }

    fn hears_namespace(&self) -> bool {
        self.topics.is_empty()
    }
}

async fn join(link: &mut Link, topics: &[String]) -> Result<(Client, Subscription), NoLink> {
    loop {
        let (client, all) = link.listen().await?;
        if topics.is_empty() {
            return Ok((client, all));
        }
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        match client.subscribe(topics.as_slice()).await {
            Ok(_) => return Ok((client, all)),
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
