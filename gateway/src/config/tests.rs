//! Sources in, configuration or problems out: one table per promise.

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
fn later_sources_win() {
    let given = Given::nothing()
        .file("[outbox]\nbytes_max = \"2 MiB\"\nmessages_max = 100\n[heartbeat]\ninterval = \"5s\"\n")
        .variable("SIGNALBOX_OUTBOX__MESSAGES_MAX", "200")
        .variable("SIGNALBOX_HEARTBEAT__INTERVAL", "6s")
        .flag("heartbeat.interval", "7s");
    let loaded = given.loaded();
    assert_eq!(loaded.config.outbox, Outbox { bytes_max: 2 << 20, messages_max: 200, total_bytes_max: 0 });
    assert_eq!(loaded.config.heartbeat.interval, Duration::from_secs(7));
    assert_eq!(
        *loaded.origin("outbox.bytes_max"),
        Origin::File { path: given.dir.path().join(FILE), line: 2 }
    );
    assert_eq!(
        *loaded.origin("outbox.messages_max"),
        Origin::Variable("SIGNALBOX_OUTBOX__MESSAGES_MAX".to_owned())
    );
    assert_eq!(*loaded.origin("heartbeat.interval"), Origin::Flag("--set heartbeat.interval".to_owned()));
    assert_eq!(*loaded.origin("heartbeat.timeout"), Origin::Default);
}

#[test]
fn every_setting_can_be_given_as_a_variable() {
    let samples = [
        ("SIGNALBOX_LISTEN", "[::1]:9000"),
        ("SIGNALBOX_REDIS", "redis://h"),
        ("SIGNALBOX_ALLOW_ANONYMOUS", "true"),
        ("SIGNALBOX_NAMESPACES", "tram-events, ferry-events"),
        ("SIGNALBOX_AGENT_TYPES", r#"["tram", "guest"]"#),
        ("SIGNALBOX_MESSAGE__BYTES_MAX", "65536"),
        ("SIGNALBOX_RUNTIME__WORKER_THREADS", "3"),
        ("SIGNALBOX_LOG__FORMAT", "json"),
        ("SIGNALBOX_NODE__ADVERTISE", ""),
    ];
    let given = samples.iter().fold(Given::nothing(), |given, (name, value)| given.variable(name, value));
    let config = given.loaded().config;
    assert_eq!(config.listen.to_string(), "[::1]:9000");
    assert_eq!(config.redis.url.unwrap().expose(), "redis://h");
    assert!(config.allow_anonymous);
    assert_eq!(config.namespaces, ["tram-events", "ferry-events"]);
    assert_eq!(config.agent_types, ["tram", "guest"]);
    assert_eq!(config.message.bytes_max, 65_536);
    assert_eq!(config.runtime.worker_threads, 3);
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.node.advertise, None, "an empty variable counts as unset");
    for setting in SETTINGS.iter() {
        let given = Given::nothing().variable(&setting.variable(), "\u{1}");
        if let Err(bad) = load(&given.sources) {
            assert!(bad.problems.iter().all(|problem| problem.key == setting.key), "{bad}");
        }
    }
}

#[test]
fn all_problems_are_told_at_once_each_with_its_place() {
    let given = Given::nothing()
        .file(
            "listen = 8080\nlissten = \"x\"\n\n[heartbeat]\ninterval = 25\ntimeout = \"10s\"\n\
             [outbox]\nbytes_max = \"1 B\"\n[weather]\n[log]\nformat = \"xml\"\n",
        )
        .variable("SIGNALBOX_OUTBOX_BYTES_MAX", "5")
        .variable("SIGNALBOX_STOP__CLOSES_PER_SECOND", "many")
        .flag("stop.timeout", "20ms")
        .flag("redis", "redis://x");
    let problems = given.problems();
    let expected = [
        "flag --set redis: redis is a section; its settings are url, mode, sentinel_service,",
        "signalbox.toml:5: heartbeat.interval is wrong: invalid type: integer `25`, expected a time such as",
        "signalbox.toml:1: listen is wrong: invalid type: integer `8080`",
        "signalbox.toml:2: lissten is no setting; did you mean listen?",
        "signalbox.toml:11: log.format is wrong: unknown variant `xml`, expected `text` or `json`",
        "signalbox.toml:8: outbox.bytes_max is out of range: \"1 B\"; it takes a size, 4 KiB to 1 GiB",
        "environment variable SIGNALBOX_OUTBOX_BYTES_MAX: outbox_bytes_max is no setting; did you mean \
         SIGNALBOX_OUTBOX__BYTES_MAX?",
        "environment variable SIGNALBOX_STOP__CLOSES_PER_SECOND: stop.closes_per_second is wrong: ",
        "signalbox.toml:9: weather is no setting; `signalbox config default` lists all",
        "flag --set stop.timeout: stop.timeout must exceed stop.balancer_wait",
    ];
    for start in expected {
        assert!(problems.iter().any(|problem| problem.starts_with(start)), "{start}\nnot in {problems:#?}");
    }
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
}

