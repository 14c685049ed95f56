//! The address of Redis, or those of several servers, which often holds a password.
//!
//! What must stay true: only [`RedisUrl::expose`] gives the password away, and no error about a
//! broken address repeats it.

use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const FORM: &str = "redis://[user:password@]host[:port][,host[:port]..][/database], or rediss:// for TLS";

/// `redis://[user:password@]host[:port][,host[:port]..][/database]`; shown with the password masked.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(String);

impl RedisUrl {
    /// Checks the form of `text`; the host is not asked.
    ///
    /// # Errors
    /// What is wrong, without the text itself.
    pub fn try_new(text: &str) -> Result<Self, String> {
        let rest = match text.split_once("://") {
            Some(("redis" | "rediss", rest)) => rest,
            _ => return Err(format!("must be {FORM}")),
        };
        if text.bytes().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control()) {
            return Err(format!("must be {FORM}, without spaces or line breaks"));
        }
        let (before_query, _) = rest.split_once('?').unwrap_or((rest, ""));
        let (credentials, place) = before_query.rsplit_once('@').unwrap_or(("", before_query));
        if credentials.contains('/') {
            return Err("the user or password holds a `/`: write it as %2F".to_owned());
        }
        let (address, database) = place.split_once('/').unwrap_or((place, ""));
        address.split(',').try_for_each(check_address)?;
        if !database.is_empty() && database.parse::<u16>().is_err() {
            return Err("the database after the last `/` must be a number".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// The whole address with its password, for the one who connects.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// How many servers it names.
    pub fn hosts(&self) -> usize {
        let place = self.0.rsplit_once('@').map_or(self.0.as_str(), |(_, place)| place);
        place.split(',').count()
    }

    /// Whether it is spoken to over TLS.
    pub fn is_tls(&self) -> bool {
        self.0.starts_with("rediss://")
    }

    /// The address with `***` for a password; a user name stays.
    pub fn masked(&self) -> String {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("redis", ""));
        match rest.rsplit_once('@') {
            None => self.0.clone(),
            Some((credentials, address)) => {
                let user = credentials.split_once(':').map_or("", |(user, _)| user);
                format!("{scheme}://{user}:***@{address}")
            }
        }
    }
}

/// Checks `host`, `host:port`, `[::1]` or `[::1]:port`.
fn check_address(address: &str) -> Result<(), String> {
    let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':').unwrap_or("?"))),
        None => address.rsplit_once(':').map_or((address, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() {
        return Err(format!("has no host: must be {FORM}"));
    }
    match port.map(str::parse::<u16>) {
        None | Some(Ok(1..)) => Ok(()),
        Some(_) => Err("the port must be 1 to 65535".to_owned()),
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

/// Masked: a configuration that is shown must not hold the password.
impl Serialize for RedisUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.masked())
    }
}

impl<'de> Deserialize<'de> for RedisUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_new(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_their_password() {
        for (url, shown) in [
            ("redis://127.0.0.1:6379", "redis://127.0.0.1:6379"),
            ("redis://redis/0", "redis://redis/0"),
            ("redis://:secret@host:6379/0", "redis://:***@host:6379/0"),
            ("redis://app:secret@host", "redis://app:***@host"),
            ("redis://secret@host", "redis://:***@host"),
            ("redis://app:se:cr@et@host/3", "redis://app:***@host/3"),
            ("redis://:secret@[::1]:6379", "redis://:***@[::1]:6379"),
            ("rediss://app:secret@host:6380", "rediss://app:***@host:6380"),
            ("redis://:secret@host/0?protocol=resp3", "redis://:***@host/0?protocol=resp3"),
            ("redis://app:secret@a:1,b,[::1]:2/3", "redis://app:***@a:1,b,[::1]:2/3"),
        ] {
            let parsed = RedisUrl::try_new(url).unwrap();
            assert_eq!(parsed.to_string(), shown);
            assert_eq!(format!("{parsed:?}"), shown);
            assert_eq!(toml::Value::try_from(&parsed).unwrap().as_str(), Some(shown));
            assert_eq!(parsed.expose(), url);
        }
    }

    #[test]
    fn servers_are_counted() {
        for (url, hosts) in [("redis://h", 1), ("redis://u:p,q@h/0", 1), ("redis://:p@a:1,[::1]:2,c/0", 3)] {
            assert_eq!(RedisUrl::try_new(url).unwrap().hosts(), hosts, "{url}");
        }
    }

    #[test]
    fn broken_addresses_are_refused_without_repeating_them() {
        for url in [
            "",
            "secret",
            ":secret@host",
            "http://:secret@host",
            "redisss://:secret@host",
            "redis://:secret@",
            "redis://:secret@host:port",
            "redis://:secret@host:0",
            "redis://:secret@host/zero",
            "redis://:sec/secret@host",
            "redis://:secret@host\n",
            "redis://:secret@[::1]6379",
            "redis://:secret@a,,b",
            "redis://:secret@a,b:x",
        ] {
            let refused = RedisUrl::try_new(url).unwrap_err();
            assert!(!refused.contains("secret"), "{url}: {refused}");
        }
    }
}
