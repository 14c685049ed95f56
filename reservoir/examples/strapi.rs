//! A server that behaves like Strapi 5, to try a node against: it knows `/api/active-passengers` and forgets
//! all at its end.
//!
//! ```text
//! cargo run -p signalbox-reservoir --example strapi -- [PORT [MILLISECONDS]]
//! ```
//!
//! It listens on 127.0.0.1, on port 1337 unless told otherwise, and takes so long for each answer.

#![expect(clippy::print_stdout, reason = "it tells whoever started it where it listens")]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use signalbox_testkit::Strapi;

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse().expect("a port and milliseconds"));
    let port = args.next().unwrap_or(1337);
    let delay = Duration::from_millis(args.next().unwrap_or(0).into());
    let strapi = Strapi::serve(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), None).await;
    strapi.faults().set_delay(delay);
    println!("{} answers after {delay:?}; Ctrl-C ends it", strapi.url());
    // A signal that can't be waited for ends the process by itself.
    let _ = tokio::signal::ctrl_c().await;
}
