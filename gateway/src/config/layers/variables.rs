//! The environment: `SIGNALBOX_<SECTION>__<KEY>`, a few short names, and files that hold secrets:
//! `..._FILE` for every setting that must not be shown.
//!
//! An empty variable counts as unset, since that is how compose files and unit files say "nothing".

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::{Entry, Layer, Origin, insert_once, read_text, typed};
use crate::config::load::Problem;
use crate::config::settings::{SETTINGS, Setting, Unit};

const PREFIX: &str = "SIGNALBOX_";
/// Names the configuration file itself; read by the command line.
const CONFIG: &str = "SIGNALBOX_CONFIG";
const REDIS: &str = "SIGNALBOX_REDIS";
/// What the commands that ask a node show it; read by the command line.
const TOKENS: [&str; 2] = ["SIGNALBOX_TOKEN", "SIGNALBOX_TOKEN_FILE"];

/// Takes what is ours from the environment.
pub(super) fn read(variables: &[(OsString, OsString)], problems: &mut Vec<Problem>) -> Layer {
    let mut ours: Vec<_> = variables.iter().filter(|(name, value)| is_ours(name, value)).collect();
    ours.sort();
    let mut layer = Layer::new();
    for (name, value) in ours {
        let name = name.to_string_lossy();
        let origin = Origin::Variable(name.clone().into_owned());
        if let Some(key) = secret_of_file(&name) {
            match read_secret(&name, value) {
                Ok((secret, origin)) => {
                    insert_once(&mut layer, key, Entry { value: typed(key, &secret), origin }, problems);
                }
                Err(what) => problems.push(Problem::new(key, &origin, what)),
            }
            continue;
        }
        let key = key_of(&name);
        match value.to_str() {
            Some(text) => {
                let entry = Entry { value: typed(&key, text), origin };
                insert_once(&mut layer, &key, entry, problems);
            }
            None => problems.push(Problem::new(&key, &origin, "is not UTF-8".to_owned())),
        }
    }
    layer
}

fn is_ours(name: &OsStr, value: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let is_of_commands = name == CONFIG || TOKENS.contains(&&*name);
    name.starts_with(PREFIX) && !is_of_commands && !value.is_empty() && !is_service_link(&name)
}

/// Kubernetes gives each pod variables such as `SIGNALBOX_SERVICE_HOST` and
/// `SIGNALBOX_PORT_8080_TCP_ADDR` for every service whose name begins with `signalbox`.
fn is_service_link(name: &str) -> bool {
    let of_port = |(_, rest): (&str, &str)| rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_digit());
    !name.contains("__")
        && (name.ends_with("_SERVICE_HOST")
            || name.contains("_SERVICE_PORT")
            || name.ends_with("_PORT")
            || name.split_once("_PORT_").is_some_and(of_port))
}

fn key_of(name: &str) -> String {
    match name {
        REDIS => "redis.url".to_owned(),
        name => name[PREFIX.len()..].replace("__", ".").to_lowercase(),
    }
}

/// The setting whose secret lies in the file that this variable names.
fn secret_of_file(name: &str) -> Option<&'static str> {
    let variable = name.strip_suffix("_FILE")?;
    let of_variable = |setting: &&Setting| setting.variable() == variable;
    let setting = SETTINGS.iter().find(of_variable).or_else(|| Setting::find(&key_of(variable)))?;
    matches!(setting.unit, Unit::Secret(_)).then_some(setting.key)
}

fn read_secret(variable: &str, path: &OsStr) -> Result<(String, Origin), String> {
    let path = PathBuf::from(path);
    let text = read_text(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let secret = text.trim();
    if secret.is_empty() {
        return Err(format!("{}: is empty", path.display()));
    }
    Ok((secret.to_owned(), Origin::SecretFile { variable: variable.to_owned(), path }))
}
