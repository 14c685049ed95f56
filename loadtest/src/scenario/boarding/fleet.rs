//! The fleet over HTTP: vehicles and passengers before the race, and how all of them ended.

use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use signalbox_client::protocol::fleet;
use tokio::time::sleep;

use super::terms::Terms;
use crate::checker::{Manifest, Outcome, PassengerEnd, PassengerState};
use crate::cluster::Cluster;
use crate::http;

/// Passengers that are created with one request.
const BATCH: u32 = 200;

/// Requests under way at once.
const AT_ONCE: usize = 4;

/// A request that could not be done at the moment is sent so often.
const ATTEMPTS: u32 = 5;

/// The pause before it is sent again.
const AGAIN_AFTER: Duration = Duration::from_millis(300);

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
        let body = self.ask("GET", path, "", node).await?;
        serde_json::from_str(&body).with_context(|| format!("GET {path}"))
    }

    async fn send(&self, method: &str, path: &str, body: &Value, node: u32) -> anyhow::Result<()> {
        self.ask(method, path, &body.to_string(), node).await.map(|_| ())
    }

    /// Asks one node, and the next ones if that can't do it at the moment or does not know whether it did.
    async fn ask(&self, method: &str, path: &str, body: &str, node: u32) -> anyhow::Result<String> {
        let in_tenant = format!("{path}?tenant={}", Cluster::TENANT);
        let mut attempts = 0;
        loop {
            let answer = http::send(self.address(node + attempts), method, &in_tenant, body).await;
            attempts += 1;
            match answer {
                Ok((200..300, body)) => return Ok(body),
                // The ids are new: whoever exists was created by the attempt before.
                Ok((409, body)) if attempts > 1 => return Ok(body),
                Ok((429 | 503 | 504, _)) | Err(_) if attempts < ATTEMPTS => sleep(AGAIN_AFTER).await,
                Ok((status, body)) => {
                    let shown: String = body.chars().take(300).collect();
                    bail!("{method} {path} is answered {status}: {shown}");
                }
                Err(error) => return Err(error).with_context(|| format!("{method} {path}")),
            }
        }
    }

    fn address(&self, node: u32) -> &str {
        let nodes = &self.cluster.nodes;
        &nodes[node as usize % nodes.len()].address
    }
}

/// Asks for each number, several at a time; answers in order.
async fn each<T>(
    numbers: impl Iterator<Item = u32>,
    ask: impl AsyncFn(u32) -> anyhow::Result<T>,
) -> anyhow::Result<Vec<T>> {
    stream::iter(numbers).map(|number| ask(number)).buffered(AT_ONCE).try_collect().await
}
