//! What the configuration says, as the parts of a node want to hear it.

use std::net::SocketAddr;

use signalbox_identity::Verifier;
use signalbox_registry::redis::{Mode, RedisConfig};
use signalbox_reservoir::{repository, reservoir};

use super::StartError;
use crate::admission::{AdmissionBounds, HttpBounds};
use crate::config::{Config, RedisMode, Secret, sections};
use crate::limits::{ConnectionBounds, LimitBounds, RateBounds};
use crate::node::{Settings, StopSettings};
use crate::router::RouteBounds;
use crate::stop::{MaxAge, Share};
use crate::trust::RevocationSettings;
use crate::ws::manner;
use crate::ws::outbox::Bounds;
use crate::ws::reader::ReadLimits;

pub(crate) fn redis_config(config: &Config) -> Result<Option<RedisConfig>, StartError> {
    let Some(url) = config.redis.url.as_ref() else { return Ok(None) };
    let unreadable = |path: &String| {
        let path = path.clone();
        |source| StartError::RedisCertificates { path, source }
    };
    let read = |path: &String| std::fs::read(path).map_err(unreadable(path));
    Ok(Some(RedisConfig {
        ca: config.redis.ca_file.as_ref().map(read).transpose()?,
        url: url.expose().to_owned(),
        mode: redis_mode(&config.redis),
        prefix: config.redis.prefix.clone(),
        command_timeout: config.redis.command_timeout,
        connect_timeout: config.redis.connect_timeout,
        links: config.redis.links,
        pool_connections: config.redis.pool_size,
        row_ttl: config.redis.row_ttl,
        bus_destination_bytes_max: config.bus.destination_bytes_max,
        bus_bytes_max: config.bus.total_bytes_max,
        bus_gather: config.bus.gather,
        log: config.log_settings().unwrap_or_default(),
        log_strict: config.log_strict(),
    }))
}

fn redis_mode(redis: &sections::Redis) -> Mode {
    match redis.mode {
        RedisMode::Single => Mode::Single,
        RedisMode::Cluster => Mode::Cluster,
        RedisMode::Sentinel => Mode::Sentinel {
            service: redis.sentinel_service.clone().unwrap_or_default(),
            user: redis.sentinel_user.clone(),
            password: redis.sentinel_password.as_ref().map(Secret::expose).map(str::to_owned),
        },
    }
}

fn max_age(connection: &sections::Connection) -> MaxAge {
    MaxAge { age: connection.max_age, dither_percent: connection.max_age_dither_percent }
}

fn share(connection: &sections::Connection) -> Share {
    Share { over_mean_percent: connection.shed_over_mean_percent, lasting: connection.shed_after }
}

pub(crate) fn settings(config: &Config, bound: SocketAddr) -> Settings {
    // The reader counts by the second.
    let flood_seconds = config.flood.window.as_secs().max(1) as usize;
    Settings {
        address: config.advertised(bound),
        heartbeat_interval: config.heartbeat.interval,
        heartbeat_timeout: config.heartbeat.timeout,
        manner: manner::GATEWAY,
        tls: None,
        read: ReadLimits {
            message_bytes_max: config.message.bytes_max,
            idle_frames_max: config.flood.frames_max.div_ceil(flood_seconds),
        },
        outbox: Bounds { messages_max: config.outbox.messages_max, bytes_max: config.outbox.bytes_max },
        outboxes_bytes_max: config.outbox.total_bytes_max,
        gather: config.outbox.gather,
        subscriptions_max: config.connection.subscriptions_max,
        max_age: max_age(&config.connection),
        share: share(&config.connection),
        malformed_max: config.malformed.messages_max,
        malformed_window: config.malformed.window,
        close_timeout: config.close.timeout,
        unknown_types: config.catalogue.allow_unknown_types,
        row_ttl: config.redis.row_ttl,
        audit_interval: config.redis.audit_interval,
        routes: RouteBounds {
            time_to_live: config.route_cache.ttl,
            entries_max: config.route_cache.entries_max,
        },
        anonymous: config.anonymous_allowed(),
        verifier: Verifier::default(),
        key_files: None,
        publisher: None,
        token_in_url: config.auth.token_in_url,
        expiry_notice: config.auth.expiry_notice,
        revocations: revocations(&config.auth),
        embedded: config.redis.url.is_none(),
        collector: None,
        handshake_timeout: config.handshake.timeout,
        header_bytes_max: config.handshake.header_bytes_max,
        headers_max: config.handshake.headers_max,
        repository: repository::Settings { ended_kept: config.reservoir.ended_kept },
        reservoir: reservoir::Settings { waiting_max: config.reservoir.waiting_max },
        log_check_interval: config.durable.check_interval,
        strapi: config.strapi_settings(),
        cache_ttl: config.strapi.cache_ttl,
        orders_announce: config.orders.announce.clone(),
        origins: config.origins().unwrap_or_default(),
        proxies: config.proxies().unwrap_or_default(),
        limits: limit_bounds(config),
        http: HttpBounds {
            connections_max: config.http.connections_max,
            answer_timeout: config.http.answer_timeout,
            bodies_bytes_max: config.http.bodies_bytes_max,
        },
        admission: AdmissionBounds {
            handshakes_per_second: config.admission.handshakes_per_second,
            handshakes_max: config.admission.handshakes_max,
            silent_max: config.admission.silent_sockets_max,
            reserved_percent: config.admission.reserved_percent,
        },
        go_first: config.admission.reserved_for.clone(),
        stop: StopSettings {
            balancer_wait: config.stop.balancer_wait,
            closes_per_second: config.stop.closes_per_second,
            timeout: config.stop.timeout,
        },
    }
}

fn revocations(auth: &sections::Auth) -> RevocationSettings {
    RevocationSettings {
        // From `iat` by the slowest clock to the end by the fastest.
        kept: auth.lifetime_max + 2 * auth.leeway,
        most: auth.revocations_max,
        reread: auth.revocations_reread,
    }
}

fn limit_bounds(config: &Config) -> LimitBounds {
    let limits = &config.limits;
    LimitBounds {
        connections: ConnectionBounds {
            all: limits.connections_max,
            tenant: limits.tenant_connections_max,
            agent: limits.agent_connections_max,
            address: limits.address_connections_max,
            address_per_second: limits.address_connects_per_second,
        },
        rates: RateBounds {
            messages: limits.messages_per_second,
            bytes: limits.bytes_per_second,
            tenant_messages: limits.tenant_messages_per_second,
            tenant_bytes: limits.tenant_bytes_per_second,
            lock_attempts: limits.lock_attempts_per_second,
            refusals_max: limits.refusals_max,
        },
    }
}
