//! What the store outside of the cluster still has to get: the changes of one tenant's passengers.
//!
//! A line names a passenger whose record in the store is to be brought in line with the claims; it says
//! nothing of what changed, so that whatever is written is the latest. The claims write it in the same step
//! as the change (`outbox` in [`repository::Settings`](crate::repository::Settings)), so no crash can come
//! between. Each new change gives the line a new number, and a line is struck out only under the number that
//! was read. The claims forget nobody of whom there is a line.
//!
//! A push writes to the store before the claims decide. So it stands here before its first write, with the
//! moment by which it must have ended: what it left in the store and the claims don't know by then is removed.
//!
//! Behind what the names of the fleet begin with:
//!
//! | key | type | holds |
//! | --- | --- | --- |
//! | `outbox` | zset | passenger -> number of the change |
//! | `outbox:last` | string | the last number |
//! | `outbox:pushes` | zset | passenger of a push -> by when it has ended, ms of Redis' clock |
//! | `outbox:spawned` | hash | passenger of a push -> `spawned_at`, ms: tells its record from others' |
//! | `outbox:worker` | string PX | who works the lines off |

mod lines;
mod scripts;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use redis::{FromRedisValue, Value};
use signalbox_protocol::fleet::Passenger;
use signalbox_protocol::timestamp::Timestamp;
use signalbox_protocol::{PassengerId, Tenant};
use signalbox_registry::redis::{Call, Scripts};
use signalbox_registry::{Backing, Error};

pub(crate) use self::lines::Outboxes;

/// The outbox of one tenant.
#[derive(Debug)]
pub(crate) struct Outbox {
    place: Place,
    tenant: Tenant,
    /// Most lines and pushed passengers.
    most: u64,
}

#[derive(Debug)]
enum Place {
    Memory(Arc<Outboxes>),
    Redis(Scripts),
}

/// A change that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// Whose record is to be brought in line.
    pub(crate) passenger_id: PassengerId,
    /// The number of the change.
    pub(crate) number: u64,
}

/// A passenger of a push that has not ended in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pushed {
    /// Whom.
    pub(crate) passenger_id: PassengerId,
    /// Tells the push's record from others'.
    pub(crate) spawned_at: Timestamp,
}

/// What there is to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Work {
    /// Pushes that are over.
    pub(crate) pushes: Vec<Pushed>,
    /// Lines behind the number that was named.
    pub(crate) lines: Vec<Line>,
}

/// Whether a push may begin.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    /// It may.
    Yes,
    /// A push of this passenger is under way, or being undone.
    Busy(PassengerId),
    /// So much waits already.
    Full(u64),
}

impl Outbox {
    pub(crate) fn new(backing: &Backing, tenant: Tenant, most: u64) -> Self {
        let place = match backing {
            Backing::Memory(commons) => Place::Memory(commons.value()),
            Backing::Redis(scripts) => Place::Redis(scripts.clone()),
        };
        Self { place, tenant, most }
    }

    /// How much waits, if that is too much.
    pub(crate) async fn full(&self) -> Result<Option<u64>, Error> {
        let waiting = self.waiting().await?;
        Ok((waiting >= self.most).then_some(waiting))
    }

    /// How much waits: lines and pushed passengers.
    pub(crate) async fn waiting(&self) -> Result<u64, Error> {
        match &self.place {
            Place::Memory(outboxes) => Ok(outboxes.of(&self.tenant, |lines| lines.waiting())),
            Place::Redis(scripts) => {
                let calls =
                    ["outbox", "outbox:pushes"].map(|name| Call::new("ZCARD").arg(self.key(scripts, name)));
                let counts = scripts.read(&self.tenant, &calls).await?;
                counts.into_iter().map(read::<u64>).sum()
            }
        }
    }

    /// Puts lines down for passengers who have none.
    pub(crate) async fn note(&self, ids: &[PassengerId]) -> Result<(), Error> {
        match &self.place {
            Place::Memory(outboxes) => outboxes.of(&self.tenant, |lines| lines.note_missing(ids)),
            Place::Redis(scripts) => {
                self.write::<u8>(ids.iter().fold(scripts.on_fleet(&scripts::NOTE, &self.tenant), named))
                    .await?;
            }
        }
        Ok(())
    }

