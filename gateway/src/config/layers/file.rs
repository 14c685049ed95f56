//! The TOML file: its leaves, each with the line that it stands on.
//!
//! What must stay true: no message quotes the file, since a line of it may hold a password.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Value;
use toml::de::{DeTable, DeValue};

use super::{Entry, Layer, Origin, is_section, read_text};
use crate::config::load::Problem;

type Lines = BTreeMap<String, usize>;

/// Reads the file's values. A file with syntax errors gives none, but every error.
pub(super) fn read(path: &Path, problems: &mut Vec<Problem>) -> Layer {
    let at = |line| Origin::File { path: path.to_owned(), line };
    let text = match read_text(path) {
        Ok(text) => text,
        Err(error) => {
            problems.push(Problem::new("", &at(0), error));
            return Layer::new();
        }
    };
    let (document, errors) = DeTable::parse_recoverable(&text);
    if !errors.is_empty() {
        problems.extend(errors.iter().map(|error| {
            let line = line_of(&text, error.span().map_or(0, |span| span.start));
            Problem::new("", &at(line), format!("is not TOML: {}", error.message()))
        }));
        return Layer::new();
    }
    let mut lines = Lines::new();
    note_lines(&text, document.get_ref(), "", &mut lines);
    let mut layer = Layer::new();
    match text.parse() {
        Ok(table) => {
            flatten(table, "", &mut |key, value| {
                let line = lines.get(&key).copied().unwrap_or(1);
                layer.insert(key, Entry { value, origin: at(line) });
            });
        }
        Err(error) => problems.push(Problem::new("", &at(1), format!("is not TOML: {}", error.message()))),
    }
    layer
}

/// Calls `leaf` for each value that is no table; and for empty tables that are no section, which
/// would otherwise pass unnoticed.
fn flatten(table: toml::Table, path: &str, leaf: &mut dyn FnMut(String, Value)) {
    for (name, value) in table {
        let key = joined(path, &name);
        match value {
            Value::Table(inner) if !inner.is_empty() => flatten(inner, &key, leaf),
            Value::Table(_) if is_section(&key) => {}
            value => leaf(key, value),
        }
    }
}

fn note_lines(text: &str, table: &DeTable<'_>, path: &str, lines: &mut Lines) {
    for (name, value) in table {
        let key = joined(path, name.get_ref());
        if let DeValue::Table(inner) = value.get_ref() {
            note_lines(text, inner, &key, lines);
        }
        lines.insert(key, line_of(text, name.span().start));
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn line_of(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|byte| *byte == b'\n').count() + 1
}
