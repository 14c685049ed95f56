//! What a URL says: where servers are, and how to log in to them. It may name several, `redis://a:1,b:2/0`.

use std::fmt;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

use super::config::Mode;
use crate::Error;

/// Where sentinels listen if nothing is said.
const SENTINEL_PORT: u16 = 26_379;

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A URL that was read.
pub(super) struct Place {
    pub(super) addresses: Vec<Address>,
    /// Of the first address; what else it says is meant for all.
    pub(super) info: ConnectionInfo,
    pub(super) is_tls: bool,
}

impl Place {
    pub(super) fn parse(url: &str, mode: &Mode) -> Result<Self, Error> {
        let (front, hosts, back) = divide(url);
        let mut parsed = Vec::new();
        for host in hosts.split(',') {
            let port = match mode {
                Mode::Sentinel { .. } if !has_port(host) => format!(":{SENTINEL_PORT}"),
                Mode::Sentinel { .. } | Mode::Single | Mode::Cluster => String::new(),
            };
            parsed.push(of_one(&format!("{front}{host}{port}{back}"))?);
        }
        if matches!(mode, Mode::Cluster) && parsed.iter().any(|(_, info, _)| info.redis_settings().db() != 0)
        {
            return Err(Error::Url("a cluster has no databases but 0".into()));
        }
        if parsed.len() > 1 && matches!(mode, Mode::Single) {
            return Err(Error::Url("several hosts are sentinels or a cluster: say which".into()));
        }
        let addresses = parsed.iter().map(|(address, ..)| address.clone()).collect();
        let (_, info, is_tls) = parsed.swap_remove(0);
        Ok(Self { addresses, info, is_tls })
    }
}

/// Cuts a URL before and behind its hosts.
fn divide(url: &str) -> (&str, &str, &str) {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let end = url[authority..].find(['/', '?', '#']).map_or(url.len(), |at| authority + at);
    let hosts = url[authority..end].rfind('@').map_or(authority, |at| authority + at + 1);
    (&url[..hosts], &url[hosts..end], &url[end..])
}

fn has_port(host: &str) -> bool {
    host.rsplit_once(':')
        .is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
        && !host.ends_with(']')
}

fn of_one(url: &str) -> Result<(Address, ConnectionInfo, bool), Error> {
    let info = url.into_connection_info().map_err(|error| Error::Url(error.into()))?;
    let (address, is_tls) = match info.addr() {
        ConnectionAddr::Tcp(host, port) => (Address { host: host.clone(), port: *port }, false),
        ConnectionAddr::TcpTls { host, port, insecure: false, .. } => {
            (Address { host: host.clone(), port: *port }, true)
        }
        ConnectionAddr::TcpTls { .. } => {
            return Err(Error::Url("TLS that trusts anybody is none".into()));
        }
        ConnectionAddr::Unix(_) => {
            return Err(Error::Url("only redis://host:port and rediss://host:port are supported".into()));
        }
        _ => return Err(Error::Url("an address of an unknown kind".into())),
    };
    Ok((address, info, is_tls))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentinel() -> Mode {
        Mode::Sentinel { service: "s".into(), user: None, password: None }
    }

    #[test]
    fn a_url_that_is_not_plain_redis_is_refused() {
        for (url, good) in [
            ("redis://:secret@localhost:6379/3", true),
            ("redis://localhost", true),
            ("redis+unix:///tmp/redis.sock", false),
            ("rediss://localhost", true),
            ("rediss://localhost/#insecure", false),
            ("http://localhost", false),
            ("localhost:6379", false),
            ("redis://a,b", false),
            ("", false),
        ] {
            assert_eq!(Place::parse(url, &Mode::Single).is_ok(), good, "{url}");
        }
    }

    #[test]
    fn a_url_names_several_hosts_for_one_log_in() {
        let place = Place::parse("rediss://me:pass@a:1,[::1]:2,c,[::2]/7", &sentinel()).unwrap();
        let addresses: Vec<_> = place.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["a:1", "::1:2", "c:26379", "::2:26379"]);
        let settings = place.info.redis_settings();
        assert_eq!((settings.username(), settings.password()), (Some("me"), Some("pass")));
        assert_eq!((settings.db(), place.is_tls), (7, true));
        assert!(Place::parse("redis://a:1,,b:2", &sentinel()).is_err(), "an empty host");
    }
}
