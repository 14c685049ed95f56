//! What the command line takes, and what it refuses.

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("signalbox").chain(line.split_whitespace()))
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn commands_are_taken_as_documented() {
    for line in [
        "",
        "--listen 127.0.0.1:0",
        "serve",
        "serve --listen 0.0.0.0:8080 --redis redis://:password@host:6379/0 --config signalbox.toml --allow-anonymous",
        "serve --set outbox.bytes_max=2MiB --set log.format=json",
        "connect ws://127.0.0.1:8080/ws",
        "connect ws://127.0.0.1:8080/ws --as vehicle:V1 --linger 500ms",
        "publish vehicle:status_change",
        "publish vehicle:status_change {\"ok\":true} --target route:12,depot:4 --tenant acme --json",
        "topics --url http://[::1]:9000 --timeout 1s",
        "connections --session S --agent vehicle:V1 --agent-type vehicle --pillar airport --limit 5",
        "locks --limit 5 --json",
        "seed --route 12 --depot 4 --day friday --start-hour 6 --end-hour 9 --type morning --count 500 --seed 42",
        "seed --route 12 --route 27 --replace --speed 60 --expires-in 30m --rate 90 --tenant acme --json",
        "seed --depot 4 --geojson bay.json --dry-run --day 2026-11-23 --url http://127.0.0.1:9000",
        "fleet",
        "fleet --url http://127.0.0.1:8081 --url http://127.0.0.1:8082 --vehicles 50 --routes 12,27 --capacity 8",
        "fleet --minutes 2 --seconds 30 --speed 20 --seed 7 --spawn-rate 600 --query-seconds 0.5 --json",
        "fleet --conductors 5 --pool depot:4 --seconds 30",
        "connect ws://127.0.0.1:8080/ws --token-file token",
        "topics --token-file token",
        "publish a:b --url https://fleet.example.com --ca-file ca.pem",
        "connect wss://fleet.example.com --ca-file ca.pem",
        "fleet --url https://a:8443 --url https://b:8443 --ca-file ca.pem",
        "doctor --url wss://fleet.example.com --ca-file ca.pem",
        "revoke --agent vehicle:V1 --token-file token",
        "revoke --subject fleet:7 --url http://127.0.0.1:1 --json",
        "revoke --session S-1 --tenant acme",
        "token mint --as vehicle:V1",
        "token mint --key-file ed.pem --algorithm EdDSA --kid k1 --tenant acme --as service:dispatch --sub dispatch \
         --pillar north --namespace route-reservoir,system-events --capability publish:order:*,subscribe:* --ttl 8h \
         --iss https://id.example.org --aud signalbox --config signalbox.toml",
        "token inspect --token-file token --set auth.audiences=signalbox",
        "config check --config signalbox.toml",
        "config show --set stop.timeout=9s",
        "config default",
    ] {
        parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

#[test]
fn bad_usage_is_refused_before_anything_runs() {
    for line in [
        "serv",
        "--frobnicate",
        "serve --set outbox.bytes_max",
        "connect",
        "connect http://127.0.0.1:8080/ws",
        "connect ws://127.0.0.1:8080/ws --as vehicle",
        "connect ws://127.0.0.1:8080/ws --as vehicle:a:b",
        "connect ws://127.0.0.1:8080/ws --linger 5",
        "publish",
        "revoke",
        "revoke --agent vehicle:V1 --subject s",
        "token",
        "token mint",
        "token mint --as vehicle",
        "token mint --as vehicle:V1 --algorithm none",
        "token mint --as vehicle:V1 --capability fly:*",
        "token mint --as vehicle:V1 --ttl 0s",
        "token mint --as vehicle:V1 --tenant a/b",
        "publish a:b {x}",
        "publish a:b {} --target route",
        "topics --url ws://127.0.0.1:8080",
        "topics --url https://u:p@fleet.example.com",
        "topics --timeout soon",
        "connections --limit 0",
        "locks --limit 0",
        "seed",
        "seed --route 12 --day someday",
        "seed --route 12 --count 0",
        "seed --route 12 --type weekly",
        "seed --route 12 --end-hour 25",
        "fleet --vehicles 0",
        "fleet --url 127.0.0.1:8080",
        "fleet --seconds 0",
        "fleet --query-seconds 0",
        "fleet --conductors 5 --vehicles 3",
        "fleet --pool depot:4",
        "fleet --conductors 5 --pool harbour",
        "config",
        "config default --listen 127.0.0.1:1",
    ] {
        let refused = parse(line).expect_err(line);
        assert_eq!(refused.exit_code(), 2, "{line}");
    }
    assert_eq!(parse("--help").unwrap_err().kind(), ErrorKind::DisplayHelp);
    assert_eq!(parse("--version").unwrap_err().exit_code(), 0);
}

#[test]
fn help_shows_what_is_there() {
    let help = Cli::command().render_long_help().to_string();
    assert!(help.contains("\n  token ") && help.contains("\n  doctor "), "{help}");
    assert!(help.contains("Exit codes: 0 fine"));
}

#[test]
fn causes_are_told_once() {
    let io = || io::Error::other("connection refused");
    let error = anyhow::Error::from(io()).context("no node answers");
    assert_eq!(with_causes(&error), "no node answers: connection refused");
    let error = anyhow::Error::from(io()).context("no node answers: connection refused");
    assert_eq!(with_causes(&error), "no node answers: connection refused");
}
