//! A real `nginx` in front of several servers, set up as for a cluster of nodes: who can't be reached or says 503 is
//! passed over.
//!
//! It does not count failures (`max_fails=0`). After some it would send one connection each `fail_timeout` until one
//! has ended well, and a WebSocket does not end: a node that is back would stay all but empty.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::eventually;

/// How long it may take until it listens.
const STARTS_WITHIN: Duration = Duration::from_secs(10);

/// An `nginx` that belongs to whoever holds this; it is killed when this is dropped.
#[derive(Debug)]
pub struct Nginx {
    port: u16,
    dir: TempDir,
    child: Child,
}

impl Nginx {
    /// Spreads over these ports on 127.0.0.1, and waits until it listens.
    ///
    /// # Panics
    /// When there is no `nginx` on the path, or it does not start.
    pub async fn start(targets: &[u16]) -> Self {
        for _ in 0..5 {
            let mut nginx = Self::spawn(targets);
            if nginx.listens().await {
                return nginx;
            }
        }
        panic!("no port stayed free long enough for nginx");
    }

    /// The port on 127.0.0.1 to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    fn spawn(targets: &[u16]) -> Self {
        let probe = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = probe.local_addr().expect("a bound socket has an address").port();
        drop(probe);
        let dir = TempDir::new().expect("a temporary folder");
        let config = dir.path().join("nginx.conf");
        std::fs::write(&config, configuration(port, targets, dir.path())).expect("room for a file");
        let child = Command::new("nginx")
            .arg("-p")
            .arg(dir.path())
            .arg("-c")
            .arg(&config)
            .arg("-e")
            .arg(dir.path().join("error.log"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("nginx is on the path");
        Self { port, dir, child }
    }

    /// Whether it does; it writes its id down when it does, and ends when somebody took the port.
    async fn listens(&mut self) -> bool {
        let (id, pid) = (self.child.id().to_string(), self.dir.path().join("nginx.pid"));
        let mut ended = false;
        eventually("nginx listens, or ends because its port was taken", STARTS_WITHIN, || {
            ended = self.child.try_wait().expect("our own child can be asked").is_some();
            let up = std::fs::read_to_string(&pid).is_ok_and(|written| written.trim() == id);
            std::future::ready(up || ended)
        })
        .await;
        !ended
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It has ended already if it can't be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One process, so that none is left when it is killed.
fn configuration(port: u16, targets: &[u16], dir: &Path) -> String {
    let server = |port: &u16| format!("        server 127.0.0.1:{port} max_fails=0;\n");
    let servers: String = targets.iter().map(server).collect();
    format!(
        r#"daemon off;
master_process off;
pid "{dir}/nginx.pid";
events {{
    worker_connections 16384;
}}
http {{
    access_log off;
    client_body_temp_path "{dir}/body";
    proxy_temp_path "{dir}/proxy";
    fastcgi_temp_path "{dir}/fastcgi";
    uwsgi_temp_path "{dir}/uwsgi";
    scgi_temp_path "{dir}/scgi";
    map $http_upgrade $connection_upgrade {{
        default upgrade;
        '' close;
    }}
    upstream nodes {{
{servers}    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://nodes;
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_connect_timeout 1s;
            proxy_read_timeout 90s;
            proxy_send_timeout 90s;
            proxy_next_upstream error timeout http_503;
        }}
    }}
}}
"#,
        dir = dir.display()
    )
}

#[cfg(test)]
mod tests {
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::peer::{Peer, answers};

    #[tokio::test]
    async fn who_is_not_ready_or_gone_is_passed_over() {
        let tasks = TaskTracker::new();
        let (a, b) = (Peer::start('a', &tasks).await, Peer::start('b', &tasks).await);
        let nginx = Nginx::start(&[a.port, b.port]).await;
        assert_eq!(answers(nginx.port()).await, "abab");
        a.says(503);
        assert_eq!(answers(nginx.port()).await, "bbbb");
        a.says(200);
        b.stop().await;
        assert_eq!(answers(nginx.port()).await, "aaaa");
    }
}
