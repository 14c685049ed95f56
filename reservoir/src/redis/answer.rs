//! What scripts answer: a list of texts, the first of which says what it is.

use ::redis::Value;
use signalbox_protocol::VehicleId;
use signalbox_protocol::control::BoardingDenial;
use signalbox_registry::Error as RegistryError;

use super::record;
use crate::Error;
use crate::error::{Denied, Missing};

/// An answer that has been read.
#[derive(Debug)]
pub(super) struct Answer(Vec<String>);

fn unreadable() -> Error {
    Error::Registry(RegistryError::Unreadable { what: "script's answer" })
}

impl Answer {
    /// Reads the answer of a script that changes something, except for what every such script may answer.
    pub(super) fn of(value: Value) -> Result<Self, Error> {
        let texts = texts(value)?;
        match texts.first().map(String::as_str) {
            // The script did nothing.
            Some("late") => Err(Error::Registry(RegistryError::Unavailable(None))),
            Some("no_passenger") => Err(Error::NotFound(Missing::Passenger)),
            Some("no_vehicle") => Err(Error::NotFound(Missing::Vehicle)),
            Some("denied") => Err(denied(&texts)),
            _ => Ok(Self(texts)),
        }
    }

    /// What it is.
    pub(super) fn what(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// A part behind that, from 1.
    pub(super) fn part<T: std::str::FromStr>(&self, number: usize) -> Result<T, Error> {
        self.0.get(number).and_then(|text| text.parse().ok()).ok_or_else(unreadable)
    }

    /// A part that is made by `read`.
    pub(super) fn read<T, E>(&self, number: usize, read: impl Fn(&str) -> Result<T, E>) -> Result<T, Error> {
        self.0.get(number).and_then(|text| read(text).ok()).ok_or_else(unreadable)
    }

    /// All parts behind that, each made by `read`.
    pub(super) fn rest<T, E>(&self, read: impl Fn(&str) -> Result<T, E>) -> Result<Vec<T>, Error> {
        self.0.iter().skip(1).map(|text| read(text).map_err(|_| unreadable())).collect()
    }

    /// An answer that the caller did not expect.
    pub(super) fn unexpected(self) -> Error {
        unreadable()
    }
}

/// Reads a list of texts.
pub(super) fn texts(value: Value) -> Result<Vec<String>, Error> {
    ::redis::from_redis_value(value).map_err(|_| unreadable())
}

fn denied(texts: &[String]) -> Error {
    let read = || {
        let [_, reason, state, vehicle] = texts else { return None };
        let reason = match reason.as_str() {
            "boarded" => BoardingDenial::Boarded,
            "state" => BoardingDenial::State,
            "stale_fence" => BoardingDenial::StaleFence,
            "full" => BoardingDenial::Full,
            _ => return None,
        };
        let boarded_by = Some(vehicle).filter(|vehicle| !vehicle.is_empty());
        let boarded_by = boarded_by.map(|vehicle| VehicleId::try_new(vehicle)).transpose().ok()?;
        Some(Denied { reason, state: Some(record::state_of(state)?), boarded_by })
    };
    read().map_or_else(unreadable, Error::Denied)
}
