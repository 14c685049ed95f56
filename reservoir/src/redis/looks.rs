//! What the repository asks Redis without changing anything.

use redis::Value;
use signalbox_protocol::fleet::{NewVehicle, Passenger};
use signalbox_protocol::{PassengerId, Tenant, VehicleId};
use signalbox_registry::Error as RegistryError;
use signalbox_registry::redis::Call;

use super::answer::texts;
use super::{RedisRepository, record, scripts};
use crate::Error;

/// Most passengers of one look-up by ids.
const PASSENGERS_AT_ONCE: usize = 1_000;

impl RedisRepository {
    pub(super) async fn ask(&self, tenant: &Tenant, call: Call) -> Result<Value, Error> {
        let answers = self.scripts.read(tenant, &[call]).await?;
        Ok(answers.into_iter().next().ok_or(RegistryError::Unreadable { what: "answer" })?)
    }

    /// What is known of a vehicle, and who is on board: ids or records.
    pub(super) async fn on_board(
        &self,
        tenant: &Tenant,
        id: &VehicleId,
        what: &str,
    ) -> Result<Option<(NewVehicle, Vec<String>)>, Error> {
        let call = self.scripts.on_fleet(&scripts::VEHICLE, tenant).arg(id.as_str()).arg(what);
        let mut texts = texts(self.ask(tenant, call).await?)?.into_iter();
        let Some(text) = texts.next() else { return Ok(None) };
        let stands = text.split_once('\n').and_then(|(_, json)| serde_json::from_str(json).ok());
        let stands = stands.ok_or(RegistryError::Unreadable { what: "vehicle" })?;
        Ok(Some((stands, texts.collect())))
    }

    /// Passengers in the order of the ids.
    pub(super) async fn by_ids(
        &self,
        tenant: &Tenant,
        ids: &[PassengerId],
    ) -> Result<Vec<Option<Passenger>>, Error> {
        let mut found = Vec::with_capacity(ids.len());
        for some in ids.chunks(PASSENGERS_AT_ONCE) {
            let key = |id| self.scripts.fleet_key(tenant, &format!("p:{id}"));
            let value =
                self.ask(tenant, some.iter().fold(Call::new("MGET"), |call, id| call.arg(key(id)))).await?;
            let texts: Vec<Option<String>> =
                redis::from_redis_value(value).map_err(|_| RegistryError::Unreadable { what: "list" })?;
            let read = |text: Option<String>| text.map(|text| record::read(&text)).transpose();
            found.extend(texts.into_iter().map(read).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(found)
    }
}

/// Reads records.
pub(super) fn read_all(records: &[String]) -> Result<Vec<Passenger>, Error> {
    Ok(records.iter().map(|text| record::read(text)).collect::<Result<_, _>>()?)
}
