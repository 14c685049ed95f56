//! The table of all settings: what each is for, its unit and its range.
//!
//! `signalbox config default` prints it, [`load`](super::load::load) checks ranges by it, and a test holds it to
//! the fields of [`Config`](super::Config). Defaults are not repeated here: they are those of `Config`.

use std::sync::LazyLock;
use std::time::Duration;

use super::units::{format_bytes, format_period, parse_bytes, parse_period};

mod auth;
mod delivery;
#[cfg(test)]
mod documents;
mod entrance;
mod fleet;
mod node;
mod operation;
mod redis;
mod shares;
mod traffic;

/// One setting, for the one who has to choose its value.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Where it stands, e.g. `outbox.bytes_max`.
    pub key: &'static str,
    /// What its value is measured in, and which values are allowed.
    pub unit: Unit,
    /// What it does, and why the default is what it is.
    pub reason: &'static str,
}

/// What a setting's value is. Ranges include both ends.
#[derive(Debug, Clone, Copy)]
pub enum Unit {
    /// An IP address and a port.
    Address,
    /// `true` or `false`.
    Switch,
    /// A list of names.
    Names,
    /// Text, with an example.
    Text(&'static str),
    /// Text that must not be shown, with an example.
    Secret(&'static str),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A whole number of something, from, to.
    Count(&'static str, i64, i64),
    /// A time, from, to.
    Period(Duration, Duration),
    /// A size, from, to.
    Bytes(usize, usize),
}

impl Setting {
    /// The environment variable that sets it.
    pub fn variable(&self) -> String {
        match self.key {
            "redis.url" => "SIGNALBOX_REDIS".to_owned(),
            key => format!("SIGNALBOX_{}", key.replace('.', "__").to_uppercase()),
        }
    }

    /// The setting called `key`.
    pub fn find(key: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.key == key)
    }
}

impl Unit {
    /// Unit and range in words.
    pub fn describe(&self) -> String {
        match self {
            Self::Address => "an IP address and a port".to_owned(),
            Self::Switch => "true or false".to_owned(),
            Self::Names => "a list of names".to_owned(),
            Self::Text(_) => "text".to_owned(),
            Self::Secret(_) => "text, never shown in full".to_owned(),
            Self::Choice(words) => format!("one of: {}", words.join(", ")),
            Self::Count(what, from, to) => format!("{what}, {from} to {to}"),
            Self::Period(from, to) => format!("a time, {} to {}", format_period(*from), format_period(*to)),
            Self::Bytes(from, to) => format!("a size, {} to {}", format_bytes(*from), format_bytes(*to)),
        }
    }

    /// Whether `value`, which already has the right type, lies in the range.
    pub fn allows(&self, value: &toml::Value) -> bool {
        match self {
            Self::Address
            | Self::Switch
            | Self::Names
            | Self::Text(_)
            | Self::Secret(_)
            | Self::Choice(_) => true,
            Self::Count(_, from, to) => value.as_integer().is_none_or(|count| (*from..=*to).contains(&count)),
            Self::Period(from, to) => {
                value.as_str().and_then(parse_period).is_none_or(|period| (*from..=*to).contains(&period))
            }
            Self::Bytes(from, to) => {
                let written = value.as_str().and_then(parse_bytes);
                let number = value.as_integer().and_then(|bytes| usize::try_from(bytes).ok());
                written.or(number).is_none_or(|bytes| (*from..=*to).contains(&bytes))
            }
        }
    }
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
const fn setting(key: &'static str, unit: Unit, reason: &'static str) -> Setting {
    Setting { key, unit, reason }
}
const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

/// Every setting, in the order in which they are shown; those of a section stand together.
pub static SETTINGS: LazyLock<Vec<Setting>> = LazyLock::new(|| {
    [
        node::NODE,
        redis::REDIS,
        entrance::ENTRANCE,
        traffic::TRAFFIC,
        fleet::FLEET,
        delivery::DELIVERY,
        operation::OPERATION,
        auth::AUTH,
        shares::SHARES,
    ]
    .concat()
});
