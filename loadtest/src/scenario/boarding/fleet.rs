//! The fleet over HTTP: vehicles and passengers before the race, and how all of them ended.

use std::io;

use anyhow::{Context, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use signalbox_client::protocol::fleet;

use super::terms::Terms;
use crate::checker::{Manifest, Outcome, PassengerEnd, PassengerState};
use crate::cluster::Cluster;
use crate::http;

/// Passengers that are created with one request.
const BATCH: u32 = 500;

/// Requests under way at once.
const AT_ONCE: usize = 16;

/// A fleet of a cluster, of which any node can be asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fleet<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) terms: &'a Terms,
    pub(super) pools: u32,
}

impl Fleet<'_> {
    /// Creates vehicles and passengers.
    pub(super) async fn create(&self) -> anyhow::Result<()> {
        let Terms { names, vehicles, capacity, passengers, .. } = self.terms;
        each(0..*vehicles, async |number| {
            let vehicle = json!({"capacity": capacity, "pool": names.pool(number % self.pools)});
            let path = format!("/api/vehicles/{}", names.vehicle(number));
            self.send("PUT", &path, &vehicle, number).await
        })
        .await?;
        each(0..passengers.div_ceil(BATCH), async |batch| {
            let numbers = batch * BATCH..(*passengers).min((batch + 1) * BATCH);
            let list: Vec<Value> = numbers.map(|number| self.passenger(number)).collect();
            self.send("POST", "/api/passengers", &Value::from(list), batch).await
        })
        .await?;
        Ok(())
    }

    /// How passengers and vehicles are found now.
    pub(super) async fn outcome(&self) -> anyhow::Result<Outcome> {
        let Terms { names, vehicles, passengers, .. } = self.terms;
        let passengers = each(0..*passengers, async |number| {
            let path = format!("/api/passengers/{}", names.passenger(number));
            self.end_of(&self.get::<fleet::Passenger>(&path, number).await?)
        });
        let passengers = passengers.await?;
        let manifests = each(0..*vehicles, async |number| {
            let path = format!("/api/vehicles/{}/manifest", names.vehicle(number));
            self.manifest(&self.get::<fleet::Manifest>(&path, number).await?)
        });
        Ok(Outcome { passengers, manifests: manifests.await? })
    }

    /// A new passenger, somewhere around the pool.
    fn passenger(&self, number: u32) -> Value {
        let names = &self.terms.names;
        let [lat, lon] = [number % 100, number / 100 % 100].map(|step| f64::from(step) * 1e-4);
        json!({
            "passenger_id": names.passenger(number),
            "pool": names.pool(number % self.pools),
            "position": {"lat": 13.1 + lat, "lon": -59.6 + lon},
        })
    }

    fn end_of(&self, passenger: &fleet::Passenger) -> anyhow::Result<PassengerEnd> {
        let vehicle = passenger.vehicle_id.as_ref().map(|id| self.vehicle_number(id.as_str()));
        Ok(PassengerEnd {
            state: match passenger.state {
                fleet::PassengerState::Boarded => PassengerState::Boarded,
                fleet::PassengerState::Alighted => PassengerState::Alighted,
                fleet::PassengerState::Waiting
                | fleet::PassengerState::Cancelled
                | fleet::PassengerState::Expired => PassengerState::NeverBoarded,
            },
            vehicle: vehicle.transpose()?,
            fence: passenger.fence,
        })
    }

    fn manifest(&self, manifest: &fleet::Manifest) -> anyhow::Result<Manifest> {
        let number = |passenger: &fleet::Passenger| {
            let id = passenger.passenger_id.as_str();
            self.terms.names.passenger_number(id).with_context(|| format!("{id} is no passenger of this run"))
        };
        let passengers = manifest.passengers.iter().map(number).collect::<anyhow::Result<_>>()?;
        Ok(Manifest { seats_left: manifest.seats_left, passengers })
    }

    fn vehicle_number(&self, id: &str) -> anyhow::Result<u32> {
        self.terms.names.vehicle_number(id).with_context(|| format!("{id} is no vehicle of this run"))
    }

    async fn get<T: for<'de> Deserialize<'de>>(&self, path: &str, node: u32) -> anyhow::Result<T> {
        let answer = http::get(self.address(node), &in_tenant(path)).await;
        serde_json::from_str(&accepted("GET", path, answer)?).with_context(|| format!("GET {path}"))
    }

    async fn send(&self, method: &str, path: &str, body: &Value, node: u32) -> anyhow::Result<String> {
        let answer = http::send(self.address(node), method, &in_tenant(path), &body.to_string()).await;
        accepted(method, path, answer)
    }

    fn address(&self, node: u32) -> &str {
        let nodes = &self.cluster.nodes;
        &nodes[node as usize % nodes.len()].address
    }
}

fn in_tenant(path: &str) -> String {
    format!("{path}?tenant={}", Cluster::TENANT)
}

/// The body of an answer that says yes.
fn accepted(method: &str, path: &str, answer: io::Result<(u16, String)>) -> anyhow::Result<String> {
    let (status, body) = answer.with_context(|| format!("{method} {path}"))?;
    let shown: String = body.chars().take(300).collect();
    ensure!((200..300).contains(&status), "{method} {path} is answered {status}: {shown}");
    Ok(body)
}

/// Asks for each number, several at a time; answers in order.
async fn each<T>(
    numbers: impl Iterator<Item = u32>,
    ask: impl AsyncFn(u32) -> anyhow::Result<T>,
) -> anyhow::Result<Vec<T>> {
    stream::iter(numbers).map(|number| ask(number)).buffered(AT_ONCE).try_collect().await
}
