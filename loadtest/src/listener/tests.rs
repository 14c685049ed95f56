//! A listener and whoever stands for its node, over a real socket.

use tokio::net::TcpListener;

use super::*;

const WITHIN: Duration = Duration::from_secs(10);

async fn connected() -> (Listener, TcpStream) {
    let at = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(at.local_addr().unwrap()).await.unwrap();
    let (node, _) = at.accept().await.unwrap();
    node.set_nodelay(true).unwrap();
    (Listener::over(stream, &ReadBuffer::default()), node)
}

/// What it hears until its node has said goodbye, and what it says.
async fn conversation(pieces: impl Iterator<Item = &[u8]>) -> (Vec<String>, Closed, Vec<u8>) {
    let (mut listener, mut node) = connected().await;
    let mut heard = Vec::new();
    let listening = listener.listen(|text, _| heard.push(String::from_utf8(text.to_vec()).unwrap()));
    let speaking = async {
        for piece in pieces {
            node.write_all(piece).await.unwrap();
            // It reads what there is before more comes.
            tokio::task::yield_now().await;
        }
        node
    };
    let (ended, mut node) = timeout(WITHIN, async { tokio::join!(listening, speaking) }).await.unwrap();
    drop(listener);
    let mut answers = Vec::new();
    timeout(WITHIN, node.read_to_end(&mut answers)).await.unwrap().unwrap();
    (heard, ended.unwrap_err(), answers)
}

fn unmasked(answer: &[u8]) -> Vec<u8> {
    let (mask, payload) = (&answer[2..6], &answer[6..]);
    payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect()
}

#[tokio::test]
async fn every_text_is_heard_however_the_bytes_come() {
    let long = "x".repeat(300);
    let long_frame = [b"\x81\x7e\x01\x2c", long.as_bytes()].concat();
    let said = [b"\x81\x02ab", &long_frame[..], b"\x89\x01p", b"\x81\x01c", b"\x88\x04\x10\x01no"].concat();
    for piece in [1, 2, 3, 7, 100, 305, said.len()] {
        let (heard, ended, answers) = conversation(said.chunks(piece)).await;
        assert_eq!(heard, ["ab", &long, "c"], "{piece} at a time");
        assert!(matches!(ended.cause, CloseCause::ByNode { code: 4097, .. }), "{ended}");
        let (pong, goodbye) = answers.split_at(7);
        assert_eq!((pong[0], unmasked(pong)), (0x8a, b"p".to_vec()), "{piece} at a time");
        assert_eq!((goodbye[0], unmasked(goodbye)), (0x88, b"\x10\x01no".to_vec()), "{piece} at a time");
    }
}

#[tokio::test]
async fn more_than_the_buffer_holds_is_heard() {
    let (mut listener, mut node) = connected().await;
    let frame = [&b"\x81\x7e\x10\x00"[..], &[b'x'; 4_096]].concat();
    let count = 5 * READ_BUFFER_BYTES / frame.len();
    let mut heard = 0;
    let listening = listener.listen(|text, _| {
        assert!(text.iter().all(|byte| *byte == b'x') && text.len() == 4_096);
        heard += 1;
    });
    let speaking = async {
        node.write_all(&frame.repeat(count)).await.unwrap();
        node.shutdown().await.unwrap();
    };
    let (ended, ()) = timeout(WITHIN, async { tokio::join!(listening, speaking) }).await.unwrap();
    assert!(matches!(ended.unwrap_err().cause, CloseCause::Lost(None)));
    assert_eq!(heard, count);
}

#[tokio::test]
async fn what_no_node_sends_ends_it() {
    let (_, ended, _) = conversation([&b"\x81\x01a\x01\x01b"[..]].into_iter()).await;
    assert!(matches!(ended.cause, CloseCause::Violation(_)), "{ended}");
}

#[tokio::test]
async fn it_says_goodbye_and_hears_one() {
    let (listener, mut node) = connected().await;
    let leaving = timeout(WITHIN, listener.close());
    let parting = async {
        let mut goodbye = [0; 6];
        node.read_exact(&mut goodbye).await.unwrap();
        drop(node);
        goodbye
    };
    let (left, goodbye) = tokio::join!(leaving, parting);
    left.unwrap();
    assert_eq!(goodbye[..2], *b"\x88\x80");
}
