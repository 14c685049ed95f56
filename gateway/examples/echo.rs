//! The endpoint of the conformance run: a node whose sockets send back what they get. Its way in, its frame reader,
//! its outbox and its writer are those of every node; only what is made of a whole message differs.
//!
//! Prints two addresses, its own and that of an nginx before it, and runs until its input ends. `tools/conformance`
//! starts it.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use signalbox_gateway::Gateway;
use signalbox_gateway::config::Config;
use signalbox_gateway::hub::Connection;
use signalbox_gateway::node::Node;
use signalbox_gateway::ws::answer;
use signalbox_gateway::ws::dispatch::Step;
use signalbox_gateway::ws::manner::Manner;
use signalbox_protocol::NodeId;
use signalbox_registry::ThisNode;
use signalbox_registry::memory::MemoryCluster;
use signalbox_testkit::{Nginx, eventually};
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The largest message of the test suite is 16 MiB; several may wait.
const BYTES_MAX: usize = 64 << 20;
const READY_WITHIN: Duration = Duration::from_secs(10);

const ECHO: Manner = Manner { welcomes: false, text: echo_text, binary: echo_binary };

fn echo_text(node: &Arc<Node>, connection: &Arc<Connection>, text: &str) -> Step {
    echo(node, connection, Data::Text, text.as_bytes())
}

fn echo_binary(node: &Arc<Node>, connection: &Arc<Connection>, bytes: &[u8]) -> Step {
    echo(node, connection, Data::Binary, bytes)
}

fn echo(node: &Node, connection: &Connection, kind: Data, payload: &[u8]) -> Step {
    let header = FrameHeader { opcode: OpCode::Data(kind), ..FrameHeader::default() };
    let mut frame = Vec::new();
    header.format(payload.len() as u64, &mut frame).expect("a Vec takes what it is given");
    frame.extend_from_slice(payload);
    answer::push(connection, &node.metrics, Bytes::from(frame));
    Step::Done
}

fn config() -> Config {
    let mut config = Config { listen: "127.0.0.1:0".parse().expect("an address"), ..Config::default() };
    config.message.bytes_max = BYTES_MAX;
    config.outbox.bytes_max = BYTES_MAX;
    config.stop.balancer_wait = Duration::ZERO;
    config
}

#[tokio::main]
async fn main() -> Result<()> {
    let config = config();
    let cluster = MemoryCluster::new().join(ThisNode::new(NodeId::try_new("echo")?));
    let background = (TaskTracker::new(), CancellationToken::new());
    let gateway = Gateway::build_speaking(&config, cluster, background, ECHO)?;
    let (address, node) = (gateway.address(), Arc::clone(gateway.node()));
    let stop = CancellationToken::new();
    let running = gateway.run(stop.clone().cancelled_owned());
    let guiding = async {
        eventually("the node is ready", READY_WITHIN, || async { node.is_ready() }).await;
        let nginx = Nginx::start(&[address.port()]).await;
        let mut out = std::io::stdout();
        writeln!(out, "ws://{address}/ws ws://127.0.0.1:{}/ws", nginx.port())?;
        let ended =
            tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
        ended.await??;
        stop.cancel();
        anyhow::Ok(())
    };
    let (ran, guided) = tokio::join!(running, guiding);
    ran?;
    guided
}
