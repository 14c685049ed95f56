//! Redis's protocol, as little of it as a bare publish/subscribe hop and INFO need.
//!
//! On purpose not the library that the nodes use: the hop it measures is the floor that they are
//! compared with.

use std::io;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Redis has this long to answer a command.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Longer answers than this are none that was asked for.
const REPLY_BYTES_MAX: usize = 1024 * 1024;

/// A reply of Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// `+text`
    Simple(String),
    /// `-text`
    Error(String),
    /// `:number`
    Integer(i64),
    /// `$length`, or `None` for the null of `$-1`
    Bulk(Option<Vec<u8>>),
    /// `*count`, or `None` for the null of `*-1`
    Array(Option<Vec<Reply>>),
}

/// Bytes that are not Redis's protocol.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("this is not Redis's protocol")]
pub(crate) struct Garbled;

/// A command in the form that Redis reads.
pub(crate) fn encode(words: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// The reply that `bytes` begin with and how many bytes it has; `None` if more have to come.
///
/// # Errors
/// [`Garbled`].
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Reply, usize)>, Garbled> {
    let mut reader = Reader { bytes, at: 0 };
    Ok(reader.reply(0)?.map(|reply| (reply, reader.at)))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// Each method answers `None` where the bytes end too early.
impl Reader<'_> {
    fn reply(&mut self, depth: usize) -> Result<Option<Reply>, Garbled> {
        const DEPTH_MAX: usize = 8;
        if depth > DEPTH_MAX {
            return Err(Garbled);
        }
        let Some(line) = self.line()? else { return Ok(None) };
        let (kind, rest) = line.split_at_checked(1).ok_or(Garbled)?;
        Ok(match kind {
            "+" => Some(Reply::Simple(rest.to_owned())),
            "-" => Some(Reply::Error(rest.to_owned())),
            ":" => Some(Reply::Integer(rest.parse().map_err(|_| Garbled)?)),
            "$" => match length(rest)? {
                None => Some(Reply::Bulk(None)),
                Some(length) => self.bulk(length)?.map(|bulk| Reply::Bulk(Some(bulk))),
            },
            "*" => match length(rest)? {
                None => Some(Reply::Array(None)),
                Some(length) => self.array(length, depth)?,
            },
            _ => return Err(Garbled),
        })
    }

    fn line(&mut self) -> Result<Option<String>, Garbled> {
        let rest = &self.bytes[self.at..];
        let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else {
            return if rest.len() > REPLY_BYTES_MAX { Err(Garbled) } else { Ok(None) };
        };
        self.at += end + 2;
        std::str::from_utf8(&rest[..end]).map(|line| Some(line.to_owned())).map_err(|_| Garbled)
    }

    fn bulk(&mut self, length: usize) -> Result<Option<Vec<u8>>, Garbled> {
        let rest = &self.bytes[self.at..];
        let Some((bulk, rest)) = rest.split_at_checked(length) else { return Ok(None) };
        match rest {
            [b'\r', b'\n', ..] => {
                self.at += length + 2;
                Ok(Some(bulk.to_vec()))
            }
            [] | [b'\r'] => Ok(None),
            _ => Err(Garbled),
        }
    }

    fn array(&mut self, length: usize, depth: usize) -> Result<Option<Reply>, Garbled> {
        let mut items = Vec::new();
        for _ in 0..length {
            let Some(item) = self.reply(depth + 1)? else { return Ok(None) };
            items.push(item);
        }
        Ok(Some(Reply::Array(Some(items))))
    }
}

fn length(text: &str) -> Result<Option<usize>, Garbled> {
    match text.parse::<i64>() {
        Ok(-1) => Ok(None),
        Ok(length) => match usize::try_from(length) {
            Ok(length) if length <= REPLY_BYTES_MAX => Ok(Some(length)),
            Ok(_) | Err(_) => Err(Garbled),
        },
        Err(_) => Err(Garbled),
    }
}

