//! A WebSocket as a client speaks it, by hand: frames are told apart where they were read, and nothing is allocated for
//! one. It is for servers that behave, on this machine; whatever else comes ends the connection.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::dice::Dice;

/// What is read at once, by whichever connection has something to read.
const READ_BYTES: usize = 64 * 1024;

/// A server's answer to the handshake is shorter.
const ANSWER_BYTES_MAX: usize = 8 * 1024;

/// A server takes what is said to it within this time.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);

/// Any key will do: nobody in between could take this connection for another.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

const PING: u8 = 9;
const PONG: u8 = 10;

thread_local! {
    /// One for all connections: each takes out what it read before it waits again.
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// The frames that carry messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text = 1,
    Binary = 2,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Link {
    stream: TcpStream,
    /// The beginning of a frame.
    begun: Vec<u8>,
    unwritten: Vec<u8>,
    /// Bytes of it that the socket took already.
    taken: usize,
    masks: Dice,
}

impl Link {
    /// Connects to `address`, from this address of loopback, and shakes hands.
    ///
    /// # Errors
    /// When the server refuses.
    pub(crate) async fn open(address: &str, path: &str, from: Ipv4Addr) -> anyhow::Result<Self> {
        let to: SocketAddr = address.parse().with_context(|| format!("{address} is no address"))?;
        let socket = TcpSocket::new_v4()?;
        if from != Ipv4Addr::LOCALHOST {
            socket.bind(SocketAddr::new(IpAddr::V4(from), 0))?;
        }
        let stream = socket.connect(to).await.context("nobody listens")?;
        stream.set_nodelay(true)?;
        let masks = Dice::new(stream.local_addr()?.port().into());
        let mut link = Self { stream, begun: Vec::new(), unwritten: Vec::new(), taken: 0, masks };
        link.shake_hands(address, path).await?;
        Ok(link)
    }

    async fn shake_hands(&mut self, address: &str, path: &str) -> anyhow::Result<()> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
        );
        self.stream.write_all(request.as_bytes()).await?;
        let end = loop {
            ensure!(self.begun.len() < ANSWER_BYTES_MAX, "the answer to the handshake does not end");
            ensure!(self.stream.read_buf(&mut self.begun).await? > 0, "the handshake was not answered");
            if let Some(end) = self.begun.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let answer: Vec<u8> = self.begun.drain(..end).collect();
        let answer = String::from_utf8_lossy(&answer);
        if !(answer.starts_with("HTTP/1.1 101") && answer.contains(&derive_accept_key(KEY.as_bytes()))) {
            bail!("the server refused the handshake: {}", answer.trim_end());
        }
        Ok(())
    }

    /// What came with the handshake's answer, or was read and had no end yet.
    pub(crate) fn take_begun(&mut self, mut on: impl FnMut(&[u8])) -> io::Result<()> {
        let mut begun = std::mem::take(&mut self.begun);
        let used = self.frames(&begun, &mut on)?;
        begun.drain(..used);
        self.begun = begun;
        Ok(())
    }

    /// Waits until something comes, and shows `on` what is in each frame of it, and when it came.
    ///
    /// # Errors
    /// When the connection ended.
    ///
    /// # Cancel safety
    /// No frame is lost.
    pub(crate) async fn read(&mut self, mut on: impl FnMut(&[u8], Instant)) -> io::Result<()> {
        poll_fn(|cx| {
            READ.with_borrow_mut(|bytes| {
                let mut read = ReadBuf::new(bytes);
                ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
                let (read, at) = (read.filled(), Instant::now());
                let mut on = |payload: &[u8]| on(payload, at);
                if read.is_empty() {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                if self.begun.is_empty() {
                    let used = self.frames(read, &mut on)?;
                    self.begun.extend_from_slice(&read[used..]);
                    return Poll::Ready(Ok(()));
                }
                self.begun.extend_from_slice(read);
                Poll::Ready(self.take_begun(&mut on))
            })
        })
        .await
    }

    /// Shows what is in each whole frame; answers how many bytes those have.
    fn frames(&mut self, bytes: &[u8], on: &mut impl FnMut(&[u8])) -> io::Result<usize> {
        let mut used = 0;
        while let Some(Frame { code, payload, length }) = Frame::first(&bytes[used..])? {
            used += length;
            match code {
                PING => self.queue_frame(PONG, payload),
                PONG => {}
                _ => on(payload),
            }
        }
        Ok(used)
    }

    /// Queues a message; [`Link::flush`] writes it.
    pub(crate) fn queue(&mut self, kind: Kind, payload: &[u8]) {
        self.queue_frame(kind as u8, payload);
    }

    fn queue_frame(&mut self, code: u8, payload: &[u8]) {
        self.unwritten.push(0x80 | code);
        match payload.len() {
            length @ 0..=125 => self.unwritten.push(0x80 | length as u8),
            length @ 126..=0xffff => {
                self.unwritten.push(0x80 | 126);
                self.unwritten.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                self.unwritten.push(0x80 | 127);
                self.unwritten.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        let mask = (self.masks.next() as u32).to_be_bytes();
        self.unwritten.extend_from_slice(&mask);
        self.unwritten.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    }

    /// Writes all that is queued.
    ///
    /// # Errors
    /// When the connection ended, or the server does not take it.
    ///
    /// # Cancel safety
    /// What was written is not written again.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        while self.taken < self.unwritten.len() {
            let rest = &self.unwritten[self.taken..];
            self.taken += timeout(TAKEN_WITHIN, self.stream.write(rest)).await??;
        }
        self.unwritten.clear();
        self.taken = 0;
        Ok(())
    }
}

/// A frame as it was read.
#[derive(Debug, PartialEq, Eq)]
struct Frame<'a> {
    code: u8,
    payload: &'a [u8],
    /// Bytes that it has in all.
    length: usize,
}

