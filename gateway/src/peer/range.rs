//! A range of addresses, written `10.0.0.0/8` or as one address.

use std::net::IpAddr;
use std::str::FromStr;

/// All addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    first: u128,
    /// Bits that are the same, of the 128 of an address (IPv4 as in `::ffff:1.2.3.4`).
    bits: u32,
}

/// It is not written like a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an address such as 10.0.0.7, or a range such as 10.0.0.0/8 or fd00::/8")]
pub struct NotARange;

impl Range {
    /// Whether the address is among them.
    pub fn contains(&self, address: IpAddr) -> bool {
        let differing = bits_of(address) ^ self.first;
        differing.leading_zeros() >= self.bits
    }
}

impl FromStr for Range {
    type Err = NotARange;

    fn from_str(text: &str) -> Result<Self, NotARange> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u32>().map_err(|_| NotARange)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NotARange)?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(all);
        if bits > all {
            return Err(NotARange);
        }
        Ok(Self { first: bits_of(address), bits: bits + 128 - all })
    }
}

fn bits_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_what_begins_like_it() {
        for (range, within, beyond) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.1.2.3", "10.1.2.3", "10.1.2.4"),
            ("192.168.0.0/31", "192.168.0.1", "192.168.0.2"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("::1", "::1", "::2"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::a00:1"),
        ] {
            let parsed: Range = range.parse().unwrap();
            assert!(parsed.contains(within.parse().unwrap()), "{range} {within}");
            assert!(!parsed.contains(beyond.parse().unwrap()), "{range} {beyond}");
        }
        let everybody: Range = "0.0.0.0/0".parse().unwrap();
        assert!(everybody.contains("203.0.113.9".parse().unwrap()));
        assert!(!everybody.contains("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in
            ["", "10", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "example.com", "10.0.0.0/8/8"]
        {
            assert_eq!(text.parse::<Range>(), Err(NotARange), "{text}");
        }
    }
}
