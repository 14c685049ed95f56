//! Logs as Redis holds them; `scripts/log.lua` tells how. Pure: answers in, values out.

use bytes::Bytes;
use redis::Value;
use signalbox_protocol::control::{Discontinuity, Position};

use crate::Error;
use crate::log::{Page, Read};
use crate::redis::call::read;

/// What is known of a log without its messages.
#[derive(Debug, Clone)]
pub(super) struct Meta {
    pub(super) epoch: String,
    top: u64,
    lost: Discontinuity,
    /// When its times to live were set.
    pub(super) kept_ms: u64,
}

impl Meta {
    /// Reads it; an empty one is none.
    pub(super) fn read(text: &str) -> Result<Option<Self>, Error> {
        if text.is_empty() {
            return Ok(None);
        }
        Self::parse(text).map(Some).ok_or(Error::Unreadable { what: "log" })
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('|');
        let (epoch, top, _bytes) = (parts.next()?, parts.next()?, parts.next()?);
        let lost = match parts.next()? {
            "a" => Discontinuity::Expired,
            _ => Discontinuity::Trimmed,
        };
        let kept_ms = parts.next()?.parse().ok()?;
        Some(Self { epoch: epoch.to_owned(), top: top.parse().ok()?, lost, kept_ms })
    }

    /// Where it ends.
    pub(super) fn head(&self) -> Position {
        Position { epoch: self.epoch.clone(), offset: self.top }
    }
}

/// What an append was answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) position: Position,
    pub(super) duplicate: bool,
    /// The record of a point topic.
    pub(super) record: Value,
}

impl Answer {
    pub(super) fn read(answer: Value) -> Result<Self, Error> {
        let answer: Option<(String, u64, u8, Value)> = read(answer, "answer of a log")?;
        let (epoch, offset, known, record) = answer.ok_or(Error::Unavailable(None))?;
        Ok(Self { position: Position { epoch, offset }, duplicate: known == 1, record })
    }
}

/// What a look at a log found.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) meta: Option<Meta>,
    length: u64,
    /// When the oldest message came; none if there is none.
    oldest_ms: Option<u64>,
    /// What follows the offset asked for.
    messages: Vec<Bytes>,
    /// When the first of those came.
    first_ms: Option<u64>,
}

impl Stored {
    pub(super) fn read(answer: Value) -> Result<Self, Error> {
        let (meta, length, oldest, messages): (String, u64, String, Vec<Vec<u8>>) = read(answer, "log")?;
        let first_ms = messages.first().and_then(|came| came_ms(came));
        // Each is behind what is said of it.
        let messages = messages.into_iter().skip(1).step_by(2).map(Bytes::from).collect();
        Ok(Self { meta: Meta::read(&meta)?, length, oldest_ms: oldest.parse().ok(), messages, first_ms })
    }

    /// What follows a position that the log itself does not contradict, where what came before `valid_ms` is gone.
    pub(super) fn following(self, after: &Position, head: Position, valid_ms: u64) -> Read {
        let broken = |reason, head| Read::Broken { reason, head };
        if after.offset >= head.offset {
            return Read::Page(Page::empty(after, head));
        }
        let first = (self.meta.as_ref().map_or(0, |meta| meta.top) + 1).saturating_sub(self.length);
        let gone = after.offset + 1 < first;
        match self.oldest_ms {
            Some(oldest_ms) if gone && oldest_ms >= valid_ms => {
                let lost = self.meta.map_or(Discontinuity::Epoch, |meta| meta.lost);
                return broken(lost, head);
            }
            Some(_) if !gone => {}
            _ => return broken(Discontinuity::Expired, head),
        }
        if self.first_ms.is_none_or(|first_ms| first_ms < valid_ms) {
            return broken(Discontinuity::Expired, head);
        }
        Read::Page(Page { first: after.offset + 1, bodies: self.messages, head })
    }
}

/// When a message came: `ms|bytes`.
fn came_ms(said: &[u8]) -> Option<u64> {
    std::str::from_utf8(said).ok()?.split('|').next()?.parse().ok()
}
