//! Clients that break rules, byte by byte: what each sends, and how a node is to part with it.
//!
//! They run in a thread of their own, so that what they cost here is not taken for what they do to others.

mod attackers;
mod ending;

use std::time::Duration;

pub(crate) use self::attackers::{Attackers, Endings};
pub(crate) use self::ending::Ending;

const AT_ONCE: Duration = Duration::ZERO;
const OFTEN: Duration = Duration::from_millis(20);
const TRICKLE: Duration = Duration::from_millis(200);
/// Bytes of a head or a message that never ends, at a time.
const CHUNK: usize = 4_096;

/// What one hostile client does with each of its connections.
#[derive(Debug, Clone)]
pub(crate) struct Attack {
    /// As it is shown.
    pub(crate) name: &'static str,
    /// Whether it completes a handshake first.
    upgrades: bool,
    /// What it sends then.
    first: Vec<u8>,
    /// What it sends after that, again and again; nothing: it waits for the end.
    again: Vec<u8>,
    /// From one time to the next.
    pause: Duration,
    /// Whether it reads what it is sent.
    reads: bool,
    /// Every way in which the node may part with it. [`Ending::Open`]: not at all while it is watched.
    pub(crate) ends: &'static [Ending],
}

impl Attack {
    fn new(name: &'static str, ends: &'static [Ending]) -> Self {
        Self { name, upgrades: true, first: Vec::new(), again: Vec::new(), pause: AT_ONCE, reads: true, ends }
    }

    /// It speaks before there is a WebSocket.
    fn before_the_upgrade(mut self) -> Self {
        self.upgrades = false;
        self
    }

    fn first(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.first = bytes.into();
        self
    }

    fn then(mut self, bytes: impl Into<Vec<u8>>, pause: Duration) -> Self {
        (self.again, self.pause) = (bytes.into(), pause);
        self
    }

    fn never_reads(mut self) -> Self {
        self.reads = false;
        self
    }

    /// All of them.
    pub(crate) fn all() -> Vec<Self> {
        [broken_requests(), broken_frames(), floods()].concat()
    }
}

fn broken_requests() -> Vec<Attack> {
    use Ending::{Cut, Status};
    let many: String = (0..5_000).map(|number| format!("x-{number}: 1\r\n")).collect();
    vec![
        Attack::new("slow handshake", &[Cut])
            .before_the_upgrade()
            .first("GET /ws HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
            .then("a", TRICKLE),
        Attack::new("slow body", &[Status(408)])
            .before_the_upgrade()
            .first("POST /api/publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n[")
            .then(" ", TRICKLE),
        Attack::new("silent socket", &[Cut]).before_the_upgrade(),
        Attack::new("huge header", &[Status(431), Cut])
            .before_the_upgrade()
            .first("GET /ws HTTP/1.1\r\nHost: localhost\r\nCookie: ")
            .then(vec![b'x'; CHUNK], AT_ONCE),
        Attack::new("many headers", &[Status(431), Cut])
            .before_the_upgrade()
            .first(format!("GET /ws HTTP/1.1\r\nHost: localhost\r\n{many}\r\n")),
        Attack::new("HTTP/2 preface", &[Status(400), Cut])
            .before_the_upgrade()
            .first(*b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
    ]
}

fn broken_frames() -> Vec<Attack> {
    use Ending::{Close, Cut};
    let huge = [&[0x81, 0xff][..], &(1_u64 << 40).to_be_bytes(), &[0; 4]].concat();
    vec![
        Attack::new("unmasked frame", &[Close(1002)]).first(*b"\x81\x05hello"),
        Attack::new("reserved bits", &[Close(1002)]).first(frame(0xf1, b"hello")),
        Attack::new("bad UTF-8", &[Close(1007)]).first(frame(0x81, b"\xff\xfe")),
        Attack::new("oversize frame", &[Close(1009), Cut]).first(huge).then(vec![b'x'; CHUNK], AT_ONCE),
        Attack::new("endless message", &[Close(1009), Cut])
            .first(frame(0x01, &[b'x'; CHUNK]))
            .then(frame(0x00, &[b'x'; CHUNK]), AT_ONCE),
        Attack::new("no JSON", &[Close(4400), Cut]).first(frame(0x81, b"{").repeat(200)),
        // It hears the end, and answers nothing before.
        Attack::new("half-open", &[Close(4408)]),
    ]
}

fn floods() -> Vec<Attack> {
    use Ending::{Close, Cut, Open};
    let question = frame(0x81, br#"{"type":"system:health_check"}"#);
    let pipelined = [handshake().into_bytes(), question.repeat(500)].concat();
    vec![
        Attack::new("empty fragments", &[Close(4429), Cut])
            .first(frame(0x01, b""))
            .then(frame(0x00, b"").repeat(500), AT_ONCE),
        Attack::new("ping flood", &[Close(4429), Cut]).then(frame(0x89, &[0; 125]).repeat(50), AT_ONCE),
        Attack::new("pipelined frames", &[Open]).before_the_upgrade().first(pipelined),
        Attack::new("never reads", &[Open, Cut, Close(4413)]).then(question.repeat(10), OFTEN).never_reads(),
    ]
}

/// A handshake like any other.
fn handshake() -> String {
    "GET /ws?tenant=hostile HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        .to_owned()
}

/// A frame of a client, masked with zeros.
fn frame(start: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![start];
    match u16::try_from(payload.len()) {
        Ok(length @ 0..126) => frame.push(0x80 | length as u8),
        length => {
            frame.push(0x80 | 126);
            frame.extend(length.expect("no frame here is that long").to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}
