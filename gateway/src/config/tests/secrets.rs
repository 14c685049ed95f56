//! Keys, passwords and tokens: where they come from, and that none is shown.

use super::*;

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
fn strapi_is_checked_and_its_token_never_shown() {
    let given = |url: &str| Given::nothing().flag("strapi.url", url).flag("strapi.token", "t0ken");
    let loaded = given("http://strapi:1337").loaded();
    assert_eq!(loaded.config.strapi_settings().unwrap().token.as_deref(), Some("t0ken"));
    assert!(!format!("{:?}", loaded.config).contains("t0ken"));
    let problems = given("https://strapi").problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("strapi.url") && !problems[0].contains("t0ken"), "{problems:?}");
}
