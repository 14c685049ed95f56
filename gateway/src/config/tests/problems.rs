//! What is wrong is told, all of it, each with its place.

use super::*;

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

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_is_a_problem() {
    use std::os::unix::ffi::OsStringExt;
    let mut given = Given::nothing();
    given.sources.variables.push(("SIGNALBOX_LISTEN".into(), OsString::from_vec(vec![0xff])));
    assert_eq!(given.problems(), ["environment variable SIGNALBOX_LISTEN: listen is not UTF-8"]);
}
