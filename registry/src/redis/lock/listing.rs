//! The locks of a tenant, found by a scan over all keys: there is no index, so that a lock costs no more for
//! being listed now and then. One page looks at a bounded number of keys.

use signalbox_protocol::{Resource, Tenant};

use super::read_held;
use super::text::ENDS_CHARS;
use crate::Error;
use crate::keys::Scope;
use crate::lock::{Held, HeldPage};
use crate::redis::call::{Call, read, read_clock_ms, read_next};
use crate::redis::pool::Bulk;
use crate::redis::script::LOCK_INSPECT;
use crate::redis::store::Store;

/// Keys that Redis looks at in one step.
const SCAN_KEYS: usize = 1_000;
/// Steps for one page.
const SCANS_MAX: usize = 50;

/// Where a page ended: at one of the servers, within the keys that one step of the scan finds, after those up to a
/// resource.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    server: usize,
    scan: u64,
    after: Option<Resource>,
}

impl Place {
    fn parse(cursor: &str) -> Result<Self, Error> {
        let parse = || {
            let (server, rest) = cursor.split_once('.')?;
            let (scan, after) = rest.split_once('/')?;
            let after = (!after.is_empty()).then(|| Resource::try_new(after).ok());
            let after = after.map_or(Some(None), |after| after.map(Some))?;
            Some(Self { server: server.parse().ok()?, scan: scan.parse().ok()?, after })
        };
        parse().ok_or(Error::Unreadable { what: "cursor" })
    }

    fn cursor(&self) -> String {
        format!("{}.{}/{}", self.server, self.scan, self.after.as_ref().map_or("", Resource::as_str))
    }
}

/// A page of the locks of a tenant.
pub(super) async fn list(
    store: &Store,
    tenant: &Tenant,
    cursor: Option<&str>,
    limit: usize,
) -> Result<HeldPage, Error> {
    let start = Place { server: 0, scan: 0, after: None };
    let mut place = cursor.map_or(Ok(start), Place::parse)?;
    let mut scan = Scan { store, tenant, bulk: store.bulk().await? };
    let mut page = HeldPage::default();
    for _ in 0..SCANS_MAX {
        if place.server >= scan.bulk.servers() {
            return Ok(page);
        }
        let (next, mut found) = scan.step(&place).await?;
        let rest = found.split_off(limit.max(1).saturating_sub(page.items.len()).min(found.len()));
        page.items.extend(scan.inspect(&found).await?);
        place = match (rest.is_empty(), found.pop()) {
            (false, Some(last)) => Place { after: Some(last), ..place },
            _ if next == 0 => Place { server: place.server + 1, scan: 0, after: None },
            _ => Place { scan: next, after: None, ..place },
        };
        if page.items.len() >= limit || !rest.is_empty() {
            break;
        }
    }
    page.cursor = (place.server < scan.bulk.servers()).then(|| place.cursor());
    Ok(page)
}

struct Scan<'a> {
    store: &'a Store,
    tenant: &'a Tenant,
    bulk: Bulk,
}

impl Scan<'_> {
    /// The resources that one step finds behind a place whose locks have not ended, in order, and where the
    /// next step begins.
    async fn step(&mut self, place: &Place) -> Result<(u64, Vec<Resource>), Error> {
        let (pattern, [front, back]) = self.store.keys.locks(self.tenant);
        let call = Call::new("SCAN").arg(place.scan).arg("MATCH").arg(pattern);
        let call = call.arg("COUNT").arg(SCAN_KEYS).arg("TYPE").arg("string");
        let (next, keys): (u64, Vec<String>) = read(self.bulk.one_at(place.server, call).await?, "scan")?;
        let keys = self.not_ended(keys).await?;
        let resource = |key: &String| Resource::try_new(key.strip_prefix(&front)?.strip_suffix(&back)?).ok();
        let mut found: Vec<_> = keys.iter().filter_map(resource).collect();
        found.retain(|resource| place.after.as_ref().is_none_or(|after| resource > after));
        found.sort_unstable();
        found.dedup();
        Ok((next, found))
    }

    /// Those of the locks whose end is not yet there: most keys are of locks that were released long ago.
    async fn not_ended(&mut self, keys: Vec<String>) -> Result<Vec<String>, Error> {
        let end = |key| Call::new("GETRANGE").arg(key).arg(0).arg(ENDS_CHARS - 1);
        let calls: Vec<_> = [Call::new("TIME")].into_iter().chain(keys.iter().map(end)).collect();
        let mut answers = self.bulk.run(&calls).await?.into_iter();
        let now_ms = read_clock_ms(&mut answers)?;
        let mut standing = Vec::new();
        for key in keys {
            let ends: String = read_next(&mut answers, "end of a lock")?;
            if ends.parse::<u64>().is_ok_and(|ends_ms| ends_ms >= now_ms) {
                standing.push(key);
            }
        }
        Ok(standing)
    }

    /// What is held of them.
    async fn inspect(&mut self, resources: &[Resource]) -> Result<Vec<Held>, Error> {
        let keys = &self.store.keys;
        let call = |resource| Call::script(&LOCK_INSPECT, &keys.of(Scope::Lock(self.tenant, resource)));
        let calls: Vec<_> = resources.iter().map(call).collect();
        let answers = self.bulk.run(&calls).await?;
        let held = resources.iter().zip(answers).map(|(resource, answer)| read_held(resource, answer));
        held.filter_map(Result::transpose).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_back_and_nothing_else_does() {
        for after in [None, Some(Resource::try_new("order:9").unwrap())] {
            let place = Place { server: 1, scan: 17, after };
            assert_eq!(Place::parse(&place.cursor()).unwrap(), place);
        }
        for bad in ["", "17", "0.17", "x.1/", "17/", "./", "0.-1/", "0.1/a b", "0.1/a/b"] {
            assert!(Place::parse(bad).is_err(), "{bad}");
        }
    }
}
