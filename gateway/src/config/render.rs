//! The configuration as text: the commented default file, and the effective values with their origins.

use std::fmt::Write;

use toml::{Table, Value};

use super::Config;
use super::load::Loaded;
use super::settings::{SETTINGS, Setting, Unit};

const WIDTH: usize = 100;

/// A TOML file that sets every setting to its default, with unit, range, variable and reason of each.
/// Read back it is the default configuration.
pub fn default_file() -> String {
    let defaults = table_of(&Config::default());
    let mut text = String::from(
        "# Every setting of Signalbox with its default.\n\
         # Order of precedence: this file, environment variables, flags (--set section.key=value).\n",
    );
    sections(&mut text, |text, setting| {
        text.push('\n');
        comment(text, setting.reason);
        comment(text, &format!("Unit: {}. Variable: {}.", setting.unit.describe(), setting.variable()));
        match (value_at(&defaults, setting.key), setting.unit) {
            (Some(value), _) => writeln_setting(text, setting, value, ""),
            (None, Unit::Text(example) | Unit::Secret(example)) => {
                writeln_setting(text, setting, &Value::String(example.to_owned()), "# ");
            }
            (None, _) => {}
        }
    });
    text
}

/// The effective values as TOML, each with its origin as a comment. Passwords are masked.
pub fn effective(loaded: &Loaded) -> String {
    let values = table_of(&loaded.config);
    let mut text = String::new();
    sections(&mut text, |text, setting| {
        let line = match value_at(&values, setting.key) {
            Some(value) => format!("{} = {value}", name_of(setting)),
            None => format!("# {} is not set", name_of(setting)),
        };
        writeln_to(text, &format!("{line:<40} # {}", loaded.origin(setting.key)));
    });
    text
}

/// The value of one setting as text, for messages; passwords are masked.
pub(super) fn value_of(config: &Config, key: &str) -> String {
    value_at(&table_of(config), key).map_or_else(|| "not set".to_owned(), Value::to_string)
}

/// Writes all settings, with the section's header before the first of each.
fn sections(text: &mut String, mut write: impl FnMut(&mut String, &Setting)) {
    let mut current = "";
    for setting in SETTINGS.iter() {
        let section = setting.key.rsplit_once('.').map_or("", |(section, _)| section);
        if section != current {
            writeln_to(text, &format!("\n[{section}]"));
            current = section;
        }
        write(text, setting);
    }
}

fn table_of(config: &Config) -> Table {
    Table::try_from(config).expect("every setting is a TOML value")
}

fn value_at<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    match key.split_once('.') {
        None => table.get(key),
        Some((section, rest)) => value_at(table.get(section)?.as_table()?, rest),
    }
}

fn name_of(setting: &Setting) -> &str {
    setting.key.rsplit_once('.').map_or(setting.key, |(_, name)| name)
}

fn writeln_setting(text: &mut String, setting: &Setting, value: &Value, lead: &str) {
    writeln_to(text, &format!("{lead}{} = {value}", name_of(setting)));
}

/// Writes `words` as comment lines of at most [`WIDTH`] characters.
fn comment(text: &mut String, words: &str) {
    let mut line = String::from("#");
    for word in words.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            writeln_to(text, &line);
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    writeln_to(text, &line);
}

fn writeln_to(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a String takes all text");
}
