//! From sources to a [`Config`] that is safe to run with, or to everything that is wrong.
//!
//! Each key is deserialized alone first, by the types of `Config` itself, so that one wrong value
//! hides no other; the rules between settings are checked on what is left.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use thiserror::Error;
use toml::{Table, Value};

use super::layers::{Entry, Origin, Sources, is_section, merge};
use super::nearest::nearest;
use super::settings::{SETTINGS, Setting, Unit};
use super::{Config, rules};

/// A configuration and where its values come from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    origins: BTreeMap<String, Origin>,
}

impl Loaded {
    /// Where the value of the setting `key` comes from.
    pub fn origin(&self, key: &str) -> &Origin {
        self.origins.get(key).unwrap_or(&Origin::Default)
    }
}

/// A configuration that a node must not start with.
#[derive(Debug, Error)]
#[error("bad configuration:{}", listed(.problems))]
pub struct BadConfig {
    /// All that is wrong; never empty.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The setting; empty when it is about a whole file.
    pub key: String,
    /// Where the wrong value comes from.
    pub origin: Origin,
    /// What is wrong with it, and what would be right; never holds a secret.
    pub what: String,
}

impl Problem {
    pub(super) fn new(key: &str, origin: &Origin, what: String) -> Self {
        Self { key: key.to_owned(), origin: origin.clone(), what }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.key, &self.origin) {
            (key, origin) if key.is_empty() => write!(f, "{origin}: {}", self.what),
            (key, Origin::Default) => write!(f, "{key} {}", self.what),
            (key, origin) => write!(f, "{origin}: {key} {}", self.what),
        }
    }
}

fn listed(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}

/// Reads, merges and checks all sources. A key whose value is wrong does not take part in the rules
/// between settings.
///
/// # Errors
/// [`BadConfig`] with every problem found.
pub fn load(sources: &Sources) -> Result<Loaded, BadConfig> {
    let mut problems = Vec::new();
    let mut good = Table::new();
    let mut origins = BTreeMap::new();
    let mut wrong_keys = BTreeSet::new();
    for (key, entry) in merge(sources, &mut problems) {
        match check(&key, &entry) {
            Ok(()) => {
                nest(&mut good, &key, entry.value);
                origins.insert(key, entry.origin);
            }
            Err(what) => {
                problems.push(Problem::new(&key, &entry.origin, what));
                wrong_keys.insert(key);
            }
        }
    }
    match Value::Table(good).try_into() {
        Ok(config) => {
            let loaded = Loaded { config, origins };
            problems.extend(rules::broken(&loaded, &wrong_keys));
            if problems.is_empty() { Ok(loaded) } else { Err(BadConfig { problems }) }
        }
        Err(error) => {
            problems.push(Problem::new("", &Origin::Default, error.message().to_owned()));
            Err(BadConfig { problems })
        }
    }
}

/// Whether `key` is a setting and the value is one that it takes.
fn check(key: &str, entry: &Entry) -> Result<(), String> {
    let Some(setting) = Setting::find(key) else { return Err(unknown(key, &entry.origin)) };
    if matches!(setting.unit, Unit::Secret(_)) && !entry.value.is_str() {
        return Err("must be a string".to_owned());
    }
    let mut alone = Table::new();
    nest(&mut alone, key, entry.value.clone());
    let taken: Result<Config, _> = Value::Table(alone).try_into();
    match taken {
        Err(error) => {
            Err(format!("is wrong: {}; it takes {}", error.message().trim(), setting.unit.describe()))
        }
        Ok(_) if !setting.unit.allows(&entry.value) => {
            Err(format!("is out of range: {}; it takes {}", entry.value, setting.unit.describe()))
        }
        Ok(_) => Ok(()),
    }
}

fn unknown(key: &str, origin: &Origin) -> String {
    if is_section(key) {
        let keys = SETTINGS.iter().filter_map(|setting| setting.key.strip_prefix(key)?.strip_prefix('.'));
        return format!("is a section; its settings are {}", keys.collect::<Vec<_>>().join(", "));
    }
    let Some(meant) = nearest(key, SETTINGS.iter().map(|setting| setting.key)).and_then(Setting::find) else {
        return "is no setting; `signalbox config default` lists all".to_owned();
    };
    match origin {
        Origin::Variable(_) => format!("is no setting; did you mean {}?", meant.variable()),
        _ => format!("is no setting; did you mean {}?", meant.key),
    }
}

/// Puts `value` at the dotted `key`, making tables on the way.
fn nest(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((section, rest)) => {
            let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                nest(inner, rest, value);
            }
        }
    }
}
