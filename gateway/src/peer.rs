//! Who is at the other end of a socket: its address, or what a proxy that is trusted says of it.
//!
//! A proxy is believed only if it connects from a trusted range. It may put a header of the PROXY protocol in front
//! of everything, or name addresses in `X-Forwarded-For`; of those the last one that is no trusted proxy itself
//! counts, since whatever stands before it was written by who knows whom.

mod proxy_header;
mod range;

use std::io;
use std::net::IpAddr;

use axum::http::HeaderMap;
use tokio::net::TcpStream;

pub use self::proxy_header::{ProxyHeader, parse as parse_proxy_header};
pub use self::range::Range;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// Which proxies stand before the node.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// Where they connect from.
    pub trusted: Vec<Range>,
    /// Whether they begin with a header of the PROXY protocol.
    pub protocol: bool,
}

/// The address that a request's socket belongs to, among the request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

impl Proxies {
    /// Who is behind a socket that was just accepted from `address`: reads the header of the PROXY protocol where one
    /// has to be, and not a byte more.
    ///
    /// # Errors
    /// There is none, or it makes no sense: the protocol forbids guessing.
    pub async fn greet(&self, stream: &mut TcpStream, address: IpAddr) -> io::Result<Peer> {
        let address = address.to_canonical();
        if !self.protocol || !self.trusts(address) {
            return Ok(Peer(address));
        }
        Ok(Peer(
            Box::pin(proxy_header::read(stream)).await?.map_or(address, |address| address.to_canonical()),
        ))
    }

    /// Who sent a request that came over a socket of `peer`.
    pub fn client_of(&self, peer: Peer, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.0;
        let values = headers.get_all(FORWARDED_FOR).into_iter();
        let names: Vec<&str> =
            values.filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(',')).collect();
        for name in names.into_iter().rev() {
            if !self.trusts(client) {
                break;
            }
            let Some(named) = address_of(name.trim()) else { break };
            client = named;
        }
        client
    }

    /// Whether this is a proxy, which speaks for others.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|range| range.contains(address))
    }
}

/// `1.2.3.4`, `1.2.3.4:5`, `::1` or `[::1]:5`.
fn address_of(text: &str) -> Option<IpAddr> {
    let alone = text.parse().ok();
    let address = alone.or_else(|| text.parse().ok().map(|both: std::net::SocketAddr| both.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn proxies(ranges: &[&str]) -> Proxies {
        Proxies { trusted: ranges.iter().map(|text| text.parse().unwrap()).collect(), protocol: false }
    }

    #[test]
    fn the_last_address_that_is_no_trusted_proxy_counts() {
        let trusting = proxies(&["10.0.0.0/8", "fd00::/8"]);
        for (peer, forwarded, client) in [
            ("192.0.2.1", vec!["198.51.100.7"], "192.0.2.1"),
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("10.0.0.1", vec!["198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", vec!["1.1.1.1, 198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", vec!["1.1.1.1", "198.51.100.7, 10.9.9.9"], "198.51.100.7"),
            ("10.0.0.1", vec!["198.51.100.7, nonsense"], "10.0.0.1"),
            ("10.0.0.1", vec!["198.51.100.7:4711"], "198.51.100.7"),
            ("fd00::1", vec!["[2001:db8::5]:80"], "2001:db8::5"),
            ("10.0.0.1", vec!["10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", vec!["::ffff:198.51.100.7"], "198.51.100.7"),
        ] {
            let mut headers = HeaderMap::new();
            for value in &forwarded {
                headers.append(FORWARDED_FOR, HeaderValue::from_static(value));
            }
            let found = trusting.client_of(Peer(peer.parse().unwrap()), &headers);
            assert_eq!(found, client.parse::<IpAddr>().unwrap(), "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn nobody_is_trusted_by_default() {
        let mut headers = HeaderMap::new();
        headers.insert(FORWARDED_FOR, HeaderValue::from_static("198.51.100.7"));
        let peer = Peer("127.0.0.1".parse().unwrap());
        assert_eq!(Proxies::default().client_of(peer, &headers), peer.0);
    }
}
