//! The environment: `SIGNALBOX_<SECTION>__<KEY>`, a few short names, and the file of the Redis address.
//!
//! An empty variable counts as unset, since that is how compose files and unit files say "nothing".

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::{Entry, Layer, Origin, insert_once, read_text, typed};
use crate::config::load::Problem;

const PREFIX: &str = "SIGNALBOX_";
/// Names the configuration file itself; read by the command line.
const CONFIG: &str = "SIGNALBOX_CONFIG";
const REDIS: &str = "SIGNALBOX_REDIS";
const REDIS_FILE: &str = "SIGNALBOX_REDIS_FILE";

/// Takes what is ours from the environment.
pub(super) fn read(variables: &[(OsString, OsString)], problems: &mut Vec<Problem>) -> Layer {
    let mut ours: Vec<_> = variables.iter().filter(|(name, value)| is_ours(name, value)).collect();
    ours.sort();
    let mut layer = Layer::new();
    for (name, value) in ours {
        let name = name.to_string_lossy();
        let origin = Origin::Variable(name.clone().into_owned());
        if name == REDIS_FILE {
            match read_secret(value) {
                Ok((secret, origin)) => {
                    let entry = Entry { value: typed("redis.url", &secret), origin };
                    insert_once(&mut layer, "redis.url", entry, problems);
                }
                Err(what) => problems.push(Problem::new("redis.url", &origin, what)),
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
    name.starts_with(PREFIX) && name != CONFIG && !value.is_empty() && !is_service_link(&name)
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

fn read_secret(path: &OsStr) -> Result<(String, Origin), String> {
    let path = PathBuf::from(path);
    let text = read_text(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let secret = text.trim();
    if secret.is_empty() {
        return Err(format!("{}: is empty", path.display()));
    }
    Ok((secret.to_owned(), Origin::SecretFile { variable: REDIS_FILE.to_owned(), path }))
}
