//! HTTP/1.1 on one connection that is kept: GET after GET.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use tokio::time::timeout;

const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
const HEADERS_MAX: usize = 64;

/// A connection to a node.
#[derive(Debug)]
pub(super) struct Kept {
    address: String,
    stream: BufStream<TcpStream>,
}

/// An answer, as far as it matters here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The header `x-cache`.
    pub(super) cache: String,
    pub(super) body: String,
}

impl Kept {
    pub(super) async fn connect(address: &str) -> io::Result<Self> {
        let stream = timeout(ANSWER_WITHIN, TcpStream::connect(address)).await??;
        stream.set_nodelay(true)?;
        Ok(Self { address: address.to_owned(), stream: BufStream::new(stream) })
    }

    pub(super) async fn get(&mut self, path: &str) -> io::Result<Answer> {
        timeout(ANSWER_WITHIN, self.exchange(path)).await?
    }

    async fn exchange(&mut self, path: &str) -> io::Result<Answer> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        self.stream.write_all(request.as_bytes()).await?;
        self.stream.flush().await?;
        let mut line = String::new();
        self.stream.read_line(&mut line).await?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let mut answer = Answer { status: status.ok_or(io::ErrorKind::InvalidData)?, ..Answer::default() };
        let mut length = 0;
        for _ in 0..HEADERS_MAX {
            line.clear();
            self.stream.read_line(&mut line).await?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().map_err(io::Error::other)?,
                "x-cache" => value.trim().clone_into(&mut answer.cache),
                _ => {}
            }
        }
        if length > BODY_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await?;
        answer.body = String::from_utf8(body).map_err(io::Error::other)?;
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn one_connection_carries_answer_after_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            for body in ["{}", "{\"items\":[]}"] {
                let mut request = vec![0; 512];
                let read = stream.read(&mut request).await.unwrap();
                assert!(request[..read].starts_with(b"GET /x HTTP/1.1\r\n"));
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nX-Cache: hit\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        };
        let ask = async {
            let mut kept = Kept::connect(&address).await.unwrap();
            for body in ["{}", "{\"items\":[]}"] {
                let answer = kept.get("/x").await.unwrap();
                assert_eq!(answer, Answer { status: 200, cache: "hit".to_owned(), body: body.to_owned() });
            }
        };
        tokio::join!(serve, ask);
    }
}
