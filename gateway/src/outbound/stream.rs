//! TCP, and TLS over it for whoever has to prove himself.

use std::io;

use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_util::either::Either;

use super::Trusted;

/// What carries bytes to a server and back.
pub type Stream = Either<TcpStream, TlsStream<TcpStream>>;

/// Opens a connection, encrypted if somebody is to be `trusted`; what is refused says what to do about it.
///
/// # Errors
/// What the system says, or why the server is not believed.
pub async fn open(host: &str, port: u16, trusted: Option<&Trusted>) -> io::Result<Stream> {
    let tcp = TcpStream::connect((host, port)).await?;
    // A request is written whole; waiting for more to send with it would only delay it.
    tcp.set_nodelay(true)?;
    let Some(trusted) = trusted else { return Ok(Either::Left(tcp)) };
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let stream = trusted.connector().connect(name, tcp).await;
    stream.map(Either::Right).map_err(|error| trusted.explained(error))
}