#[test]
fn a_rule_is_silent_about_a_value_that_is_wrong_anyway() {
    let given = Given::nothing().flag("heartbeat.interval", "soon").flag("heartbeat.timeout", "1s");
    assert_eq!(given.problems().len(), 1);
}

#[test]
fn unsafe_combinations_are_refused() {
    for (flags, expected) in [
        (&[("heartbeat.timeout", "25s")][..], "heartbeat.timeout must exceed heartbeat.interval"),
        (&[("connection.max_age", "59s")], "connection.max_age must be 0s, which is never, or"),
        (
            &[("connection.shed_over_mean_percent", "4")],
            "connection.shed_over_mean_percent must be 0, which is",
        ),
        (&[("outbox.total_bytes_max", "512 KiB")], "outbox.total_bytes_max must be 0, which is no bound, or"),
        (&[("bus.total_bytes_max", "1 MiB")], "bus.total_bytes_max must be at least"),
        (&[("message.bytes_max", "8 MiB")], "bus.destination_bytes_max must be at least message.bytes_max"),
        (&[("stop.balancer_wait", "27s")], "stop.timeout must exceed stop.balancer_wait"),
        (&[("redis.prefix", "a{b}")], "redis.prefix must be"),
        (
            &[("redis.url", "redis://a,b")],
            "redis.mode must be sentinel or cluster where redis.url has several hosts",
        ),
        (&[("redis.mode", "sentinel")], "redis.sentinel_service is what the sentinels call the master"),
        (&[("redis.sentinel_service", "m")], "redis.sentinel_service is what the sentinels call the master"),
        (&[("node.advertise", "a b")], "node.advertise must be"),
        (&[("log.filter", "info,=,=")], "log.filter must be"),
        (&[("agent_types", "route,guest")], "agent_types is wrong: agent type \"route\""),
        (&[("agent_types", "")], "agent_types is wrong: no agent type"),
        (&[("namespaces", "a b")], "namespaces is wrong: namespace \"a b\""),
        (&[("namespaces", "vehicle-events")], "namespaces is wrong: \"vehicle-events\" is listed twice"),
    ] {
        let given = flags.iter().fold(Given::nothing(), |given, (key, value)| given.flag(key, value));
        let problems = given.problems();
        assert!(problems.len() == 1 && problems[0].contains(expected), "{expected}: {problems:#?}");
        assert!(problems[0].starts_with("flag --set "), "{problems:#?}");
    }
}

const PUBLIC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../identity/src/tests/ed.pub.pem");
const PRIVATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../identity/src/tests/ed.pem");

