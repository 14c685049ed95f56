//! Where values come from: the file, the environment, the flags; later ones win.
//!
//! Everything is brought to one form here, a flat map from `section.key` to a TOML value and its
//! [`Origin`]; whether keys and values make sense is [`load`](mod@super::load)'s question.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::Value;

use super::load::Problem;
use super::settings::{SETTINGS, Setting, Unit};

mod file;
mod variables;

/// What a node is configured with, before anything is read or checked.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The TOML file, if one is named.
    pub file: Option<PathBuf>,
    /// Environment variables; those that are not `SIGNALBOX_*` are passed over.
    pub variables: Vec<(OsString, OsString)>,
    /// Values given by flags.
    pub flags: Vec<FlagValue>,
}

/// A value given on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagValue {
    /// The flag, as the user wrote it, for messages.
    pub flag: String,
    /// The setting that it sets.
    pub key: String,
    /// The value, as written.
    pub value: String,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A line of the TOML file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1; 0 means the file as a whole.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
    /// A file that an environment variable names.
    SecretFile {
        /// The variable.
        variable: String,
        /// The file.
        path: PathBuf,
    },
    /// A flag.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line: 0 } => write!(f, "{}", path.display()),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::SecretFile { variable, path } => {
                write!(f, "{}, named by environment variable {variable}", path.display())
            }
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// A value and where it comes from.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// Values by `section.key`, of one source or of several merged.
pub(super) type Layer = BTreeMap<String, Entry>;

/// Reads all sources; what could not be read is added to `problems`.
pub(super) fn merge(sources: &Sources, problems: &mut Vec<Problem>) -> Layer {
    let mut merged = Layer::new();
    if let Some(path) = &sources.file {
        merged.extend(file::read(path, problems));
    }
    merged.extend(variables::read(&sources.variables, problems));
    merged.extend(of_flags(&sources.flags, problems));
    merged
}

fn of_flags(flags: &[FlagValue], problems: &mut Vec<Problem>) -> Layer {
    let mut layer = Layer::new();
    for FlagValue { flag, key, value } in flags {
        let entry = Entry { value: typed(key, value), origin: Origin::Flag(flag.clone()) };
        insert_once(&mut layer, key, entry, problems);
    }
    layer
}

/// Two values from one source contradict each other: none is obviously the later one.
fn insert_once(layer: &mut Layer, key: &str, entry: Entry, problems: &mut Vec<Problem>) {
    if let Some(first) = layer.get(key) {
        problems.push(Problem::new(key, &entry.origin, format!("is set already, by {}", first.origin)));
    } else {
        layer.insert(key.to_owned(), entry);
    }
}

/// The TOML value that `text` stands for, since variables and flags carry only text. What does not
/// fit stays text, and is refused as having the wrong type.
fn typed(key: &str, text: &str) -> Value {
    let as_text = || Value::String(text.to_owned());
    match Setting::find(key).map(|setting| setting.unit) {
        Some(Unit::Switch) => text.parse().map_or_else(|_| as_text(), Value::Boolean),
        Some(Unit::Count(..)) => text.parse().map_or_else(|_| as_text(), Value::Integer),
        Some(Unit::Names) => names(text).unwrap_or_else(as_text),
        _ => as_text(),
    }
}

/// `a,b` or `["a", "b"]`.
fn names(text: &str) -> Option<Value> {
    if text.trim_start().starts_with('[') {
        let mut table: toml::Table = format!("names = {text}").parse().ok()?;
        return table.remove("names");
    }
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    Some(Value::Array(names.map(|name| Value::String(name.to_owned())).collect()))
}

/// Whether some setting's key begins with `path.`.
pub(super) fn is_section(path: &str) -> bool {
    let rest_of =
        |setting: &Setting| setting.key.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
    SETTINGS.iter().any(rest_of)
}

fn read_text(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))
}
