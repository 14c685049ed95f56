//! A path in all its states, with a server behind it that answers each byte with a word.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::*;

/// Longer than anything takes that comes.
const PATIENCE: Duration = Duration::from_secs(10);

async fn echo_server(word: &'static [u8], tasks: &TaskTracker) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let clients = tasks.clone();
    tasks.spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            clients.spawn(async move {
                let mut byte = [0];
                while let Ok(1) = socket.read(&mut byte).await {
                    socket.write_all(word).await.unwrap();
                }
            });
        }
    });
    port
}

/// Says `.` every few milliseconds, and `!` to whatever it hears.
async fn greeting_server(tasks: &TaskTracker) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tasks.spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut ticks = tokio::time::interval(Duration::from_millis(2));
        loop {
            let word = tokio::select! {
                heard = socket.read_u8() => heard.map(|_| b'!'),
                _ = ticks.tick() => Ok(b'.'),
            };
            let Ok(word) = word else { return };
            if socket.write_u8(word).await.is_err() {
                return;
            }
        }
    });
    port
}

async fn ask(socket: &mut TcpStream) -> Option<u8> {
    socket.write_all(b"?").await.ok()?;
    let answer = tokio::time::timeout(Duration::from_millis(300), socket.read_u8()).await;
    answer.ok()?.ok()
}

#[tokio::test]
async fn a_path_swallows_heals_moves_and_breaks() {
    let tasks = TaskTracker::new();
    let (a, b) = (echo_server(b"a", &tasks).await, echo_server(b"b", &tasks).await);
    let path = Forwarder::start(a).await;
    let mut old = TcpStream::connect((Ipv4Addr::LOCALHOST, path.port())).await.unwrap();
    assert_eq!(ask(&mut old).await, Some(b'a'));
    path.black_hole();
    assert_eq!(ask(&mut old).await, None);
    path.heal();
    assert_eq!(old.read_u8().await.unwrap(), b'a', "the answer that waited");
    path.withhold_answers();
    assert_eq!(ask(&mut old).await, None);
    path.heal();
    assert_eq!(old.read_u8().await.unwrap(), b'a', "the answer that was withheld");
    path.replace_target(b);
    let mut new = TcpStream::connect((Ipv4Addr::LOCALHOST, path.port())).await.unwrap();
    assert_eq!((ask(&mut old).await, ask(&mut new).await), (Some(b'a'), Some(b'b')));
    path.freeze();
    assert_eq!((ask(&mut old).await, ask(&mut new).await), (None, None));
    let mut newest = TcpStream::connect((Ipv4Addr::LOCALHOST, path.port())).await.unwrap();
    assert_eq!(ask(&mut newest).await, Some(b'b'));
    path.cut();
    assert_eq!(ask(&mut newest).await, None);
}

#[tokio::test]
async fn a_path_that_withholds_questions_passes_answers_on() {
    let tasks = TaskTracker::new();
    let path = Forwarder::start(greeting_server(&tasks).await).await;
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, path.port())).await.unwrap();
    let mut greetings = [0; 3];
    socket.read_exact(&mut greetings).await.unwrap();
    path.withhold_questions();
    socket.write_all(b"?").await.unwrap();
    for _ in 0..100 {
        assert_eq!(socket.read_u8().await.unwrap(), b'.', "no answer, while greetings go on");
    }
    path.heal();
    let answered = async { while socket.read_u8().await.unwrap() != b'!' {} };
    tokio::time::timeout(PATIENCE, answered).await.expect("what was said has arrived");
}

#[tokio::test]
async fn a_reset_is_seen_as_one_by_both_sides_and_new_connections_work() {
    let tasks = TaskTracker::new();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let path = Forwarder::start(listener.local_addr().unwrap().port()).await;
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, path.port())).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    client.write_all(b"?").await.unwrap();
    assert_eq!(server.read_u8().await.unwrap(), b'?');
    path.reset();
    for side in [&mut client, &mut server] {
        let seen = tokio::time::timeout(PATIENCE, side.read_u8()).await.expect("at once").unwrap_err();
        assert_eq!(seen.kind(), std::io::ErrorKind::ConnectionReset);
    }
    path.replace_target(echo_server(b"a", &tasks).await);
    let mut new = TcpStream::connect((Ipv4Addr::LOCALHOST, path.port())).await.unwrap();
    assert_eq!(ask(&mut new).await, Some(b'a'));
}

#[tokio::test]
async fn a_path_trickles_until_it_is_healed() {
    let tasks = TaskTracker::new();
    let path = Forwarder::start(echo_server(&[b'a'; 1_000], &tasks).await).await;
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, path.port())).await.unwrap();
    path.trickle();
    socket.write_all(b"?").await.unwrap();
    let mut piece = [0; 1_000];
    for _ in 0..3 {
        let read = socket.read(&mut piece).await.unwrap();
        assert!((1..1_000).contains(&read), "{read} bytes at once");
    }
    path.heal();
    socket.write_all(b"?").await.unwrap();
    socket.read_exact(&mut piece).await.unwrap();
}
#[tokio::test]
async fn a_slow_path_delays_each_piece_and_keeps_them_in_order() {
    let tasks = TaskTracker::new();
    let path = Forwarder::start(echo_server(b"a", &tasks).await).await;
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, path.port())).await.unwrap();
    let latency = Duration::from_millis(40);
    path.delay(latency, latency, 7);
    let asked = Instant::now();
    socket.write_all(b"?").await.unwrap();
    assert_eq!(socket.read_u8().await.unwrap(), b'a');
    assert!(asked.elapsed() >= 2 * latency, "there and back");
    socket.write_all(&[b'?'; 400]).await.unwrap();
    let mut all = [0; 400];
    socket.read_exact(&mut all).await.unwrap();
    assert_eq!(all, [b'a'; 400]);
    path.heal();
    assert_eq!(ask(&mut socket).await, Some(b'a'));
}

#[test]
fn the_same_seed_has_the_same_delays() {
    let delays = |seed| -> Vec<Duration> {
        let (latency, jitter) = (Duration::from_millis(10), Duration::from_millis(5));
        let slowness = Slowness { latency, jitter, rng: fastrand::Rng::with_seed(seed) };
        let mut burdens = Burdens { slowness: Some(slowness), until_cut: None };
        (0..100).map(|_| burdens.delay()).collect()
    };
    assert_eq!(delays(1), delays(1));
    assert_ne!(delays(1), delays(2));
    assert!(delays(1).iter().all(|delay| (10..15).contains(&delay.as_millis())));
    assert_eq!(Burdens::default().delay(), Duration::ZERO);
}

#[tokio::test]
async fn a_connection_is_cut_in_the_middle_of_an_answer() {
    let tasks = TaskTracker::new();
    let path = Forwarder::start(echo_server(&[b'a'; 1_000], &tasks).await).await;
    path.cut_after(2_500);
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, path.port())).await.unwrap();
    socket.write_all(b"????").await.unwrap();
    let mut got = Vec::new();
    // How it ends is not told apart: what was sent and not read may make it a reset.
    let _ = socket.read_to_end(&mut got).await;
    assert_eq!(got.len(), 2_500);
    let mut another = TcpStream::connect((Ipv4Addr::LOCALHOST, path.port())).await.unwrap();
    assert_eq!(ask(&mut another).await, Some(b'a'), "once");
}