#[test]
fn keys_can_be_given_by_file_and_by_value() {
    let line = format!("EdDSA {PUBLIC} issuer-1");
    let pem = std::fs::read_to_string(PUBLIC).unwrap();
    let given = Given::nothing();
    let secret = given.write("secret", "a secret of at least thirty-two bytes\n");
    let secret = secret.to_str().unwrap();
    let given = given
        .flag("auth.keys", &format!("{line}, HS256 {secret}"))
        .variable("SIGNALBOX_AUTH__SECRET_FILE", secret)
        .variable("SIGNALBOX_AUTH__PUBLIC_KEY", &pem)
        .variable("SIGNALBOX_TOKEN", "is for the commands that ask a node");
    let auth = given.loaded().config.auth;
    assert_eq!(auth.verifier().unwrap().keys.len(), 4);
    let listed = format!("[auth]\nkeys = [{line:?}]\naudiences = [\"fleet\"]\nleeway = \"5s\"\n");
    let verifier = Given::nothing().file(&listed).loaded().config.auth.verifier().unwrap();
    assert_eq!((verifier.keys.len(), verifier.expected.leeway), (1, 5));
    assert_eq!(verifier.expected.audiences, ["fleet"]);
}

#[test]
fn every_key_that_cannot_be_used_is_told_and_none_is_shown() {
    let given = Given::nothing();
    let short = given.write("short", "a short s3cret");
    let short = short.to_str().unwrap();
    let cases = [
        ("auth.keys", "EdDSA".to_owned(), "auth.keys must be lines such as"),
        ("auth.keys", format!("none {PUBLIC}"), "names an algorithm that has to be HS256, RS256"),
        ("auth.keys", "RS256 /nowhere/key.pem".to_owned(), "/nowhere/key.pem, which cannot be read"),
        ("auth.keys", format!("RS256 {PUBLIC}"), "is no public key for RS256"),
        ("auth.keys", format!("EdDSA {PRIVATE}"), "is a private key"),
        ("auth.keys", format!("HS256 {PUBLIC}"), "is a key in PEM, which is no secret"),
        ("auth.keys", format!("HS256 {short}"), "is a secret of fewer than 32 bytes"),
        ("auth.keys", "HS256 /dev/zero".to_owned(), "is too long for a key"),
        ("auth.secret", "a short s3cret".to_owned(), "auth.secret is a secret of fewer than 32 bytes"),
        ("auth.public_key", "s3cret".to_owned(), "auth.public_key is no public key of RSA, P-256 or Ed25519"),
        ("auth.public_key", std::fs::read_to_string(PRIVATE).unwrap(), "auth.public_key is a private key"),
        ("auth.jwks_url", "http://id.example.org/s3cret".to_owned(), "auth.jwks_url has to be https://"),
        ("auth.jwks_refresh", "2s".to_owned(), "auth.jwks_refresh must be at least auth.jwks_timeout"),
    ];
    for (key, value, expected) in cases {
        let problems = Given::nothing().flag(key, &value).problems();
        assert!(problems.len() == 1 && problems[0].contains(expected), "{expected}: {problems:#?}");
        assert!(!problems[0].contains("s3cret"), "{problems:#?}");
    }
    let ca = Given::nothing().flag("auth.jwks_url", "https://h").flag("auth.jwks_ca_file", "/nowhere/ca.pem");
    assert!(ca.problems()[0].contains("auth.jwks_ca_file"), "{:?}", ca.problems());
    let both = Given::nothing().flag("auth.secret", "short").flag("auth.keys", "x").problems();
    assert_eq!(both.len(), 2, "{both:?}");
}

#[test]
fn secrets_of_tokens_are_never_shown() {
    let loaded = Given::nothing().flag("auth.secret", "a s3cret of at least thirty-two bytes").loaded();
    for text in [format!("{loaded:?}"), render::effective(&loaded), toml::to_string(&loaded.config).unwrap()]
    {
        assert!(!text.contains("s3cret"), "{text}");
    }
}

#[test]
fn where_keys_are_configured_tokens_count() {
    let keyed = || Given::nothing().flag("auth.secret", "a secret of at least thirty-two bytes");
    let anywhere = keyed().flag("listen", "0.0.0.0:8080").loaded();
    assert!(!anywhere.config.anonymous_allowed());
    assert!(!keyed().loaded().config.anonymous_allowed(), "a proxy may stand before a loopback address");
    assert!(keyed().flag("allow_anonymous", "true").loaded().config.anonymous_allowed());
    let published = Given::nothing().flag("listen", "0.0.0.0:1").flag("auth.jwks_url", "https://h/keys");
    assert!(!published.loaded().config.anonymous_allowed());
}

