//! The configuration of `nginx/`, written to a folder with addresses, ports and paths of a test.

use std::path::Path;

use super::TlsEnd;

const CONFIGURATION: &str = include_str!("../../../nginx/nginx.conf");
const PROXY: &str = include_str!("../../../nginx/proxy.conf");
const NODES: &str = include_str!("../../../nginx/site/nodes.conf");
const LISTEN: &str = include_str!("../../../nginx/site/listen.conf");
const LISTEN_TLS: &str = include_str!("../../../nginx/listen-tls.conf");
const REDIRECT: &str = include_str!("../../../nginx/redirect.conf");
const LOG: &str = include_str!("../../../nginx/site/log.conf");

/// Workers, so that tests know when all are there, and that more cores don't take more memory.
pub(super) const WORKERS: usize = 2;

/// Everything but the nodes.
pub(super) fn write(dir: &Path, port: u16, tls: Option<TlsEnd<'_>>) {
    let own = |name: &str| dir.join(name).display().to_string();
    std::fs::create_dir_all(dir.join("site/http")).expect("room for a folder");
    let address = format!("listen 127.0.0.1:{port}");
    let listen = match tls {
        None => put(LISTEN, "listen 80", &address),
        Some(tls) => {
            write_file(dir, "tls.crt", tls.certificate);
            write_file(dir, "tls.key", tls.key);
            // For whoever comes in clear, at a place that needs no second port.
            let redirect = put(REDIRECT, "listen 80", &format!("listen unix:{}", own("clear.sock")));
            write_file(dir, "site/http/redirect.conf", &redirect);
            let listen = put(LISTEN_TLS, "listen 443", &address);
            let listen = put(&listen, "/etc/signalbox/tls.crt", &own("tls.crt"));
            put(&listen, "/etc/signalbox/tls.key", &own("tls.key"))
        }
    };
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.map(|kind| format!("{kind}_temp_path {};\n", own(kind))).concat();
    let workers = format!("worker_processes {WORKERS};");
    write_file(dir, "nginx.conf", &put(CONFIGURATION, "worker_processes auto;", &workers));
    write_file(dir, "proxy.conf", PROXY);
    write_file(dir, "site/listen.conf", &listen);
    write_file(dir, "site/log.conf", &put(LOG, "/var/log/nginx/signalbox.log", &own("access.log")));
    write_file(dir, "site/http/temporary.conf", &temporary);
}

/// The nodes, each as the first one in `nginx/site/nodes.conf`.
pub(super) fn write_nodes(dir: &Path, targets: &[u16]) {
    let is_node = |line: &&str| line.starts_with("server ");
    let first = NODES.lines().find(is_node).expect("there is a node in nodes.conf");
    let nodes = targets.iter().map(|port| put(first, "127.0.0.1:8081", &format!("127.0.0.1:{port}")) + "\n");
    write_file(dir, "site/nodes.conf", &nodes.collect::<String>());
}

fn write_file(dir: &Path, name: &str, text: &str) {
    std::fs::write(dir.join(name), text).expect("room for a file");
}

/// The text with `new` in place of `old`, which has to be there.
fn put(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "no {old:?} in {text}");
    text.replace(old, new)
}
