//! The header of the PROXY protocol, versions 1 and 2, as HAProxy's `proxy-protocol.txt` has it.
//!
//! Must stay true: not a byte behind the header is taken from the socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Shorter than any header of either version, and enough to tell them apart.
const SIGNATURE_BYTES: usize = 12;
const SIGNATURE: [u8; SIGNATURE_BYTES] = *b"\r\n\r\n\0\r\nQUIT\n";
const LINE_START: [u8; 6] = *b"PROXY ";
/// Version 2: the signature, version and command, family, length.
const FIXED_BYTES: usize = 16;
/// Version 1, its line's end included.
const LINE_BYTES_MAX: usize = 107;
/// Addresses and what else version 2 may carry; proxies send tens of bytes.
const REST_BYTES_MAX: usize = 2_048;

/// What the beginning of a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeader {
    /// A whole header of so many bytes, with the client's address unless the proxy speaks for itself.
    Whole {
        /// Its length.
        bytes: usize,
        /// The client.
        client: Option<IpAddr>,
    },
    /// The beginning of one: at least so many bytes more.
    Partial(usize),
    /// Something else.
    Broken,
}

/// Reads a header at the start of `bytes`.
pub fn parse(bytes: &[u8]) -> ProxyHeader {
    let told = bytes.len().min(SIGNATURE_BYTES);
    let (is_binary, is_line) = (bytes[..told] == SIGNATURE[..told], is_line(bytes));
    match bytes.len() {
        len if len < SIGNATURE_BYTES && (is_binary || is_line) => ProxyHeader::Partial(SIGNATURE_BYTES - len),
        _ if is_binary => parse_binary(bytes),
        _ if is_line => parse_line(bytes),
        _ => ProxyHeader::Broken,
    }
}

fn is_line(bytes: &[u8]) -> bool {
    let told = bytes.len().min(LINE_START.len());
    bytes[..told] == LINE_START[..told]
}

fn parse_line(bytes: &[u8]) -> ProxyHeader {
    let Some(end) = bytes.iter().take(LINE_BYTES_MAX).position(|byte| *byte == b'\n') else {
        return if bytes.len() < LINE_BYTES_MAX { ProxyHeader::Partial(1) } else { ProxyHeader::Broken };
    };
    let line = bytes[..end].strip_suffix(b"\r").and_then(|line| std::str::from_utf8(line).ok());
    let mut words = line.unwrap_or_default().split(' ').skip(1);
    let client = match (words.next(), words.next(), words.next(), words.next(), words.next(), words.next()) {
        (Some("UNKNOWN"), ..) => Ok(None),
        (Some("TCP4"), Some(source), Some(_), Some(_), Some(_), None) => {
            source.parse::<Ipv4Addr>().map(|v4| Some(v4.into()))
        }
        (Some("TCP6"), Some(source), Some(_), Some(_), Some(_), None) => {
            source.parse::<Ipv6Addr>().map(|v6| Some(v6.into()))
        }
        _ => return ProxyHeader::Broken,
    };
    client.map_or(ProxyHeader::Broken, |client| ProxyHeader::Whole { bytes: end + 1, client })
}

fn parse_binary(bytes: &[u8]) -> ProxyHeader {
    let Some(fixed) = bytes.first_chunk::<FIXED_BYTES>() else {
        return ProxyHeader::Partial(FIXED_BYTES - bytes.len());
    };
    let (command, family) = (fixed[12], fixed[13]);
    let rest_bytes = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if rest_bytes > REST_BYTES_MAX || !matches!(command, 0x20 | 0x21) {
        return ProxyHeader::Broken;
    }
    let whole = FIXED_BYTES + rest_bytes;
    let Some(rest) = bytes.get(FIXED_BYTES..whole) else { return ProxyHeader::Partial(whole - bytes.len()) };
    let client = match (command, family) {
        (0x20, _) => None,
        (_, 0x11) if rest_bytes >= 12 => rest.first_chunk().map(|v4: &[u8; 4]| IpAddr::from(*v4)),
        (_, 0x21) if rest_bytes >= 36 => rest.first_chunk().map(|v6: &[u8; 16]| IpAddr::from(*v6)),
        (_, 0x11 | 0x21) => return ProxyHeader::Broken,
        _ => None,
    };
    ProxyHeader::Whole { bytes: whole, client }
}

