//! One command for Redis, and what its answer is read as.

use std::fmt;

use redis::{Cmd, FromRedisValue, ToRedisArgs, Value};
use tokio::time::Instant;

use super::script::{Script, Written};
use crate::Error;
use crate::keys::KeySet;
use crate::measured::{Failure, Measured, Way};
use crate::slot::slot_of;

/// Arguments and bytes that most calls have room in.
const PLAIN_CALL: (usize, usize) = (4, 160);
/// The same of a script.
const SCRIPT_CALL: (usize, usize) = (16, 448);

/// A command that touches one slot. A script goes by its hash, and whole where Redis does not know it.
#[derive(Clone)]
pub struct Call {
    cmd: Cmd,
    script: Option<&'static Written>,
    /// Where it goes that names no key, in a Cluster.
    place: Option<u16>,
}

/// What is about a server and no key of it.
const WITHOUT_KEY: [&[u8]; 6] = [b"TIME", b"INFO", b"WAIT", b"SCAN", b"PUBSUB", b"PING"];

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").finish_non_exhaustive()
    }
}

impl Call {
    /// A plain command. Its keys have to come from [`Scripts`](super::Scripts).
    pub fn new(command: &str) -> Self {
        let mut cmd = Cmd::with_capacity(PLAIN_CALL.0, PLAIN_CALL.1);
        cmd.arg(command);
        Self { cmd, script: None, place: None }
    }

    pub(super) fn script(script: &'static Script, keys: &KeySet) -> Self {
        let mut cmd = Cmd::with_capacity(SCRIPT_CALL.0, SCRIPT_CALL.1);
        let (guard, keys) = (keys.guard(), keys.as_slice());
        let written = script.written(guard.is_some());
        cmd.arg("EVALSHA").arg(&written.hash).arg(keys.len() + usize::from(guard.is_some())).arg(keys);
        cmd.arg(guard);
        Self { cmd, script: Some(written), place: None }
    }

    /// A script that works on no key, at the server of a Cluster that has this slot.
    pub(super) fn script_at(script: &'static Script, slot: u16) -> Self {
        let written = script.written(true);
        let mut cmd = redis::cmd("EVALSHA");
        cmd.arg(&written.hash).arg(0);
        Self { cmd, script: Some(written), place: Some(slot) }
    }

    /// Appends an argument, or several.
    #[must_use]
    pub fn arg(mut self, arg: impl ToRedisArgs) -> Self {
        self.cmd.arg(arg);
        self
    }

    /// Appends one more argument.
    pub(super) fn push(&mut self, arg: &str) {
        self.cmd.arg(arg);
    }

    /// One that names no key, at the server that has this one.
    #[must_use]
    pub(super) fn beside(mut self, key: &str) -> Self {
        self.place = Some(slot_of(key.as_bytes()));
        self
    }

    /// The slot of its keys, or of its channel; none if it has no key.
    pub(super) fn slot(&self) -> Option<u16> {
        if self.place.is_some() {
            return self.place;
        }
        let mut args = self.cmd.args_iter().filter_map(|arg| match arg {
            redis::Arg::Simple(arg) => Some(arg),
            _ => None,
        });
        match args.next()? {
            b"EVALSHA" | b"EVAL" => args.nth(2).map(slot_of),
            command if WITHOUT_KEY.contains(&command) => None,
            _ => args.next().map(slot_of),
        }
    }

    pub(super) fn cmd(&self) -> &Cmd {
        &self.cmd
    }

    /// The command's name.
    fn name(&self) -> &[u8] {
        match self.cmd.args_iter().next() {
            Some(redis::Arg::Simple(name)) => name,
            _ => &[],
        }
    }

    /// The same call with the script's text in place of its hash.
    pub(super) fn with_script_text(&self) -> Option<Self> {
        let script = self.script?;
        let mut cmd = redis::cmd("EVAL");
        cmd.arg(&script.text);
        for arg in self.cmd.args_iter().skip(2) {
            if let redis::Arg::Simple(arg) = arg {
                cmd.arg(arg);
            }
        }
        Some(Self { cmd, script: None, place: self.place })
    }
}

/// Notes how long calls took that went together, by the name of the only one or as several, and whether that failed.
pub(super) fn note(
    measured: &Measured,
    way: Way,
    calls: &[Call],
    begun: Instant,
    answered: &Result<Vec<Value>, Error>,
) {
    let name = if let [call] = calls { call.name() } else { b"pipeline" };
    measured.command(way, name).note_time(begun.elapsed());
    let is_refusal = |answer: &Value| matches!(answer, Value::ServerError(_));
    match answered {
        Ok(answers) if !answers.iter().any(is_refusal) => {}
        Err(Error::OutcomeUnknown(_)) => measured.count_failure(Failure::Unanswered),
        Ok(_) | Err(_) => measured.count_failure(Failure::Refused),
    }
}

/// Reads an answer; `what` is what it should have been, for the error.
pub(super) fn read<T: FromRedisValue>(value: Value, what: &'static str) -> Result<T, Error> {
    redis::from_redis_value(value).map_err(|_| Error::Unreadable { what })
}

/// Takes the next answer of several.
pub(super) fn read_next<T: FromRedisValue>(
    values: &mut impl Iterator<Item = Value>,
    what: &'static str,
) -> Result<T, Error> {
    read(values.next().ok_or(Error::Unreadable { what })?, what)
}

/// Takes the answer of `TIME`, as milliseconds since 1970.
pub(super) fn read_clock_ms(values: &mut impl Iterator<Item = Value>) -> Result<u64, Error> {
    let (seconds, micros): (u64, u64) = read_next(values, "time")?;
    Ok(seconds.saturating_mul(1_000).saturating_add(micros / 1_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Keys, Scope};
    use crate::redis::script::LOG_LIFE;

    #[test]
    fn a_call_goes_where_its_key_is() {
        let keys = Keys::new("sb").sharded();
        let script = Call::script(&LOG_LIFE, &keys.of(Scope::Life)).arg("x");
        assert_eq!(script.slot(), Some(slot_of(b"sb:life")));
        assert_eq!(script.with_script_text().unwrap().slot(), script.slot());
        assert_eq!(Call::new("HGET").arg("{a}b").arg("c").slot(), Some(slot_of(b"a")));
        assert_eq!(Call::new("TIME").slot(), None);
        assert_eq!(Call::new("WAIT").arg(1).beside("{a}c").slot(), Some(slot_of(b"a")));
    }
}
