//! The way of calls to the servers that have their keys.
//!
//! A pipeline is divided by shard: each shard's calls keep their order, those of different shards run at the same time. Where
//! there is one server, it is that server's link and nothing else.

use futures_util::future::join_all;
use redis::Value;

use super::call::Call;
use super::fault::{Redirect, of_question};
use super::link::{Link, checked};
use super::shards::{Links, Shard};
use crate::Error;

/// A call is sent on so often; each time it was not done where it came from.
const HOPS_MAX: usize = 3;

/// A way to all servers, by one link of each. Commands that need an order among them go the same way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Road<'a> {
    links: &'a Links,
    number: usize,
}

impl<'a> Road<'a> {
    pub(super) fn new(links: &'a Links, number: usize) -> Self {
        Self { links, number }
    }

    /// Whether the server that has this key, or this channel, can be asked.
    pub(super) fn is_up(self, slot: u16) -> bool {
        self.links.map().shard_of(slot).is_some_and(|shard| self.by(shard).is_up())
    }

    /// Carries out commands that change something, one round trip for all. Those of one server run in this order,
    /// but not as one step; a refusal is the answer.
    pub(super) async fn write(self, calls: &[Call]) -> Result<Vec<Value>, Error> {
        let map = self.links.map();
        if let Some(shard) = map.only() {
            return self.by(shard).write(calls).await;
        }
        let parts = map.divide(calls).inspect_err(|_| self.links.stale.notify_one())?;
        let asked = parts.iter().map(|(shard, places)| {
            let of_shard: Vec<_> = places.iter().map(|place| calls[*place].clone()).collect();
            self.part(&map.shards()[*shard], of_shard)
        });
        merge(parts.values().zip(join_all(asked).await), calls.len())
    }

    /// Carries out commands that change nothing.
    pub(super) async fn read(self, calls: &[Call]) -> Result<Vec<Value>, Error> {
        self.write(calls).await.map_err(of_question)
    }

    /// Carries out one command that changes something.
    pub(super) async fn write_one(self, call: Call) -> Result<Value, Error> {
        let answers = self.write(std::slice::from_ref(&call)).await?;
        answers.into_iter().next().ok_or(Error::Unreadable { what: "answer" })
    }

    fn by(self, shard: &Shard) -> &Link {
        &shard.links()[self.number]
    }

    /// The calls of one shard, sent on if that no longer has a slot.
    async fn part(self, shard: &Shard, calls: Vec<Call>) -> Result<Vec<Value>, Error> {
        let mut answers = self.by(shard).raw(&calls).await?;
        for (call, answer) in calls.iter().zip(&mut answers) {
            for _ in 0..HOPS_MAX {
                let Some(redirect) = Redirect::of(answer) else { break };
                let followed = self.follow(call, &redirect).await;
                // The others may have been done.
                *answer = if calls.len() > 1 { followed.map_err(half_done)? } else { followed? };
            }
        }
        Ok(answers)
    }

    async fn follow(self, call: &Call, redirect: &Redirect) -> Result<Value, Error> {
        if !redirect.is_for_once {
            self.links.moved(redirect);
        }
        let map = self.links.map();
        let Some(shard) = map.at(&redirect.to) else {
            self.links.stale.notify_one();
            return Err(Error::Unavailable(None));
        };
        let link = self.by(shard);
        if redirect.is_for_once {
            return link.ask(call).await;
        }
        let answers = link.raw(std::slice::from_ref(call)).await?;
        answers.into_iter().next().ok_or(Error::Unreadable { what: "answer" })
    }
}

/// Whether a part was done that nothing is said of.
fn half_done(error: Error) -> Error {
    match error {
        Error::Unavailable(source) => Error::OutcomeUnknown(source),
        error => error,
    }
}

/// Puts the answers of several shards together. What was done by one and not by another is unknown to who asked.
fn merge<'a>(
    parts: impl Iterator<Item = (&'a Vec<usize>, Result<Vec<Value>, Error>)>,
    count: usize,
) -> Result<Vec<Value>, Error> {
    let (mut answers, mut done, mut failed) = (vec![Value::Nil; count], false, None);
    for (places, answered) in parts {
        match answered {
            Ok(values) => {
                for (place, value) in places.iter().zip(values) {
                    match checked(value) {
                        Ok(value) => (answers[*place], done) = (value, true),
                        Err(error) => failed = Some(worse(failed.take(), error)),
                    }
                }
            }
            Err(error) => failed = Some(worse(failed.take(), error)),
        }
    }
    match failed {
        None => Ok(answers),
        Some(Error::Unavailable(source)) if done => Err(Error::OutcomeUnknown(source)),
        Some(error) => Err(error),
    }
}

/// The one of two failures that promises less.
fn worse(one: Option<Error>, other: Error) -> Error {
    match (one, other) {
        (Some(one @ Error::OutcomeUnknown(_)), _) => one,
        (_, other @ Error::OutcomeUnknown(_)) => other,
        (Some(one @ Error::Refused(_)), Error::Unavailable(_)) => one,
        (_, other) => other,
    }
}