#[test]
fn anonymous_identities_stay_on_loopback_unless_allowed() {
    for listen in ["127.0.0.1:8080", "127.9.9.9:0", "[::1]:8080", "[::ffff:127.0.0.1]:80"] {
        assert!(Given::nothing().flag("listen", listen).loaded().config.anonymous_allowed(), "{listen}");
    }
    for listen in ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:80", "[::ffff:192.0.2.1]:80"] {
        let refused = Given::nothing().flag("listen", listen).problems();
        assert!(refused.len() == 1 && refused[0].contains("--allow-anonymous"), "{refused:?}");
        assert!(refused[0].contains("auth.keys"), "what to do is said: {refused:?}");
        assert!(refused[0].contains(listen), "{refused:?}");
        let allowed = Given::nothing().flag("listen", listen).flag("allow_anonymous", "true").loaded();
        assert!(allowed.config.anonymous_allowed(), "{listen}");
    }
}

#[test]
fn one_source_must_not_say_a_thing_twice() {
    let twice = Given::nothing().flag("listen", "127.0.0.1:1").flag("listen", "127.0.0.1:2").problems();
    assert_eq!(twice, ["flag --set listen: listen is set already, by flag --set listen"]);
    let both = Given::nothing()
        .variable("SIGNALBOX_REDIS", "redis://:secret@a")
        .variable("SIGNALBOX_REDIS__URL", "redis://:secret@b")
        .problems();
    assert!(both.len() == 1 && both[0].contains("SIGNALBOX_REDIS__URL") && !both[0].contains("secret"));
    let repeated = Given::nothing().file("listen = \"a\"\nlisten = \"b\"\n").problems();
    assert!(repeated[0].starts_with("signalbox.toml:2: is not TOML"), "{repeated:?}");
}

#[test]
fn the_redis_address_can_come_from_a_file() {
    let given = Given::nothing();
    let path = given.write("redis.secret", "redis://:secret@host:6379/0\n");
    let given = given.variable("SIGNALBOX_REDIS_FILE", path.to_str().unwrap());
    let loaded = given.loaded();
    assert_eq!(loaded.config.redis.url.as_ref().unwrap().expose(), "redis://:secret@host:6379/0");
    assert!(matches!(loaded.origin("redis.url"), Origin::SecretFile { .. }));

    let missing = Given::nothing().variable("SIGNALBOX_REDIS_FILE", "/nowhere/redis.secret").problems();
    assert!(
        missing.len() == 1 && missing[0].contains("/nowhere/redis.secret: cannot be read"),
        "{missing:?}"
    );
    let given = Given::nothing();
    let empty = given.write("empty", "\n");
    let problems = given.variable("SIGNALBOX_REDIS_FILE", empty.to_str().unwrap()).problems();
    assert!(problems.len() == 1 && problems[0].contains("is empty"), "{problems:?}");
}

#[test]
fn every_secret_can_come_from_a_file() {
    for setting in SETTINGS.iter().filter(|setting| matches!(setting.unit, Unit::Secret(_))) {
        let given = Given::nothing();
        let path = given.write("secret", "redis://a-secret-of-at-least-thirty-two-bytes\n");
        let names = [
            format!("{}_FILE", setting.variable()),
            format!("SIGNALBOX_{}_FILE", setting.key.replace('.', "__").to_uppercase()),
        ];
        for name in names {
            let given = Given::nothing().variable(&name, path.to_str().unwrap());
            assert!(matches!(given.loaded().origin(setting.key), Origin::SecretFile { .. }), "{name}");
        }
    }
}