impl<'a> Frame<'a> {
    /// The first one of `bytes`; `None` if more have to come.
    fn first(bytes: &'a [u8]) -> io::Result<Option<Self>> {
        let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
        let code = first & 0x0f;
        let whole_and_plain = first & 0xf0 == 0x80 && second & 0x80 == 0;
        if !whole_and_plain || !matches!(code, 1 | 2 | PING | PONG) {
            let words = String::from_utf8_lossy(&rest[..rest.len().min(100)]).into_owned();
            let told = format!("a frame with {first:#x} {second:#x} ends the connection: {words}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, told));
        }
        let (length, header) = match second {
            126 => {
                let Some(length) = rest.first_chunk() else { return Ok(None) };
                (u64::from(u16::from_be_bytes(*length)), 4)
            }
            127 => {
                let Some(length) = rest.first_chunk() else { return Ok(None) };
                (u64::from_be_bytes(*length), 10)
            }
            short => (u64::from(short), 2),
        };
        let Some(length) = usize::try_from(length).ok().and_then(|length| length.checked_add(header)) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is too long"));
        };
        Ok(bytes.get(header..length).map(|payload| Self { code, payload, length }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_any_length_are_found_where_they_end() {
        for length in [0, 1, 125, 126, 65_535, 65_536, 70_000] {
            let mut bytes = vec![0x81];
            match length {
                0..=125 => bytes.push(length as u8),
                126..=0xffff => bytes.extend([&[126][..], &(length as u16).to_be_bytes()].concat()),
                _ => bytes.extend([&[127][..], &(length as u64).to_be_bytes()].concat()),
            }
            bytes.resize(bytes.len() + length, b'x');
            for cut in [0, 1, 2, 3, 9, bytes.len() - 1] {
                let cut = cut.min(bytes.len() - 1);
                assert_eq!(Frame::first(&bytes[..cut]).unwrap(), None, "{length}, {cut} bytes");
            }
            let whole = bytes.len();
            bytes.extend([0x81, 0]);
            let frame = Frame::first(&bytes).unwrap().unwrap();
            assert_eq!((frame.code, frame.payload.len(), frame.length), (1, length, whole));
        }
    }

    #[test]
    fn what_servers_on_this_machine_never_send_is_an_error() {
        let too_long = [&[0x82, 127][..], &[0xff; 8]].concat();
        for bytes in [&[0x01, 0][..], &[0xc1, 0], &[0x81, 0x80], &[0x88, 2, 3, 0xe8], &[0x80, 0], &too_long] {
            assert!(Frame::first(bytes).is_err(), "{bytes:x?}");
        }
    }
}
