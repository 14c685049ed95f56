//! What is announced of a change: one envelope for the log of the pool's topic, and a copy of it for the namespace
//! of pools of that kind, which spares those who follow the pool. Pure: values in, bytes out.
//!
//! Scripts put the events of single passengers together themselves, from the same parts: see [`after_id`].

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use signalbox_protocol::fleet::{Passenger, Pool};
use signalbox_protocol::limits::{BATCH_BYTES_MAX, BATCH_PASSENGERS_MAX};
use signalbox_protocol::timestamp::{self, Timestamp};
use signalbox_protocol::{Agent, Tenant, Topic};
use signalbox_registry::Announcement;
use uuid::Uuid;

/// One began to wait.
pub(crate) const SPAWNED: &str = "commuter:spawned";
/// Several began to wait.
const SPAWNED_BATCH: &str = "commuter:spawned_batch";
/// One was boarded.
pub(crate) const PICKED_UP: &str = "commuter:picked_up";
/// One alighted.
pub(crate) const DROPPED_OFF: &str = "commuter:dropped_off";
/// One gave up.
pub(crate) const CANCELLED: &str = "commuter:cancelled";
/// One waited for too long.
pub(crate) const EXPIRED: &str = "commuter:expired";

/// Who says so, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) source: &'a Agent,
    pub(crate) now: Timestamp,
}

/// One message to a pool's followers.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) pool: Pool,
    /// The envelope.
    pub(crate) body: Bytes,
}

#[derive(Serialize)]
struct Envelope<'a, D> {
    id: String,
    #[serde(rename = "type")]
    kind: &'a str,
    timestamp: Timestamp,
    source: &'a Agent,
    data: D,
    target: &'a Pool,
    #[serde(rename = "correlationId")]
    correlation_id: (),
    metadata: Empty,
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
struct Batch<'a> {
    pool: &'a Pool,
    count: usize,
    commuters: &'a [Box<RawValue>],
}

impl Event {
    fn new(kind: &str, told: Told<'_>, pool: &Pool, data: impl Serialize) -> Self {
        let Told { source, now, .. } = told;
        let (id, correlation_id, metadata) = (fresh_id(), (), Empty {});
        let envelope =
            Envelope { id, kind, timestamp: now, source, data, target: pool, correlation_id, metadata };
        let body = serde_json::to_vec(&envelope).expect("an envelope is a struct that JSON can express");
        Self { pool: pool.clone(), body: body.into() }
    }

    /// What became of one passenger, who is told as after the change.
    pub(crate) fn about(kind: &str, told: Told<'_>, passenger: &Passenger) -> Self {
        Self::new(kind, told, &passenger.pool, passenger.event(told.now))
    }

    /// What to tell of passengers who begin to wait: per pool, in the order in which pools are first named.
    pub(crate) fn spawned(told: Told<'_>, passengers: &[Passenger]) -> Vec<Self> {
        let mut pools: Vec<(&Pool, Vec<&Passenger>)> = Vec::new();
        for passenger in passengers {
            match pools.iter_mut().rev().find(|(pool, _)| **pool == passenger.pool) {
                Some((_, of_pool)) => of_pool.push(passenger),
                None => pools.push((&passenger.pool, vec![passenger])),
            }
        }
        let mut events = Vec::new();
        for (pool, passengers) in pools {
            match passengers.as_slice() {
                [one] => events.push(Self::about(SPAWNED, told, one)),
                many => Self::batches(told, pool, many, &mut events),
            }
        }
        events
    }

    fn batches(told: Told<'_>, pool: &Pool, passengers: &[&Passenger], events: &mut Vec<Self>) {
        let mut close = |commuters: &mut Vec<Box<RawValue>>| {
            let batch = Batch { pool, count: commuters.len(), commuters };
            events.push(Self::new(SPAWNED_BATCH, told, pool, batch));
            commuters.clear();
        };
        let (mut commuters, mut bytes) = (Vec::new(), 0);
        for passenger in passengers {
            let commuter = serde_json::value::to_raw_value(&passenger.event(told.now))
                .expect("a passenger is a struct that JSON can express");
            let with_this = bytes + commuter.get().len() + 1;
            let full = commuters.len() == BATCH_PASSENGERS_MAX || with_this > BATCH_BYTES_MAX;
            if full && !commuters.is_empty() {
                close(&mut commuters);
                bytes = 0;
            }
            bytes += commuter.get().len() + 1;
            commuters.push(commuter);
        }
        close(&mut commuters);
    }