/// One connection to Redis.
#[derive(Debug)]
pub(crate) struct RedisConnection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl RedisConnection {
    /// Connects to `host:port`.
    ///
    /// # Errors
    /// When nothing listens there.
    pub(crate) async fn connect(address: &str) -> io::Result<Self> {
        let stream = within(TcpStream::connect(address)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Sends a command and waits for its reply.
    ///
    /// # Errors
    /// When Redis goes away, answers garbled or too late.
    pub(crate) async fn ask(&mut self, words: &[&[u8]]) -> io::Result<Reply> {
        self.send(words).await?;
        within(self.receive()).await
    }

    /// Sends a command without waiting for its reply.
    ///
    /// # Errors
    /// When Redis goes away.
    pub(crate) async fn send(&mut self, words: &[&[u8]]) -> io::Result<()> {
        let command = encode(words);
        within(self.stream.write_all(&command)).await
    }

    /// The next reply or published message.
    ///
    /// # Errors
    /// When Redis goes away or answers garbled.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn receive(&mut self) -> io::Result<Reply> {
        loop {
            let parsed = parse(&self.received)
                .map_err(|garbled| io::Error::new(io::ErrorKind::InvalidData, garbled))?;
            if let Some((reply, bytes)) = parsed {
                self.received.drain(..bytes);
                return Ok(reply);
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Throws away the replies that have come so far, without waiting for more.
    ///
    /// # Errors
    /// When Redis goes away.
    pub(crate) fn discard_received(&mut self) -> io::Result<()> {
        let mut waste = [0; 4_096];
        loop {
            match self.stream.try_read(&mut waste) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// A field of INFO, e.g. `used_memory`.
    ///
    /// # Errors
    /// When Redis goes away or has no such field.
    pub(crate) async fn info(&mut self, field: &str) -> io::Result<String> {
        match self.ask(&[b"INFO"]).await? {
            Reply::Bulk(Some(text)) => String::from_utf8_lossy(&text)
                .lines()
                .find_map(|line| line.split_once(':').filter(|(name, _)| *name == field))
                .map(|(_, value)| value.to_owned())
                .ok_or_else(|| io::ErrorKind::NotFound.into()),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

async fn within<T>(step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(ANSWER_WITHIN, step).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Reply {
        Reply::Bulk(Some(text.into()))
    }

    #[test]
    fn commands_are_arrays_of_bulks() {
        assert_eq!(encode(&[b"PUBLISH", b"c", b""]), b"*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$0\r\n\r\n");
    }

    #[test]
    fn every_kind_of_reply_is_read_wherever_the_bytes_are_cut() {
        let message = Reply::Array(Some(vec![bulk("message"), bulk("c"), bulk("a\r\nb")]));
        for (bytes, expected) in [
            ("+OK\r\n", Reply::Simple("OK".to_owned())),
            ("-ERR no\r\n", Reply::Error("ERR no".to_owned())),
            (":-12\r\n", Reply::Integer(-12)),
            ("$-1\r\n", Reply::Bulk(None)),
            ("$0\r\n\r\n", bulk("")),
            ("*-1\r\n", Reply::Array(None)),
            ("*0\r\n", Reply::Array(Some(vec![]))),
            ("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$4\r\na\r\nb\r\n", message),
            (
                "*2\r\n*1\r\n:1\r\n$1\r\nx\r\n",
                Reply::Array(Some(vec![Reply::Array(Some(vec![Reply::Integer(1)])), bulk("x")])),
            ),
        ] {
            let followed = format!("{bytes}:5\r\n");
            assert_eq!(parse(followed.as_bytes()), Ok(Some((expected, bytes.len()))), "{bytes:?}");
            for end in 0..bytes.len() {
                assert_eq!(parse(&bytes.as_bytes()[..end]), Ok(None), "{bytes:?} up to {end}");
            }
        }
    }

    #[test]
    fn what_is_not_the_protocol_is_refused() {
        let deep = "*1\r\n".repeat(100);
        for bytes in
            ["\r\n", "?\r\n", ":x\r\n", "$-2\r\n", "$99999999999\r\n", "$1\r\nab\r\n", "*-5\r\n", &deep]
        {
            assert_eq!(parse(bytes.as_bytes()), Err(Garbled), "{bytes:?}");
        }
    }

    #[test]
    fn any_bytes_are_judged_without_panic() {
        let mut state = 7_u64;
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..20)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    b"$*:+-\r\n0123456789ab"[(state >> 33) as usize % 19]
                })
                .collect();
            let _ = parse(&bytes);
        }
    }
}
