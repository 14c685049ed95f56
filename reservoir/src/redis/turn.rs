//! One turn of the clock: whose fleets want to be looked at, and what is due in them.
//!
//! The list of fleets is in a slot of its own, and says when a fleet wants to be looked at. One that was listed
//! stays so, and is looked at every few seconds even if nobody is due. Whoever takes it from the list puts it
//! back for that moment in the same step, so that several nodes may do this at once, or one may die over
//! it, and nothing is lost. Should a push come between a look and its end, those passengers may end a
//! few seconds late; meanwhile nobody finds or boards them.

use std::time::Duration;

use signalbox_protocol::Tenant;
use signalbox_protocol::timestamp::Timestamp;

use super::answer::texts;
use super::{RedisRepository, scripts};
use crate::Error;
use crate::event::{EXPIRED, Told};
use crate::repository::expiry_source;

/// How often a fleet is looked at even if nobody is due.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Most fleets of one turn.
const FLEETS_AT_ONCE: usize = 1_000;

/// Most passengers of one script: for so long nobody else gets anything from Redis.
const PASSENGERS_AT_ONCE: usize = 200;

/// Most scripts on one fleet in one turn.
const SCRIPTS_AT_ONCE: usize = 25;

impl RedisRepository {
    /// Sees to it that the fleet is looked at, by `next` if that is soon.
    pub(super) async fn note(&self, tenant: &Tenant, next: Option<Timestamp>) -> Result<(), Error> {
        let call = self.scripts.on_fleets(&scripts::FLEETS_NOTE).arg(LOOK_AGAIN.as_millis() as u64);
        let call = call.arg(next.map_or(u64::MAX, |next| next.0)).arg(tenant.as_str());
        self.scripts.write(tenant, call).await?;
        Ok(())
    }

    /// Looks at the fleets that want it; how many waits were ended.
    pub(super) async fn turn(&self, now: Timestamp) -> Result<usize, Error> {
        let call = self.scripts.on_fleets(&scripts::FLEETS_DUE);
        let call = call.arg(LOOK_AGAIN.as_millis() as u64).arg(FLEETS_AT_ONCE);
        let mut ended = 0;
        for name in texts(self.scripts.write_shared(call).await?)? {
            // Nobody but us writes there; what is no tenant is left alone.
            let Ok(tenant) = Tenant::try_new(&name) else { continue };
            ended += self.look_at(&tenant, now).await?;
        }
        Ok(ended)
    }

    async fn look_at(&self, tenant: &Tenant, now: Timestamp) -> Result<usize, Error> {
        let source = expiry_source();
        let told = Told { tenant, source: &source, now };
        let (mut ended, mut next) = (0, None);
        for _ in 0..SCRIPTS_AT_ONCE {
            let call = self.telling(&scripts::EXPIRE, EXPIRED, told).await?;
            let call = call.arg(self.kept_ms()).arg(PASSENGERS_AT_ONCE);
            let answer = self.write(tenant, call).await?;
            ended += answer.part::<usize>(1)?;
            next = answer.part(2).ok().map(Timestamp);
            if answer.what() != "more" {
                break;
            }
        }
        self.note(tenant, next).await?;
        Ok(ended)
    }
}