    /// What those followers of the kind are told who do not follow the pool.
    pub(crate) fn copy(&self, tenant: &Tenant) -> Announcement {
        let topic = Topic::of("namespace", self.pool.kind().namespace()).expect("a constant topic");
        let spared = Some(self.pool.topic().clone());
        Announcement { tenant: tenant.clone(), topic, spared, body: Bytes::clone(&self.body) }
    }
}

/// A message's id.
pub(crate) fn fresh_id() -> String {
    Uuid::now_v7().hyphenated().to_string()
}

/// What stands in an envelope between its id and its data. No agent holds a character that JSON escapes.
pub(crate) fn after_id(kind: &str, told: Told<'_>) -> String {
    let (timestamp, source) = (timestamp::to_string(told.now.0), told.source);
    format!(r#"","type":"{kind}","timestamp":"{timestamp}","source":"{source}","data":"#)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use signalbox_protocol::fleet::NewPassenger;

    use super::*;

    const NOW: Timestamp = Timestamp(1_767_225_600_000);

    fn passenger(id: &str, pool: &str) -> Passenger {
        let json =
            format!(r#"{{"passenger_id":"{id}","pool":"{pool}","position":{{"lat":13.1,"lon":-59.6}}}}"#);
        let new: NewPassenger = serde_json::from_str(&json).unwrap();
        new.waiting(NOW, Timestamp(NOW.0 + 60_000)).unwrap()
    }

    fn spawned(passengers: &[Passenger]) -> Vec<(String, String, Value)> {
        let tenant = Tenant::try_new("acme").unwrap();
        let source = Agent::of("service", "commuter").unwrap();
        let told = Told { tenant: &tenant, source: &source, now: NOW };
        let read = |event: Event| {
            let body: Value = serde_json::from_slice(&event.body).unwrap();
            (event.pool.to_string(), body["type"].as_str().unwrap().to_owned(), body["data"].clone())
        };
        Event::spawned(told, passengers).into_iter().map(read).collect()
    }

    #[test]
    fn each_pool_is_told_of_its_own_passengers() {
        let list = [passenger("a", "route:1"), passenger("b", "depot:2"), passenger("c", "route:1")];
        let events = spawned(&list);
        assert_eq!(events.len(), 2);
        let (pool, kind, data) = &events[0];
        assert_eq!((pool.as_str(), kind.as_str(), &data["count"]), ("route:1", SPAWNED_BATCH, &2.into()));
        assert_eq!((&data["pool"], &data["commuters"][1]["commuter_id"]), (&"route:1".into(), &"c".into()));
        let (pool, kind, data) = &events[1];
        assert_eq!((pool.as_str(), kind.as_str(), &data["commuter_id"]), ("depot:2", SPAWNED, &"b".into()));
    }

    #[test]
    fn a_batch_is_bounded_in_passengers_and_in_bytes() {
        let many: Vec<_> = (0..250).map(|number| passenger(&format!("COM_{number}"), "route:1")).collect();
        let counts = |events: &[(String, String, Value)]| -> Vec<u64> {
            events.iter().map(|(.., data)| data["count"].as_u64().unwrap()).collect()
        };
        assert_eq!(counts(&spawned(&many)), [100, 100, 50]);
        assert_eq!(counts(&spawned(&many[..101])), [100, 1]);
        let long: Vec<_> = (0..100).map(|number| passenger(&format!("{number:0>128}"), "route:1")).collect();
        let events = spawned(&long);
        assert_eq!(counts(&events).iter().sum::<u64>(), 100);
        assert!(events.len() > 1);
        for (.., data) in &events {
            assert!(data["commuters"].to_string().len() <= BATCH_BYTES_MAX + 1);
        }
    }

    #[test]
    fn what_scripts_put_together_is_the_same_envelope() {
        let (tenant, source) = (Tenant::try_new("acme").unwrap(), Agent::of("vehicle", "V1").unwrap());
        let told = Told { tenant: &tenant, source: &source, now: NOW };
        let event = Event::about(PICKED_UP, told, &passenger("a", "route:1"));
        let body = std::str::from_utf8(&event.body).unwrap();
        let id: Value = serde_json::from_str(body).unwrap();
        let id = id["id"].as_str().unwrap();
        let begin = format!(r#"{{"id":"{id}{}{{"passenger_id":"a","#, after_id(PICKED_UP, told));
        assert!(body.starts_with(&begin), "{body}");
        assert!(body.ends_with(r#"},"target":"route:1","correlationId":null,"metadata":{}}"#), "{body}");
    }
}
