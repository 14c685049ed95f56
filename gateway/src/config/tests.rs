//! Sources in, configuration or problems out: one table per promise.

mod problems;
mod secrets;
mod sources;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write;
use std::time::Duration;

use toml::{Table, Value};

use super::*;

const FILE: &str = "signalbox.toml";

/// Sources made of literals; the file is kept as long as this lives.
struct Given {
    dir: tempfile::TempDir,
    sources: Sources,
}

impl Given {
    fn nothing() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), sources: Sources::default() }
    }

    fn file(mut self, text: &str) -> Self {
        self.sources.file = Some(self.write(FILE, text));
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.sources.variables.push((name.into(), value.into()));
        self
    }

    fn flag(mut self, key: &str, value: &str) -> Self {
        let flag = format!("--set {key}");
        self.sources.flags.push(FlagValue { flag, key: key.to_owned(), value: value.to_owned() });
        self
    }

    fn write(&self, name: &str, text: &str) -> std::path::PathBuf {
        let path = self.dir.path().join(name);
        std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        path
    }

    fn loaded(&self) -> Loaded {
        load(&self.sources).unwrap_or_else(|bad| panic!("{bad}"))
    }

    /// The problems as lines, with the directory of the file left out.
    fn problems(&self) -> Vec<String> {
        let bad = load(&self.sources).expect_err("problems expected");
        let dir = format!("{}/", self.dir.path().display());
        bad.problems.iter().map(|problem| problem.to_string().replace(&dir, "")).collect()
    }
}

/// All keys of a configuration whose every optional value is there.
fn keys_of_config() -> BTreeSet<String> {
    let everything = Config {
        node: Node { advertise: Some("a:1".to_owned()) },
        auth: Auth {
            secret: Some(Secret::new("t0ken")),
            secret_id: Some("k".to_owned()),
            public_key: Some("p".to_owned()),
            public_key_id: Some("k".to_owned()),
            jwks_url: Some("https://h".to_owned()),
            jwks_ca_file: Some("f".to_owned()),
            ..Auth::default()
        },
        redis: Redis {
            url: Some(RedisUrl::try_new("rediss://h").unwrap()),
            ca_file: Some("ca".to_owned()),
            sentinel_service: Some("s".to_owned()),
            sentinel_user: Some("u".to_owned()),
            sentinel_password: Some(Secret::new("t0ken")),
            ..Redis::default()
        },
        tls: Tls { certificate: Some("c".to_owned()), key: Some("k".to_owned()) },
        trace: Trace {
            otlp_endpoint: Some("http://h".to_owned()),
            otlp_ca_file: Some("f".to_owned()),
            ..Trace::default()
        },
        strapi: Strapi {
            url: Some("http://h".to_owned()),
            token: Some(Secret::new("t0ken")),
            ..Strapi::default()
        },
        ..Config::default()
    };
    fn leaves(table: &Table, path: &str, keys: &mut BTreeSet<String>) {
        for (name, value) in table {
            match value {
                Value::Table(inner) => leaves(inner, &format!("{path}{name}."), keys),
                _ => drop(keys.insert(format!("{path}{name}"))),
            }
        }
    }
    let mut keys = BTreeSet::new();
    leaves(&Table::try_from(&everything).unwrap(), "", &mut keys);
    keys
}

#[test]
fn the_table_covers_exactly_the_settings() {
    let table: BTreeSet<String> = SETTINGS.iter().map(|setting| setting.key.to_owned()).collect();
    assert_eq!(table.len(), SETTINGS.len(), "a key is documented twice");
    assert_eq!(table, keys_of_config());
}

#[test]
fn reasons_are_one_line_of_single_blanks() {
    for setting in SETTINGS.iter() {
        let (key, reason) = (setting.key, setting.reason);
        assert_eq!(reason.split_whitespace().collect::<Vec<_>>().join(" "), reason, "{key}");
        assert!(reason.ends_with('.'), "{key}: {reason}");
    }
}

#[test]
fn every_default_lies_in_its_documented_range_and_breaks_no_rule() {
    let defaults = Table::try_from(Config::default()).unwrap();
    for setting in SETTINGS.iter() {
        let value = match setting.key.split_once('.') {
            None => defaults.get(setting.key),
            Some((section, name)) => defaults[section].get(name),
        };
        assert!(value.is_none_or(|value| setting.unit.allows(value)), "{}", setting.key);
        assert!(setting.reason.ends_with('.'), "{}", setting.key);
    }
    assert_eq!(Given::nothing().loaded().config, Config::default());
}

#[test]
fn defaults_that_the_wire_promises() {
    let config = Config::default();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.heartbeat.interval, Duration::from_secs(25));
    assert_eq!(config.heartbeat.timeout, Duration::from_secs(60));
    assert_eq!((config.outbox.bytes_max, config.outbox.messages_max), (1 << 20, 8192));
    assert_eq!(config.message.bytes_max, 1 << 20);
    assert_eq!((config.malformed.messages_max, config.malformed.window), (100, Duration::from_secs(10)));
    assert_eq!((config.stop.closes_per_second, config.stop.timeout), (500, Duration::from_secs(30)));
    assert_eq!(config.stop.balancer_wait, Duration::from_secs(1));
    assert!(config.vocabulary().unwrap().is_namespace("route-reservoir"));
    let Durable { messages_max, bytes_max, age, .. } = config.durable;
    assert_eq!((messages_max, bytes_max, age), (1_000, 1 << 20, Duration::from_secs(120)));
    assert_eq!(config.durable.check_interval, Duration::from_secs(10));
    assert_eq!((config.durable.replicas, &*config.durable.kinds), (0, &[] as &[String]));
    let Admission { handshakes_per_second, handshakes_max, .. } = config.admission;
    assert_eq!((handshakes_per_second, handshakes_max), (20_000, 256));
}

#[test]
fn logs_keep_what_is_configured_by_kind_of_topic_and_wait_for_replicas_only_if_told_to() {
    let untold = Config::default();
    assert_eq!(untold.log_settings(), Some(LogSettings::default()));
    assert_eq!(untold.log_strict(), None);
    let told = Given::nothing().file(
        "[durable]\nmessages_max = 50\nbytes_max = \"64 KiB\"\nage = \"30s\"\n\
         kinds = [\"order 5000 8MiB 10m\"]\nreplicas = 2\nreplicas_wait = \"300ms\"\n",
    );
    let mut config = told.loaded().config;
    let logs = config.log_settings().unwrap();
    let keeps = |kind: &str| {
        let Retention { messages_max, bytes_max, age } = logs.of(kind);
        (messages_max, bytes_max, age.as_secs())
    };
    assert_eq!(keeps("order"), (5_000, 8 << 20, 600));
    assert_eq!(keeps("route"), (50, 64 << 10, 30));
    assert_eq!(config.log_strict(), Some(Strict { replicas: 2, within: Duration::from_millis(300) }));
    config.durable.kinds.push("order".to_owned());
    assert_eq!(config.log_settings(), None, "a kind without what it keeps");
}

#[test]
fn the_default_file_reads_back_as_the_default() {
    let text = render::default_file();
    assert_eq!(toml::from_str::<Config>(&text).unwrap(), Config::default());
    assert_eq!(Given::nothing().file(&text).loaded().config, Config::default());
    for setting in SETTINGS.iter() {
        assert!(text.contains(&setting.variable()), "{}", setting.key);
    }
    assert!(text.lines().all(|line| line.len() <= 130), "a line is too long to read");
    let changed = text.replace("messages_max = 8192", "messages_max = 8193");
    assert_ne!(Given::nothing().file(&changed).loaded().config, Config::default());
}
