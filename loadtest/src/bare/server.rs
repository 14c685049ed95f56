//! The bare server's process: it accepts, welcomes and hands on.

use std::os::fd::AsFd;
use std::sync::Arc;

use anyhow::Context;
use futures_util::{SinkExt, StreamExt};
use rustix::process::{Signal, set_parent_process_death_signal};
use signalbox_client::protocol::envelope::{Incoming, Stamp, write_event};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, accept_async_with_config};

use super::Manner;
use super::hub::{Hub, Outlet, QUEUED_MAX};
use crate::options::BareServer;

/// As small as pays: tungstenite's own 128 KiB would make the comparison of memory too easy.
const READ_BUFFER_BYTES: usize = 512;

/// What is collected before it is written without a flush. It is allocated when it is needed.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;

/// What a node says first, made once: the client waits for it.
const WELCOME: &str = r#"{"id":"019b7892-1c00-7a30-9d2e-3f4a5b6c7d8e","type":"system:welcome","timestamp":"2026-01-01T08:00:00.000Z","source":"service:signalbox","data":{"connection_id":"k3x9q2-1f","session_id":"S-42","node_id":"k3x9q2","agent":"vehicle:V17","subject":"vehicle:V17","tenant":"load","namespaces":[],"heartbeat_seconds":25,"timeout_seconds":60,"message_bytes_max":1048576,"positions":{}},"target":null,"correlationId":null,"metadata":{}}"#;

/// What is added to each message: as long as a node's.
const STAMP: Stamp<'static> = Stamp {
    id: "019b7892-1c00-7a30-9d2e-3f4a5b6c7d8e",
    timestamp_ms: 1_767_254_400_000,
    source: "vehicle:0192f4c1a2b3",
};

/// Serves until the process is ended, or its run is.
pub(crate) fn serve(options: &BareServer) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL)).context("the run's end can't be noticed")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime can't start")?;
    runtime.block_on(accept(options))
}

async fn accept(options: &BareServer) -> anyhow::Result<()> {
    let listener = TcpListener::bind(&options.listen).await.with_context(|| options.listen.clone())?;
    let hub = Arc::new(Hub::default());
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.context("no connection is accepted any more")?;
        connections.spawn(connection(stream, options.manner, Arc::clone(&hub)));
        // Those that ended, whatever the reason: the client's oracle judges.
        while connections.try_join_next().is_some() {}
    }
}

/// One connection from its handshake to its end.
async fn connection(stream: TcpStream, manner: Manner, hub: Arc<Hub>) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let own = match manner {
        Manner::Write => Some(stream.as_fd().try_clone_to_owned()?),
        Manner::Tungstenite => None,
    };
    // Boxed: the handshake's state is large, and would stay part of the task.
    let mut socket = Box::pin(accept_async_with_config(stream, Some(config()))).await?;
    socket.send(Message::Text(Utf8Bytes::from_static(WELCOME))).await?;
    match own {
        Some(own) => {
            let number = hub.enter(Outlet::Socket(own));
            let ended = listen(&mut socket, number, &hub).await;
            hub.leave(number);
            ended
        }
        None => {
            let (queue, queued) = mpsc::channel(QUEUED_MAX);
            let number = hub.enter(Outlet::Queue(queue));
            let ended = exchange(&mut socket, queued, number, &hub).await;
            hub.leave(number);
            ended
        }
    }
}

/// Hands on what comes, until the connection ends.
async fn listen(socket: &mut WebSocketStream<TcpStream>, number: u64, hub: &Hub) -> Result<(), Error> {
    while let Some(message) = socket.next().await {
        hand_on(&message?, number, hub);
    }
    Ok(())
}

/// The same, and writes what is queued.
async fn exchange(
    socket: &mut WebSocketStream<TcpStream>,
    mut queued: mpsc::Receiver<Message>,
    number: u64,
    hub: &Hub,
) -> Result<(), Error> {
    loop {
        tokio::select! {
            Some(message) = queued.recv() => {
                socket.feed(message).await?;
                while let Ok(message) = queued.try_recv() {
                    socket.feed(message).await?;
                }
                socket.flush().await?;
            }
            message = socket.next() => match message {
                Some(message) => hand_on(&message?, number, hub),
                None => return Ok(()),
            },
        }
    }
}

fn hand_on(message: &Message, number: u64, hub: &Hub) {
    if let Message::Text(text) = message
        && let Some(delivery) = delivery(text)
    {
        hub.broadcast(number, &delivery);
    }
}

/// A message as its receivers get it from a node; `None` if it is no envelope.
fn delivery(text: &str) -> Option<Utf8Bytes> {
    let incoming = Incoming::parse(text).ok()?;
    let mut delivery = Vec::new();
    write_event(&mut delivery, &incoming, &STAMP);
    Utf8Bytes::try_from(delivery).ok()
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES).write_buffer_size(WRITE_BUFFER_BYTES)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use signalbox_client::protocol::{Target, Topic};
    use signalbox_client::{Frame, Wire, WireConfig};
    use tokio::time::timeout;

    use super::*;
    use crate::processes::free_port;
    use crate::tick::{Delivery, TICK, Tick};

    const WITHIN: Duration = Duration::from_secs(10);

    async fn connect(address: &str) -> Wire {
        let connecting = async {
            loop {
                // It may not listen yet.
                if let Ok((wire, _)) = Wire::connect(&WireConfig::new(format!("ws://{address}/ws"))).await {
                    return wire;
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(WITHIN, connecting).await.expect("it welcomes")
    }

    async fn heard(wire: &mut Wire) -> Tick {
        let Frame::Text(text) = timeout(WITHIN, wire.next()).await.expect("in time").expect("it lives")
        else {
            panic!("a text was expected");
        };
        let delivery: Delivery<'_> = serde_json::from_str(&text).unwrap();
        assert_eq!(delivery.message_type, TICK);
        assert!(text.contains(r#""source":"vehicle:"#) && text.contains(r#""target":"route:R""#));
        serde_json::from_str(delivery.data.get()).unwrap()
    }

    #[tokio::test]
    async fn either_manner_hands_on_to_all_others_in_order() {
        for manner in [Manner::Write, Manner::Tungstenite] {
            let options = BareServer { manner, listen: format!("127.0.0.1:{}", free_port().unwrap()) };
            let clients = async {
                let mut wires = Vec::new();
                for _ in 0..3 {
                    wires.push(connect(&options.listen).await);
                }
                let target = Target::from(Topic::try_new("route:R").unwrap());
                for number in 0..50 {
                    let tick = Tick { from: 0, number, due_ns: number };
                    wires[0].queue(tick.message(&target, 200)).unwrap();
                }
                wires[0].flush().await.unwrap();
                for wire in &mut wires[1..] {
                    for number in 0..50 {
                        assert_eq!(heard(wire).await.number, number, "{manner:?}");
                    }
                }
                for wire in wires {
                    timeout(WITHIN, wire.close()).await.expect("it says goodbye");
                }
            };
            tokio::select! {
                served = accept(&options) => panic!("{served:?}"),
                () = clients => {}
            }
        }
    }
}