#[test]
fn passwords_are_never_shown() {
    let loaded = Given::nothing().flag("redis.url", "redis://app:hunter2@host").loaded();
    let shown = [
        format!("{loaded:?}"),
        format!("{:?}", loaded.config),
        render::effective(&loaded),
        toml::to_string(&loaded.config).unwrap(),
    ];
    assert!(render::effective(&loaded).contains("url = \"redis://app:***@host\""));
    for text in shown {
        assert!(!text.contains("hunter2"), "{text}");
    }
    for given in [
        Given::nothing().flag("redis.url", "redis://:hunter2@"),
        Given::nothing().variable("SIGNALBOX_REDIS", "http://:hunter2@host"),
        Given::nothing().file("redis = \"redis://:hunter2@host\""),
        Given::nothing().file("[redis]\nurl = \"redis://:hunter2@host\n"),
        Given::nothing().file("[redis]\nurl = [\"redis://:hunter2@host\"]"),
        Given::nothing().file("[redis]\nurll = \"redis://:hunter2@host\""),
        Given::nothing().flag("listen", "0.0.0.0:1").flag("redis.url", "redis://:hunter2@host"),
    ] {
        let problems = given.problems();
        assert!(
            !problems.is_empty() && problems.iter().all(|problem| !problem.contains("hunter2")),
            "{problems:?}"
        );
    }
}

#[test]
fn every_syntax_error_of_the_file_has_its_line() {
    let problems = Given::nothing().file("listen = \n\n[redis\nprefix = \"x\"\n").problems();
    assert!(
        problems.iter().any(|problem| problem.starts_with("signalbox.toml:1: is not TOML")),
        "{problems:?}"
    );
    assert!(
        problems.iter().any(|problem| problem.starts_with("signalbox.toml:3: is not TOML")),
        "{problems:?}"
    );
    let mut missing = Given::nothing();
    missing.sources.file = Some("/nowhere/signalbox.toml".into());
    let problems = missing.problems();
    assert!(problems[0].starts_with("/nowhere/signalbox.toml: cannot be read"), "{problems:?}");
}

#[test]
fn the_environment_of_a_pod_does_not_disturb() {
    let given = [
        ("SIGNALBOX_SERVICE_HOST", "10.0.0.1"),
        ("SIGNALBOX_SERVICE_PORT", "8080"),
        ("SIGNALBOX_SERVICE_PORT_HTTP", "8080"),
        ("SIGNALBOX_PORT", "tcp://10.0.0.1:8080"),
        ("SIGNALBOX_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("SIGNALBOX_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("SIGNALBOX_REDIS_PORT_6379_TCP_PROTO", "tcp"),
        ("SIGNALBOX_CONFIG", "/etc/signalbox.toml"),
        ("PATH", "/bin"),
    ]
    .iter()
    .fold(Given::nothing(), |given, (name, value)| given.variable(name, value));
    assert_eq!(given.loaded().config, Config::default());
    assert_eq!(Given::nothing().variable("SIGNALBOX_PROT", "1").problems().len(), 1);
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_is_a_problem() {
    use std::os::unix::ffi::OsStringExt;
    let mut given = Given::nothing();
    given.sources.variables.push(("SIGNALBOX_LISTEN".into(), OsString::from_vec(vec![0xff])));
    assert_eq!(given.problems(), ["environment variable SIGNALBOX_LISTEN: listen is not UTF-8"]);
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

#[test]
fn the_effective_values_tell_where_they_come_from() {
    let given = Given::nothing().file("[stop]\ntimeout = \"9s\"\n").flag("listen", "127.0.0.1:9");
    let text = render::effective(&given.loaded());
    let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap().to_owned();
    assert!(line("listen = ").ends_with("# flag --set listen"));
    assert!(line("timeout = \"9s\"").ends_with("signalbox.toml:2"));
    assert!(line("prefix = ").ends_with("# default"));
    assert!(line("# url is not set").ends_with("# default"));
    toml::from_str::<Config>(&text).unwrap();
}

#[test]
fn strapi_is_checked_and_its_token_never_shown() {
    let given = |url: &str| Given::nothing().flag("strapi.url", url).flag("strapi.token", "t0ken");
    let loaded = given("http://strapi:1337").loaded();
    assert_eq!(loaded.config.strapi_settings().unwrap().token.as_deref(), Some("t0ken"));
    assert!(!format!("{:?}", loaded.config).contains("t0ken"));
    let problems = given("https://strapi").problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("strapi.url") && !problems[0].contains("t0ken"), "{problems:?}");
}