/// Reads the header from the front of `stream`.
///
/// # Errors
/// The peer is gone, or sends something else.
pub(super) async fn read(stream: &mut TcpStream) -> io::Result<Option<IpAddr>> {
    let mut bytes = [0; FIXED_BYTES + REST_BYTES_MAX];
    let mut taken = 0;
    let mut missing = SIGNATURE_BYTES;
    loop {
        // Of a line only the end tells its length: byte by byte, and only where a proxy of ours is.
        stream.read_exact(&mut bytes[taken..taken + missing]).await?;
        taken += missing;
        missing = match parse(&bytes[..taken]) {
            ProxyHeader::Whole { client, .. } => return Ok(client),
            ProxyHeader::Partial(more) => more,
            ProxyHeader::Broken => return Err(io::Error::new(io::ErrorKind::InvalidData, "no PROXY header")),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut header = SIGNATURE.to_vec();
        header.extend([command, family]);
        header.extend((rest.len() as u16).to_be_bytes());
        header.extend(rest);
        header
    }

    fn samples() -> Vec<(Vec<u8>, Option<&'static str>)> {
        let v4 = [198, 51, 100, 7, 10, 0, 0, 1, 0, 80, 1, 187];
        let mut v6 = [0; 36];
        v6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        vec![
            (b"PROXY TCP4 198.51.100.7 10.0.0.1 4711 443\r\n".to_vec(), Some("198.51.100.7")),
            (b"PROXY TCP6 2001:db8::7 fd00::1 4711 443\r\n".to_vec(), Some("2001:db8::7")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff:: ffff:: 1 2\r\n".to_vec(), None),
            (binary(0x21, 0x11, &v4), Some("198.51.100.7")),
            (binary(0x21, 0x11, &[&v4[..], &[4, 0, 1, 9]].concat()), Some("198.51.100.7")),
            (binary(0x21, 0x21, &v6), Some("2001:db8::")),
            (binary(0x20, 0x00, &[]), None),
            (binary(0x21, 0x31, &[0; 216]), None),
        ]
    }

    #[test]
    fn headers_of_both_versions_name_the_client_however_they_are_cut() {
        for (header, client) in samples() {
            let client = client.map(|text| text.parse().unwrap());
            let whole = ProxyHeader::Whole { bytes: header.len(), client };
            assert_eq!(parse(&header), whole);
            assert_eq!(parse(&[&header[..], b"GET / HTTP/1.1"].concat()), whole);
            for cut in 0..header.len() {
                let ProxyHeader::Partial(more) = parse(&header[..cut]) else {
                    panic!("{cut} of {header:?}");
                };
                assert!((1..=header.len() - cut).contains(&more), "{more} more at {cut} of {header:?}");
            }
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let long = [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 200]].concat();
        for bytes in [
            &b"GET /ws HTTP/1.1\r\n"[..],
            b"PROXY TCP4 here there 1 2\r\n",
            b"PROXY TCP4 2001:db8::7 10.0.0.1 1 2\r\n",
            b"PROXY TCP4 198.51.100.7\r\n",
            b"PROXY TCP4 198.51.100.7 10.0.0.1 4711 443\n",
            b"PROXY TCP4 198.51.100.7 10.0.0.1 4711 443 5\r\n",
            &long,
            &binary(0x11, 0x11, &[0; 12]),
            &binary(0x21, 0x11, &[0; 11]),
            &binary(0x21, 0x21, &[0; 12]),
            &binary(0x21, 0x11, &[0; 3_000]),
        ] {
            assert_eq!(parse(bytes), ProxyHeader::Broken, "{}", String::from_utf8_lossy(bytes));
        }
    }
}
