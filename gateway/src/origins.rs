//! Which web pages may talk to this node. A browser tells the page's Origin with what it sends to another host or opens as
//! a WebSocket, and none with a page's GET of its own host.
//!
//! Without a list, pages of the node's own host may, and on a loopback address those of this machine only. Any name can
//! be made to lead to 127.0.0.1, or to the address of a node nearby, and then a stranger's page is one of the node's own
//! host (rebinding). So where nobody needs a token the `Host` itself has to be one that no stranger can own.

use std::net::IpAddr;
use std::str::FromStr;

/// An entry of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Allowed {
    /// `*`
    Any,
    /// `https://app.example.com`, in lower case.
    Exactly(String),
    /// `https://*.example.com`: what stands before and behind the star.
    Below(String, String),
}

/// The names by which a node is asked, beside those of its list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Hosts {
    /// All: a page that is taken for the node's own has no token.
    #[default]
    Any,
    /// `localhost` and loopback addresses.
    Loopback,
    /// Those that nobody can make lead elsewhere: addresses, `localhost`, and names without a dot.
    Fixed,
}

/// The pages that may.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    listed: Vec<Allowed>,
    /// Whether only this machine reaches the node.
    on_loopback: bool,
    hosts: Hosts,
}

/// It is not written like an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an origin such as https://app.example.com, https://*.example.com or *")]
pub struct NotAnOrigin;

impl Origins {
    /// The pages of this list, or of the node's own host if it is empty.
    ///
    /// # Errors
    /// One of them is no origin.
    pub fn try_new(listed: &[String], on_loopback: bool) -> Result<Self, NotAnOrigin> {
        let listed = listed.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        Ok(Self { listed, on_loopback, hosts: Hosts::default() })
    }

    /// The same, for a node that answers to these names and to those of the list only.
    #[must_use]
    pub fn asked_as(self, hosts: Hosts) -> Self {
        Self { hosts, ..self }
    }

    /// Whether the node answers to a `Host`.
    pub fn answer_to(&self, host: &str) -> bool {
        let host = host_of(host);
        let is_known = match self.hosts {
            Hosts::Any => true,
            Hosts::Loopback => is_loopback(host),
            Hosts::Fixed => !host.contains('.') || host.parse::<IpAddr>().is_ok(),
        };
        is_known || self.listed.iter().any(|allowed| allowed.is_at(host))
    }

    /// Whether a page of `origin` may send a request whose `Host` is this one.
    pub fn allow(&self, origin: &str, host: Option<&str>) -> bool {
        if self.listed.is_empty() {
            return self.is_own(origin, host);
        }
        let origin = origin.to_ascii_lowercase();
        self.listed.iter().any(|allowed| match allowed {
            Allowed::Any => true,
            Allowed::Exactly(exactly) => origin == *exactly,
            Allowed::Below(before, behind) => origin
                .strip_prefix(before.as_str())
                .and_then(|rest| rest.strip_suffix(behind.as_str()))
                .is_some_and(is_labels),
        })
    }

    fn is_own(&self, origin: &str, host: Option<&str>) -> bool {
        let Some((_, origin)) = origin.split_once("://") else { return false };
        let origin = host_of(origin);
        match self.on_loopback {
            true => is_loopback(origin),
            false => host.is_some_and(|host| host_of(host).eq_ignore_ascii_case(origin)),
        }
    }
}

impl Allowed {
    /// Whether such pages are on a host of this name.
    fn is_at(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        match self {
            Self::Any => true,
            Self::Exactly(origin) => origin.split_once("://").is_some_and(|(_, of)| host_of(of) == host),
            Self::Below(_, behind) => host.strip_suffix(host_of(behind)).is_some_and(is_labels),
        }
    }
}

impl FromStr for Allowed {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<Self, NotAnOrigin> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let text = text.to_ascii_lowercase();
        let (scheme, host) = text.split_once("://").ok_or(NotAnOrigin)?;
        let is_name = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.:[]_".contains(&byte))
        };
        if scheme.is_empty()
            || !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        {
            return Err(NotAnOrigin);
        }
        match host.strip_prefix("*.") {
            Some(parent) if is_name(parent) => Ok(Self::Below(format!("{scheme}://"), format!(".{parent}"))),
            None if is_name(host) => Ok(Self::Exactly(text)),
            _ => Err(NotAnOrigin),
        }
    }
}

