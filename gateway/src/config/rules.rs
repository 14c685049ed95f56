//! What must hold between settings: each value may be fine and the combination still unsafe.

use std::collections::BTreeSet;
use std::time::Duration;

use super::log_filter::log_filter;
use signalbox_protocol::Tenant;
use signalbox_protocol::vocabulary::WordProblem;

use super::layers::Origin;
use super::load::{Loaded, Problem};
use super::{Config, RedisMode, RedisUrl, UnusableKey, UnusableKeys};
use crate::stop::time_to_part;
use crate::trace::InvalidCollector;

/// A rule between settings. `keys` are those that it reads; the first is the one to change.
struct Rule {
    keys: &'static [&'static str],
    holds: fn(&Config) -> bool,
    otherwise: &'static str,
}

/// The least that a maximum age may be.
const AGE_MIN: Duration = Duration::from_secs(60);

/// The least that a node may have beyond its share.
const SHED_PERCENT_MIN: u32 = 5;

const RULES: &[Rule] = &[
    Rule {
        keys: &["listen", "allow_anonymous"],
        holds: |config| config.anonymous_allowed() || config.auth.has_keys(),
        otherwise: "can be reached from other machines, and without token keys anyone could say by the query \
                    who they are: give keys (auth.keys, auth.secret, auth.public_key or auth.jwks_url), listen on \
                    127.0.0.1 or [::1], or give --allow-anonymous if everyone who can reach it is trusted",
    },
    Rule {
        keys: &["heartbeat.timeout", "heartbeat.interval"],
        holds: |config| config.heartbeat.timeout > config.heartbeat.interval,
        otherwise: "must exceed heartbeat.interval, or clients are closed before they are pinged",
    },
    Rule {
        keys: &["connection.max_age"],
        holds: |config| config.connection.max_age.is_zero() || config.connection.max_age >= AGE_MIN,
        otherwise: "must be 0s, which is never, or at least 1m: below it clients would do little but connect",
    },
    Rule {
        keys: &["connection.shed_over_mean_percent"],
        holds: |config| {
            let percent = config.connection.shed_over_mean_percent;
            percent == 0 || percent >= SHED_PERCENT_MIN
        },
        otherwise: "must be 0, which is never, or at least 5: nodes differ by as much without any reason",
    },
    Rule {
        keys: &["outbox.total_bytes_max", "outbox.bytes_max"],
        holds: |config| {
            config.outbox.total_bytes_max == 0 || config.outbox.total_bytes_max >= config.outbox.bytes_max
        },
        otherwise: "must be 0, which is no bound, or at least outbox.bytes_max",
    },
    Rule {
        keys: &["bus.total_bytes_max", "bus.destination_bytes_max"],
        holds: |config| config.bus.total_bytes_max >= config.bus.destination_bytes_max,
        otherwise: "must be at least bus.destination_bytes_max",
    },
    Rule {
        keys: &["bus.destination_bytes_max", "message.bytes_max"],
        holds: |config| config.bus.destination_bytes_max >= config.message.bytes_max,
        otherwise: "must be at least message.bytes_max, or a large message could never be published",
    },
    Rule {
        keys: &["stop.timeout", "stop.balancer_wait"],
        holds: |config| time_to_part(config.stop.timeout) > config.stop.balancer_wait,
        otherwise: "must exceed stop.balancer_wait by more than the 3 s that clearing up takes (half of stop.timeout \
                    if that is less), or no client is closed in good order",
    },
    Rule {
        keys: &["durable.kinds"],
        holds: |config| config.log_settings().is_some(),
        otherwise: "must be lines of kind, messages, bytes and age, such as `order 5000 8MiB 10m`",
    },
    Rule {
        keys: &["origins"],
        holds: |config| config.origins().is_some(),
        otherwise: "must be origins such as https://app.example.com or https://*.example.com, or *",
    },
    Rule {
        keys: &["trace.otlp_endpoint"],
        holds: |config| !matches!(config.collector(), Err(InvalidCollector::Address)),
        otherwise: "must be http://host:port or https://host:port of a collector",
    },
    Rule {
        keys: &["trace.otlp_ca_file", "trace.otlp_endpoint"],
        holds: |config| !matches!(config.collector(), Err(InvalidCollector::Tls(_))),
        otherwise: "must be a file with certificates in PEM; without it the machine needs some (package ca-certificates)",
    },
    Rule {
        keys: &["tls.certificate", "tls.key"],
        holds: |config| config.tls.certificate.is_none() || config.tls.key.is_some(),
        otherwise: "needs its key, tls.key",
    },
    Rule {
        keys: &["tls.key", "tls.certificate"],
        holds: |config| config.tls.key.is_none() || config.tls.certificate.is_some(),
        otherwise: "needs its certificate, tls.certificate",
    },
    Rule {
        keys: &["redis.ca_file", "redis.url"],
        holds: |config| {
            config.redis.ca_file.is_none() || config.redis.url.as_ref().is_none_or(RedisUrl::is_tls)
        },
        otherwise: "is for rediss:// alone",
    },
    Rule {
        keys: &["redis.mode", "redis.url"],
        holds: |config| {
            config.redis.mode != RedisMode::Single
                || config.redis.url.as_ref().is_none_or(|url| url.hosts() == 1)
        },
        otherwise: "must be sentinel or cluster where redis.url has several hosts",
    },
    Rule {
        keys: &["redis.sentinel_service", "redis.mode"],
        holds: |config| config.redis.is_sentinel() == config.redis.sentinel_service.is_some(),
        otherwise: "is what the sentinels call the master: it is needed with redis.mode = \"sentinel\", and there alone",
    },
    Rule {
        keys: &["proxy.trusted"],
        holds: |config| config.proxies().is_some(),
        otherwise: "must be addresses such as 10.0.0.7, or ranges such as 10.0.0.0/8 or fd00::/8",
    },
    Rule {
        keys: &["proxy.protocol", "proxy.trusted"],
        holds: |config| !config.proxy.protocol || !config.proxy.trusted.is_empty(),
        otherwise: "needs proxy.trusted: nobody else's header is believed",
    },
    Rule {
        keys: &["redis.prefix"],
        holds: |config| is_prefix(&config.redis.prefix),
        otherwise: "must be 1 to 64 characters of A-Z a-z 0-9 . _ -",
    },
    Rule {
        keys: &["strapi.tenant"],
        holds: |config| Tenant::try_new(&config.strapi.tenant).is_ok(),
        otherwise: "must be 1 to 64 characters of A-Z a-z 0-9 . _ -",
    },
    Rule {
        keys: &["strapi.url", "strapi.token"],
        holds: |config| config.strapi_settings().is_none_or(|strapi| strapi.check().is_ok()),
        otherwise: "must be http://host:port without a path or a password (https is not supported: put a TLS \
                    proxy beside the node), and the token one that a header can hold",
    },
    Rule {
        keys: &["auth.jwks_refresh", "auth.jwks_timeout"],
        holds: |config| config.auth.jwks_refresh >= config.auth.jwks_timeout,
        otherwise: "must be at least auth.jwks_timeout",
    },
    Rule {
        keys: &["node.advertise"],
        holds: |config| config.node.advertise.as_deref().is_none_or(is_address_text),
        otherwise: "must be 1 to 255 printable ASCII characters without spaces, such as 10.0.0.7:8080",
    },
    Rule {
        keys: &["log.filter"],
        holds: |config| log_filter(&config.log.filter).is_some(),
        otherwise: "must be a log filter, such as `info` or `info,signalbox_gateway=debug`",
    },
];

