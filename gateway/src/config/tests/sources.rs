//! Where values come from, and which source wins.

use super::*;

#[test]
fn later_sources_win() {
    let given = Given::nothing()
        .file("[outbox]\nbytes_max = \"2 MiB\"\nmessages_max = 100\n[heartbeat]\ninterval = \"5s\"\n")
        .variable("SIGNALBOX_OUTBOX__MESSAGES_MAX", "200")
        .variable("SIGNALBOX_HEARTBEAT__INTERVAL", "6s")
        .flag("heartbeat.interval", "7s");
    let loaded = given.loaded();
    assert_eq!(loaded.config.outbox, Outbox { bytes_max: 2 << 20, messages_max: 200, ..Outbox::default() });
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
