//! One command for Redis, and what its answer is read as.

use std::fmt;

use redis::{Cmd, FromRedisValue, ToRedisArgs, Value};

use super::script::Script;
use crate::Error;
use crate::keys::KeySet;

/// Arguments and bytes that most calls of a script have room in.
const SCRIPT_CALL: (usize, usize) = (16, 448);

/// A command that touches one slot. A script goes by its hash, and whole where Redis does not know it.
#[derive(Clone)]
pub struct Call {
    cmd: Cmd,
    script: Option<&'static Script>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").finish_non_exhaustive()
    }
}

impl Call {
    /// A plain command. Its keys have to come from [`Scripts`](super::Scripts).
    pub fn new(command: &str) -> Self {
        Self { cmd: redis::cmd(command), script: None }
    }

    pub(super) fn script(script: &'static Script, keys: &KeySet) -> Self {
        let mut cmd = Cmd::with_capacity(SCRIPT_CALL.0, SCRIPT_CALL.1);
        cmd.arg("EVALSHA");
        cmd.arg(script.hash()).arg(keys.as_slice().len()).arg(keys.as_slice());
        Self { cmd, script: Some(script) }
    }

    /// Appends an argument, or several.
    #[must_use]
    pub fn arg(mut self, arg: impl ToRedisArgs) -> Self {
        self.cmd.arg(arg);
        self
    }

    pub(super) fn cmd(&self) -> &Cmd {
        &self.cmd
    }

    /// The command's name.
    pub(super) fn name(&self) -> &[u8] {
        match self.cmd.args_iter().next() {
            Some(redis::Arg::Simple(name)) => name,
            _ => &[],
        }
    }

    /// The same call with the script's text in place of its hash.
    pub(super) fn with_script_text(&self) -> Option<Self> {
        let script = self.script?;
        let mut cmd = redis::cmd("EVAL");
        cmd.arg(script.text());
        for arg in self.cmd.args_iter().skip(2) {
            if let redis::Arg::Simple(arg) = arg {
                cmd.arg(arg);
            }
        }
        Some(Self { cmd, script: None })
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
