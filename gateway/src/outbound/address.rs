//! An address: `http` or `https` (or their WebSockets), a host, a port, perhaps a path.

use std::fmt;
use std::str::FromStr;

use hyper::Uri;
use thiserror::Error;

/// An address that can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(Uri);

/// Something that is no address.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("it has to be http://host:port or https://host:port, without a password")]
pub struct InvalidAddress;

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let address = Self(text.parse().map_err(|_| InvalidAddress)?);
        let has_password = address.authority().contains('@');
        let is_http = matches!(address.0.scheme_str(), Some("http" | "https"));
        if is_http && !has_password && !address.host().is_empty() { Ok(address) } else { Err(InvalidAddress) }
    }
}

impl Address {
    /// Whether it is to be asked over TLS.
    pub fn is_encrypted(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }

    /// The host's name or address, without brackets.
    pub fn host(&self) -> &str {
        self.0.host().unwrap_or_default().trim_matches(['[', ']'])
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.0.port_u16().unwrap_or(if self.is_encrypted() { 443 } else { 80 })
    }

    /// Host and port as they were written.
    pub fn authority(&self) -> &str {
        self.0.authority().map_or("", |authority| authority.as_str())
    }

    /// The path.
    pub fn path(&self) -> &str {
        self.0.path()
    }

    /// Path and query, as a request names them.
    pub fn target(&self) -> &str {
        self.0.path_and_query().map_or("/", |target| target.as_str())
    }

    /// Whether it has neither a path nor a query.
    pub fn is_bare(&self) -> bool {
        self.target() == "/"
    }

    /// Whether it has a query.
    pub fn has_query(&self) -> bool {
        self.0.query().is_some()
    }
}

impl fmt::Display for Address {
    /// Without the slash that no path has.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(if self.is_bare() { text.trim_end_matches('/') } else { &text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_tells_its_parts() {
        for (text, host, port, target, shown) in [
            ("http://h", "h", 80, "/", "http://h"),
            ("https://h/", "h", 443, "/", "https://h"),
            ("https://[::1]:8443/a?b=c", "::1", 8_443, "/a?b=c", "https://[::1]:8443/a?b=c"),
            ("http://127.0.0.1:8080", "127.0.0.1", 8_080, "/", "http://127.0.0.1:8080"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.host(), address.port(), address.target()), (host, port, target));
            assert_eq!((address.to_string().as_str(), address.is_bare()), (shown, target == "/"));
            assert_eq!(address.is_encrypted(), text.starts_with("https"));
        }
        for bad in
            ["", "/", "h:80", "ftp://h", "ws://h", "http://u:p@h", "http://", "https:///x", "http://h h"]
        {
            assert_eq!(bad.parse::<Address>(), Err(InvalidAddress), "{bad}");
        }
    }
}