    /// Puts a push down that will have ended in `within`: all of it or nothing.
    pub(crate) async fn begin(&self, passengers: &[Passenger], within: Duration) -> Result<Begun, Error> {
        let scripts = match &self.place {
            Place::Memory(outboxes) => {
                return Ok(outboxes.of(&self.tenant, |lines| lines.begin(passengers, within, self.most)));
            }
            Place::Redis(scripts) => scripts,
        };
        let call = scripts.on_fleet(&scripts::BEGIN, &self.tenant);
        let call = call.arg(scripts.deadline_ms().await?).arg(ms(within)).arg(self.most);
        let call = passengers.iter().fold(call, |call, passenger| {
            call.arg(passenger.passenger_id.as_str()).arg(passenger.spawned_at.0)
        });
        let answer: Vec<String> = self.write(call).await?;
        match answer.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["done"] => Ok(Begun::Yes),
            ["late"] => Err(Error::Unavailable(None)),
            ["busy", id] => Ok(Begun::Busy(PassengerId::try_new(id).map_err(|_| unreadable())?)),
            ["full", waiting] => Ok(Begun::Full(waiting.parse().map_err(|_| unreadable())?)),
            _ => Err(unreadable()),
        }
    }

    /// Strikes a push out.
    pub(crate) async fn end(&self, ids: &[PassengerId]) -> Result<(), Error> {
        match &self.place {
            Place::Memory(outboxes) => outboxes.of(&self.tenant, |lines| lines.end(ids)),
            Place::Redis(scripts) => {
                self.write::<u8>(ids.iter().fold(scripts.on_fleet(&scripts::END, &self.tenant), named))
                    .await?;
            }
        }
        Ok(())
    }

    /// Lets a push that stands here be over in `within` from now, if it does stand here.
    pub(crate) async fn over_in(&self, ids: &[PassengerId], within: Duration) -> Result<(), Error> {
        match &self.place {
            Place::Memory(outboxes) => outboxes.of(&self.tenant, |lines| lines.over_in(ids, within)),
            Place::Redis(scripts) => {
                let call = scripts.on_fleet(&scripts::OVER, &self.tenant).arg(ms(within));
                self.write::<u8>(ids.iter().fold(call, named)).await?;
            }
        }
        Ok(())
    }

    /// Which of these passengers are of a push that has not ended.
    pub(crate) async fn pushing(&self, ids: &[PassengerId]) -> Result<HashSet<PassengerId>, Error> {
        if ids.is_empty() {
            return Ok(HashSet::new());
        }
        let scripts = match &self.place {
            Place::Memory(outboxes) => return Ok(outboxes.of(&self.tenant, |lines| lines.pushing(ids))),
            Place::Redis(scripts) => scripts,
        };
        let call = Call::new("ZMSCORE").arg(self.key(scripts, "outbox:pushes"));
        let answer = scripts.read(&self.tenant, &[ids.iter().fold(call, named)]).await?;
        let scores: Vec<Option<String>> = read(answer.into_iter().next().ok_or_else(unreadable)?)?;
        let standing = ids.iter().zip(scores).filter(|(_, score)| score.is_some());
        Ok(standing.map(|(id, _)| id.clone()).collect())
    }

    /// Everybody named here: about whom the store may be wrong.
    pub(crate) async fn named(&self) -> Result<Vec<PassengerId>, Error> {
        let scripts = match &self.place {
            Place::Memory(outboxes) => return Ok(outboxes.of(&self.tenant, |lines| lines.named())),
            Place::Redis(scripts) => scripts,
        };
        let range = |name| Call::new("ZRANGE").arg(self.key(scripts, name)).arg(0).arg(-1);
        let answers = scripts.read(&self.tenant, &["outbox", "outbox:pushes"].map(range)).await?;
        let mut ids = HashSet::new();
        for answer in answers {
            ids.extend(read::<Vec<String>>(answer)?.iter().filter_map(|id| PassengerId::try_new(id).ok()));
        }
        Ok(ids.into_iter().collect())
    }

    /// What there is to do for the worker `token`, at most `count` of a kind; `None` if another works. Nobody
    /// else works for `lease` from now.
    pub(crate) async fn work(
        &self,
        token: &str,
        lease: Duration,
        (after, count): (u64, usize),
    ) -> Result<Option<Work>, Error> {
        let scripts = match &self.place {
            Place::Memory(outboxes) => {
                return Ok(outboxes.of(&self.tenant, |lines| lines.work(token, lease, (after, count))));
            }
            Place::Redis(scripts) => scripts,
        };
        let call =
            scripts.on_fleet(&scripts::WORK, &self.tenant).arg(token).arg(ms(lease)).arg(after).arg(count);
        let answer: Vec<Vec<String>> = self.write(call).await?;
        let [pushes, lines] = &answer[..] else { return Ok(None) };
        read_work(pushes, lines).map(Some).ok_or_else(unreadable)
    }

    /// Strikes a line out, if there was no change since; whether it did.
    pub(crate) async fn strike(&self, line: &Line) -> Result<bool, Error> {
        match &self.place {
            Place::Memory(outboxes) => Ok(outboxes.of(&self.tenant, |lines| lines.strike(line))),
            Place::Redis(scripts) => {
                let call = scripts.on_fleet(&scripts::STRIKE, &self.tenant);
                Ok(self.write::<u8>(call.arg(line.passenger_id.as_str()).arg(line.number)).await? == 1)
            }
        }
    }

    fn key(&self, scripts: &Scripts, name: &str) -> String {
        scripts.fleet_key(&self.tenant, name)
    }

    async fn write<T: FromRedisValue>(&self, call: Call) -> Result<T, Error> {
        match &self.place {
            Place::Redis(scripts) => read(scripts.write(&self.tenant, call).await?),
            Place::Memory(_) => Err(unreadable()),
        }
    }
}

fn named(call: Call, id: &PassengerId) -> Call {
    call.arg(id.as_str())
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}

fn read<T: FromRedisValue>(value: Value) -> Result<T, Error> {
    redis::from_redis_value(value).map_err(|_| unreadable())
}

fn unreadable() -> Error {
    Error::Unreadable { what: "line of the outbox" }
}

fn read_work(pushes: &[String], lines: &[String]) -> Option<Work> {
    let pair = |pair: &[String]| {
        Some((PassengerId::try_new(pair.first()?).ok()?, pair.get(1)?.parse::<u64>().ok()?))
    };
    let pushed = |(passenger_id, ms)| Pushed { passenger_id, spawned_at: Timestamp(ms) };
    let line = |(passenger_id, number)| Line { passenger_id, number };
    Some(Work {
        pushes: pushes.chunks(2).map(|of| pair(of).map(pushed)).collect::<Option<_>>()?,
        lines: lines.chunks(2).map(|of| pair(of).map(line)).collect::<Option<_>>()?,
    })
}