/// The rules that `loaded` breaks, passing over those that read a key of `wrong_keys`, whose value
/// is not the one that was meant.
pub(super) fn broken(loaded: &Loaded, wrong_keys: &BTreeSet<String>) -> Vec<Problem> {
    let readable = |keys: &[&str]| keys.iter().all(|key| !wrong_keys.contains(*key));
    let mut problems: Vec<Problem> = RULES
        .iter()
        .filter(|rule| readable(rule.keys) && !(rule.holds)(&loaded.config))
        .map(|rule| broken_rule(rule, loaded))
        .collect();
    problems.extend(key_problems(loaded).filter(|problem| readable(&[&problem.key])));
    problems.extend(word_problems(loaded).filter(|problem| readable(&[&problem.key])));
    problems
}

fn broken_rule(rule: &Rule, loaded: &Loaded) -> Problem {
    let set_by = |key: &&&str| loaded.origin(key) != &Origin::Default;
    let blamed = rule.keys.iter().find(set_by).unwrap_or(&rule.keys[0]);
    let values: Vec<String> = rule
        .keys
        .iter()
        .map(|key| format!("{key} = {}", super::render::value_of(&loaded.config, key)))
        .collect();
    let what = format!("{} ({})", rule.otherwise, values.join(", "));
    Problem::new(rule.keys[0], loaded.origin(blamed), what)
}

fn word_problems(loaded: &Loaded) -> impl Iterator<Item = Problem> + '_ {
    let problems = loaded.config.vocabulary().err().map(|invalid| invalid.problems).unwrap_or_default();
    problems.into_iter().map(|problem| {
        let key = match &problem {
            WordProblem::NoAgentType | WordProblem::NotAKind(_) | WordProblem::Reserved(_) => "agent_types",
            WordProblem::Repeated(word) if repeats(&loaded.config.agent_types, word) => "agent_types",
            WordProblem::NotAnId(_) | WordProblem::Repeated(_) => "namespaces",
        };
        Problem::new(key, loaded.origin(key), format!("is wrong: {problem}"))
    })
}

/// Keys are read to be checked; what is wrong with them tells nothing of what is in them.
fn key_problems(loaded: &Loaded) -> impl Iterator<Item = Problem> + '_ {
    let auth = &loaded.config.auth;
    let unusable = [auth.verifier().err(), auth.publisher().err()].into_iter().flatten();
    unusable
        .flat_map(|UnusableKeys(keys)| keys)
        .map(|UnusableKey { setting, problem }| Problem::new(setting, loaded.origin(setting), problem))
}

fn repeats(words: &[String], word: &str) -> bool {
    words.iter().filter(|listed| *listed == word).count() > 1
}

/// No braces: they would decide the hash slot of every key.
fn is_prefix(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}

fn is_address_text(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
