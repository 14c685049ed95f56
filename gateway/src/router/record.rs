//! Durable messages: stored in the log of each of their topics, and told by the step that stores them, or, to a point
//! topic, by whoever stored them. Here no message is lost after its sender was told that it is stored.

use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use serde_json::json;
use signalbox_protocol::control::{Position, Positions};
use signalbox_protocol::error::{ErrorCode, Fault};
use signalbox_protocol::{Agent, NodeId, Tenant, Topic};
use signalbox_registry::bus::BusListener;
use signalbox_registry::log::{Appended, Audience, Entry, Limits, Read};
use signalbox_registry::{Destination, Error, Logged, Parcel};
use smallvec::SmallVec;

use super::{Router, fault};

/// A durable message ready to be stored: one body for all its topics.
#[derive(Debug, Clone)]
pub struct Record {
    /// The customer.
    pub tenant: Tenant,
    /// Where it goes.
    pub to: SmallVec<[Topic; 1]>,
    /// Who says it.
    pub source: Agent,
    /// Its id: the same source's id is stored once in each topic.
    pub id: String,
    /// The message as it is stored: one envelope.
    pub body: Bytes,
}

impl Router {
    /// Stores a message in all its topics; its place in each. Safe to be asked again with the same source and id.
    ///
    /// # Errors
    /// The [`Fault`] to answer with. To several topics, its details tell in which of them the message is stored.
    pub async fn store(&self, record: &Record) -> Result<Positions, Fault> {
        let stored = join_all(record.to.iter().map(|topic| self.store_in(record, topic))).await;
        let (mut positions, mut failed) = (Positions::new(), Vec::new());
        for (topic, stored) in record.to.iter().zip(stored) {
            match stored {
                Ok(position) => drop(positions.insert(topic.clone(), position)),
                Err(error) => failed.push((topic, error)),
            }
        }
        match failed.len() {
            0 => Ok(positions),
            _ => Err(not_stored(&positions, &failed)),
        }
    }

    async fn store_in(&self, record: &Record, topic: &Topic) -> Result<Position, Error> {
        let is_point = self.vocabulary.is_point_kind(topic.kind());
        let entry = Entry {
            tenant: record.tenant.clone(),
            topic: topic.clone(),
            audience: if is_point { Audience::Holders } else { Audience::Followers },
            source: record.source.clone(),
            id: record.id.clone(),
            body: record.body.clone(),
        };
        let appended = self.cluster.log.append(&entry).await;
        self.metrics.log.count_append(&appended);
        let appended = appended?;
        if is_point {
            self.tell_holders(entry, &appended).await.map_err(stored_already)?;
        }
        Ok(appended.position)
    }

    /// Tells the nodes that hold a point topic. A message that had been stored before is told again as it was stored:
    /// whoever stored it may have died before it told them.
    async fn tell_holders(&self, entry: Entry, appended: &Appended) -> Result<(), Error> {
        if appended.holders.is_empty() {
            return Ok(());
        }
        let position = appended.position.clone();
        let body = match appended.duplicate {
            false => Some(entry.body),
            true => self.stored_body(&entry.tenant, &entry.topic, &position).await?,
        };
        let Some(body) = body else { return Ok(()) };
        let logged = Logged { tenant: entry.tenant, topic: entry.topic, position, body };
        try_join_all(appended.holders.iter().map(|node| self.tell_holder(node, &logged))).await?;
        Ok(())
    }

    /// The message at a place, if the log still has it.
    async fn stored_body(
        &self,
        tenant: &Tenant,
        topic: &Topic,
        at: &Position,
    ) -> Result<Option<Bytes>, Error> {
        let before = Position { epoch: at.epoch.clone(), offset: at.offset.saturating_sub(1) };
        let limits = Limits { entries_max: 1, bytes_max: 1 };
        Ok(match self.cluster.log.read(tenant, topic, &before, limits).await? {
            Read::Page(page) => page.bodies.into_iter().next(),
            Read::Broken { .. } => None,
        })
    }

    /// A node that does not hear it looks into the log when it hears again.
    async fn tell_holder(&self, node: &NodeId, logged: &Logged) -> Result<(), Error> {
        if node == self.cluster.node.id() {
            self.on_logged(logged.clone());
            return Ok(());
        }
        let to = Destination::Node(node.clone());
        self.cluster.bus.post_confirmed(&to, Parcel::Logged(logged.clone())).await.map(drop)
    }
}

/// The message is stored, though not everybody was told: the sender's retry tells them.
fn stored_already(error: Error) -> Error {
    match error {
        Error::Unavailable(source) => Error::OutcomeUnknown(source),
        error => error,
    }
}

fn not_stored(positions: &Positions, failed: &[(&Topic, Error)]) -> Fault {
    let (topic, error) = &failed[0];
    let first = fault(error, topic);
    if positions.is_empty() && failed.len() == 1 {
        return first;
    }
    let codes: Vec<_> = failed.iter().map(|(topic, error)| (topic, fault(error, topic).code)).collect();
    let none_is_stored =
        positions.is_empty() && codes.iter().all(|(_, code)| *code == ErrorCode::Unavailable);
    let told = match none_is_stored {
        true => first,
        false => Fault::new(
            ErrorCode::OutcomeUnknown,
            "not stored in all topics: send it again with the same id, it is stored once in each",
        ),
    };
    let failed: serde_json::Map<_, _> =
        codes.into_iter().map(|(topic, code)| (topic.to_string(), code.as_str().into())).collect();
    told.with_details(json!({ "stored": positions, "failed": failed }))
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
