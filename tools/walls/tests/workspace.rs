//! This workspace keeps the rules of its own `deny.toml`, and a workspace that breaks one is found.

use std::path::Path;

use signalbox_walls::{Breach, Graph, Rules, breaches, cargo_metadata};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn rules() -> Rules {
    let text = std::fs::read_to_string(root().join("deny.toml")).expect("deny.toml stands in the root");
    Rules::parse(&text).expect("deny.toml holds only rules that are enforced")
}

#[test]
fn the_workspace_keeps_its_rules() {
    let rules = rules();
    let graph = cargo_metadata(root(), rules.targets()).unwrap();
    let told: Vec<String> = breaches(&graph, &rules).iter().map(ToString::to_string).collect();
    assert!(told.is_empty(), "deny.toml is broken:\n  {}", told.join("\n  "));
}

#[test]
fn every_crate_of_the_workspace_is_behind_its_wall() {
    let rules = rules();
    let graph = cargo_metadata(root(), rules.targets()).unwrap();
    let free = ["signalbox-protocol", "signalbox-testkit", "signalbox-walls"];
    for (dependent, _) in graph.dependencies().filter(|(name, _)| name.starts_with("signalbox-")) {
        let walled = rules.bans().iter().any(|ban| ban.name == dependent);
        assert!(walled || free.contains(&dependent), "{dependent} has no line in deny.toml");
    }
}

/// A made-up workspace: the load tester and `dependency`, which it depends on.
fn load_tester_with(dependency: &str, license: &str, source: &str) -> Graph {
    let json = format!(
        r#"{{"packages": [
            {{"id": "a", "name": "signalbox-load", "version": "1.0.0", "license": "MIT", "source": null}},
            {{"id": "b", "name": "{dependency}", "version": "2.0.0", "license": {license}, "source": {source}}},
            {{"id": "c", "name": "fine", "version": "3.0.0", "license": "ISC", "source": "registry+one"}},
            {{"id": "d", "name": "not-built", "version": "3.0.0", "license": "GPL-3.0", "source": "git+x"}}],
          "resolve": {{"nodes": [{{"id": "a", "dependencies": ["c", "b"]}}, {{"id": "b", "dependencies": []}},
                                 {{"id": "c", "dependencies": []}}]}}}}"#
    );
    Graph::parse(json.as_bytes()).expect("it has the shape of cargo's metadata")
}

#[test]
fn a_breach_is_found_and_named() {
    let wall = |banned: &str| {
        vec![Breach::Wall { banned: banned.to_owned(), dependent: "signalbox-load".to_owned() }]
    };
    let licence = |expression: &str| {
        vec![Breach::Licence { package: "x 2.0.0".to_owned(), expression: expression.to_owned() }]
    };
    let source = |from: &str| vec![Breach::Source { package: "x 2.0.0".to_owned(), from: from.to_owned() }];
    for (dependency, license, from, expected) in [
        ("x", r#""MIT OR GPL-3.0""#, "null", vec![]),
        ("signalbox-client", r#""MIT""#, "null", vec![]),
        ("redis", r#""MIT""#, "null", wall("redis")),
        ("deadpool-redis", r#""MIT""#, "null", wall("deadpool-redis")),
        // For its bare server; not what is below it.
        ("tokio-tungstenite", r#""MIT""#, "null", vec![]),
        ("tungstenite", r#""MIT""#, "null", wall("tungstenite")),
        ("signalbox-registry", r#""MIT""#, "null", wall("signalbox-registry")),
        ("signalbox-gateway", r#""MIT""#, "null", wall("signalbox-gateway")),
        ("x", r#""GPL-3.0""#, "null", licence("GPL-3.0")),
        ("x", "null", "null", licence("")),
        ("x", r#""MIT""#, r#""git+somewhere""#, source("git+somewhere")),
        ("x", r#""MIT""#, r#""registry+one""#, vec![]),
    ] {
        let graph = load_tester_with(dependency, license, from);
        assert_eq!(breaches(&graph, &rules()), expected, "{dependency} {license} {from}");
    }
}

#[test]
fn a_second_registry_is_found() {
    let graph = load_tester_with("x", r#""MIT""#, r#""registry+two""#);
    assert_eq!(breaches(&graph, &rules()).len(), 1);
}
