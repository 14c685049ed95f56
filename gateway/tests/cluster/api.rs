//! A client of the HTTP API that remembers what was said, and has it compared with the API's own description.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use crate::client::PATIENCE;

/// Python with what `tools/needs` installs.
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/venv/bin/python");
const JUDGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/openapi.py");

/// What a node answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) text: String,
    /// The body, `null` if it is none of JSON.
    pub(crate) body: Value,
}

impl Answer {
    /// The body of an answer that has to have this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.body
    }
}

/// A node's HTTP API.
#[derive(Debug)]
pub(crate) struct Api {
    address: SocketAddr,
    exchanges: Vec<Value>,
}

impl Api {
    pub(crate) fn of(address: SocketAddr) -> Self {
        Self { address, exchanges: Vec::new() }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.call("GET", path, &[], "").await
    }

    pub(crate) async fn delete(&mut self, path: &str) -> Answer {
        self.call("DELETE", path, &[], "").await
    }

    pub(crate) async fn post(&mut self, path: &str, body: Value) -> Answer {
        self.call("POST", path, &[], &body.to_string()).await
    }

    pub(crate) async fn put(&mut self, path: &str, body: Value) -> Answer {
        self.call("PUT", path, &[], &body.to_string()).await
    }

    pub(crate) async fn patch(&mut self, path: &str, body: Value) -> Answer {
        self.call("PATCH", path, &[], &body.to_string()).await
    }

    /// One request on a connection of its own.
    pub(crate) async fn call(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n",
            self.address,
            body.len()
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let exchange = timeout(2 * PATIENCE, exchange(self.address, format!("{head}\r\n{body}")));
        let answer = exchange.await.expect("an answer in time");
        self.exchanges.push(json!({
            "method": method, "path": path, "sent": body,
            "status": answer.status, "headers": answer.headers, "body": answer.text,
        }));
        answer
    }

    /// Everything that was said is as the node's own description has it.
    pub(crate) async fn conforms(mut self) {
        let document = self.get("/api/openapi.json").await.expect(200);
        judge(&json!({"document": document, "exchanges": self.exchanges})).await;
    }
}

/// Has the judge say nothing against the evidence.
pub(crate) async fn judge(evidence: &Value) {
    let mut judge = Command::new(PYTHON)
        .arg(JUDGE)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("tools/needs installs Python for the tests");
    let mut stdin = judge.stdin.take().unwrap();
    let judged = async {
        stdin.write_all(evidence.to_string().as_bytes()).await.unwrap();
        drop(stdin);
        judge.wait_with_output().await.unwrap()
    };
    let verdict = timeout(6 * PATIENCE, judged).await.expect("a verdict in time");
    let [told, broken] = [&verdict.stdout, &verdict.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(verdict.status.success(), "not as described:\n{told}{broken}");
}

async fn exchange(address: SocketAddr, request: String) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, text) = answer.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap().parse().unwrap();
    let headers = lines.filter_map(|line| line.split_once(": "));
    Answer {
        status,
        headers: headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect(),
        text: text.to_owned(),
        body: serde_json::from_str(text).unwrap_or_default(),
    }
}
