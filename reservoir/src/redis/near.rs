//! Who waits in an area: the index tells the nearest, then their records are read.
//!
//! Two plain commands, not a script: moving a hundred records through Lua costs Redis twice what finding and
//! reading them does. Who boards in between is read as boarded, and left out.

use signalbox_protocol::Tenant;
use signalbox_registry::Error as RegistryError;
use signalbox_registry::redis::Call;

use super::{IMPRECISE_M, RedisRepository, beyond_date_line, record};
use crate::repository::Area;
use crate::{Error, Waiting};

/// So many more than are wanted are looked at: some may be over, and the order of the index is not exact.
const SPARE: usize = 4;
/// Most of an area that crosses the date line.
const ALL: usize = 1_000_000;
/// Most records of one command.
const RECORDS_AT_ONCE: usize = 1_000;
/// A search of this radius costs as much as a narrower one.
const NARROWEST_M: f64 = 250.0;

impl RedisRepository {
    /// The nearest who wait, and some more; all of an area that crosses the date line.
    pub(super) async fn waiting_near(&self, tenant: &Tenant, area: &Area) -> Result<Vec<Waiting>, Error> {
        let index = self.scripts.fleet_key(tenant, &format!("pool:{}:geo", area.pool));
        let metres = area.radius_m + IMPRECISE_M;
        let search = Search { repository: self, tenant, area, index, metres };
        match beyond_date_line(area) {
            Some(longitude) => search.on_both_sides(longitude).await,
            None => search.nearest().await,
        }
    }
}

/// One search of a pool's index.
struct Search<'a> {
    repository: &'a RedisRepository,
    tenant: &'a Tenant,
    area: &'a Area,
    index: String,
    metres: f64,
}

impl Search<'_> {
    async fn nearest(&self) -> Result<Vec<Waiting>, Error> {
        let (wanted, longitude) = (self.area.limit, self.area.center.lon());
        let mut count = wanted + SPARE;
        let mut radius_m = self.first_radius_m(count).await?;
        loop {
            let ids = self.ids(longitude, radius_m, count).await?;
            let is_all = radius_m >= self.metres;
            let found = if is_all || ids.len() >= wanted { self.who_wait(&ids).await? } else { Vec::new() };
            if found.len() >= wanted {
                return Ok(found);
            }
            if ids.len() == count {
                count *= 4;
            } else if !is_all {
                radius_m = (radius_m * 2.0).min(self.metres);
            } else {
                return Ok(found);
            }
        }
    }

    /// No search crosses the date line: the area goes on at `longitude`.
    async fn on_both_sides(&self, longitude: f64) -> Result<Vec<Waiting>, Error> {
        let mut ids = self.ids(self.area.center.lon(), self.metres, ALL).await?;
        ids.extend(self.ids(longitude, self.metres, ALL).await?);
        ids.sort_unstable();
        ids.dedup();
        self.who_wait(&ids).await
    }

    /// A search costs by how many are in the area, so that a wide one begins in the middle, where the wanted
    /// would be if all were spread evenly.
    async fn first_radius_m(&self, count: usize) -> Result<f64, Error> {
        if self.metres <= NARROWEST_M {
            return Ok(self.metres);
        }
        let size = self.repository.ask(self.tenant, Call::new("ZCARD").arg(&self.index)).await?;
        let size: u64 = redis::from_redis_value(size)
            .map_err(|_| RegistryError::Unreadable { what: "size of a pool" })?;
        let share = count as f64 / size.max(1) as f64;
        Ok((self.metres * share.sqrt()).max(NARROWEST_M).min(self.metres))
    }

    /// Who is in a circle of the area's latitude, the nearest first.
    async fn ids(&self, longitude: f64, radius_m: f64, count: usize) -> Result<Vec<String>, Error> {
        let call = Call::new("GEOSEARCH").arg(&self.index).arg("FROMLONLAT").arg(longitude);
        let call = call.arg(self.area.center.lat()).arg("BYRADIUS").arg(radius_m).arg("m");
        let found = self.repository.ask(self.tenant, call.arg("ASC").arg("COUNT").arg(count)).await?;
        Ok(redis::from_redis_value(found)
            .map_err(|_| RegistryError::Unreadable { what: "ids of an area" })?)
    }

    /// Those of these who wait now, in the same order.
    async fn who_wait(&self, ids: &[String]) -> Result<Vec<Waiting>, Error> {
        let front = self.repository.scripts.fleet_key(self.tenant, "p:");
        let key = |id: &String| [front.as_str(), id].concat();
        let records = |ids: &[String]| ids.iter().fold(Call::new("MGET"), |call, id| call.arg(key(id)));
        let calls: Vec<_> =
            [Call::new("TIME")].into_iter().chain(ids.chunks(RECORDS_AT_ONCE).map(records)).collect();
        let mut answers = self.repository.scripts.read(self.tenant, &calls).await?.into_iter();
        let unreadable = || RegistryError::Unreadable { what: "passengers of an area" };
        let time = answers.next().and_then(|time| redis::from_redis_value::<(u64, u64)>(time).ok());
        let (seconds, micros) = time.ok_or_else(unreadable)?;
        let now_ms = seconds * 1_000 + micros / 1_000;
        let mut found = Vec::with_capacity(ids.len());
        for answer in answers {
            let texts: Vec<Option<String>> = redis::from_redis_value(answer).map_err(|_| unreadable())?;
            for text in texts.iter().flatten().filter(|text| record::waits(text, now_ms)) {
                found.push(record::read_waiting(text)?);
            }
        }
        Ok(found)
    }
}