/// One or more labels of a host name.
fn is_labels(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

/// Without its port.
fn host_of(authority: &str) -> &str {
    match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((v6, _port)) => v6,
        None => authority.split_once(':').map_or(authority, |(host, _port)| host),
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(listed: &[&str], on_loopback: bool) -> Origins {
        let listed: Vec<String> = listed.iter().map(|text| (*text).to_owned()).collect();
        Origins::try_new(&listed, on_loopback).unwrap()
    }

    #[test]
    fn without_a_list_the_node_s_own_host_may() {
        let own = origins(&[], false);
        assert!(own.allow("https://rt.example.com", Some("rt.example.com")));
        assert!(own.allow("https://rt.example.com:8443", Some("RT.example.com:8080")));
        assert!(!own.allow("https://evil.example", Some("rt.example.com")));
        assert!(!own.allow("https://rt.example.com.evil.example", Some("rt.example.com")));
        assert!(!own.allow("null", Some("rt.example.com")));
        assert!(!own.allow("https://rt.example.com", None));
    }

    #[test]
    fn on_loopback_only_pages_of_this_machine_may_whatever_the_host_says() {
        let local = origins(&[], true);
        assert!(local.allow("http://localhost:3000", Some("127.0.0.1:8080")));
        assert!(local.allow("http://127.0.0.1:3000", Some("localhost:8080")));
        assert!(local.allow("http://[::1]:3000", Some("localhost:8080")));
        assert!(!local.allow("http://evil.example", Some("evil.example:8080")), "rebinding");
        assert!(!local.allow("http://localhost.evil.example", Some("localhost:8080")));
    }

    #[test]
    fn where_nobody_needs_a_token_a_host_is_one_that_no_stranger_can_own() {
        let listed = ["https://app.example.com:8443", "https://*.fleet.example"];
        let node = |hosts| origins(&listed, true).asked_as(hosts);
        let mine = ["localhost", "LOCALHOST:80", "127.0.0.1:8080", "127.9.9.9", "[::1]", "[::1]:8080"];
        let of_list = ["app.example.com", "App.example.com:80", "a.fleet.example", "a.b.fleet.example:1"];
        let nearby = ["10.0.0.7:8080", "[fd00::7]", "gateway-1:8080"];
        let strange = [
            "evil.example",
            "evil.example:8080",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "fleet.example",
            "app.example.com.evil.example",
        ];
        for host in mine.iter().chain(&of_list) {
            assert!(node(Hosts::Loopback).answer_to(host) && node(Hosts::Fixed).answer_to(host), "{host}");
        }
        for host in nearby {
            assert!(!node(Hosts::Loopback).answer_to(host) && node(Hosts::Fixed).answer_to(host), "{host}");
        }
        for host in strange {
            assert!(!node(Hosts::Loopback).answer_to(host) && !node(Hosts::Fixed).answer_to(host), "{host}");
            assert!(node(Hosts::Any).answer_to(host), "{host}");
        }
        assert!(origins(&["*"], true).asked_as(Hosts::Loopback).answer_to("evil.example"));
    }

    #[test]
    fn a_list_is_exact_but_for_its_stars() {
        let listed =
            origins(&["https://App.example.com", "https://*.fleet.example", "http://localhost:3000"], false);
        for origin in [
            "https://app.example.com",
            "https://a.fleet.example",
            "https://a.b.fleet.example",
            "http://localhost:3000",
        ] {
            assert!(listed.allow(origin, None), "{origin}");
        }
        for origin in [
            "http://app.example.com",
            "https://app.example.com:444",
            "https://fleet.example",
            "https://evil.example/.fleet.example",
            "https://evil.example#.fleet.example",
            "https://.fleet.example.evil.example",
            "http://localhost:3001",
            "null",
        ] {
            assert!(!listed.allow(origin, Some("app.example.com")), "{origin}");
        }
        assert!(origins(&["*"], false).allow("null", None));
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in [
            "",
            "example.com",
            "https://",
            "https://a/b",
            "https://*",
            "https://*.",
            "https://a.*.b",
            "https://a b",
        ] {
            assert!(Origins::try_new(&[text.to_owned()], false).is_err(), "{text}");
        }
    }
}
