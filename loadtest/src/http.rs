//! HTTP/1.0, a connection for each request: a node's readiness, its metrics, and what a run needs beforehand.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const ANSWER_WITHIN: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Status and body of `http://<address><path>`.
pub(crate) async fn get(address: &str, path: &str) -> io::Result<(u16, String)> {
    send(address, "GET", path, "").await
}

/// Sends `body`, which is JSON or nothing, and answers status and body.
pub(crate) async fn send(address: &str, method: &str, path: &str, body: &str) -> io::Result<(u16, String)> {
    let asking = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request(address, method, path, body).as_bytes()).await?;
        let mut answer = String::new();
        stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer).await?;
        parse(&answer).ok_or_else(|| io::ErrorKind::InvalidData.into())
    };
    timeout(ANSWER_WITHIN, asking).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn request(address: &str, method: &str, path: &str, body: &str) -> String {
    let mut request = format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\n");
    if !body.is_empty() {
        request += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    }
    request + "\r\n" + body
}

fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// The sum over all label values of a metric in Prometheus's text format; `None` if it has no sample.
pub(crate) fn metric(text: &str, name: &str) -> Option<f64> {
    let samples = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let value = match rest.strip_prefix('{') {
            Some(labelled) => labelled.rsplit_once('}')?.1,
            None => rest,
        };
        value.starts_with(' ').then_some(value)?.split_whitespace().next()?.parse::<f64>().ok()
    });
    samples.reduce(|sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_tells_the_length_of_its_body() {
        assert_eq!(request("h:1", "GET", "/x", ""), "GET /x HTTP/1.0\r\nHost: h:1\r\n\r\n");
        let put = request("h:1", "PUT", "/x", "{}");
        assert!(put.starts_with("PUT /x HTTP/1.0\r\n") && put.ends_with("\r\nContent-Length: 2\r\n\r\n{}"));
    }

    #[test]
    fn an_answer_has_a_status_and_a_body() {
        let answer = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\na\r\n\r\nb";
        assert_eq!(parse(answer), Some((200, "a\r\n\r\nb".to_owned())));
        assert_eq!(parse("HTTP/1.0 503 Service Unavailable\r\n\r\n"), Some((503, String::new())));
        for broken in ["", "HTTP/1.1 200 OK\r\n", "SSH-2.0\r\n\r\n", "HTTP/1.1 OK\r\n\r\n"] {
            assert_eq!(parse(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn a_metric_is_summed_over_its_labels() {
        let text = "# TYPE a_total counter\na_total 5\na_total_more 9\na_total2 9\nb{x=\"1\"} 1.5\nb{x=\"} 2\"} 2 1700000000\nbad x\n";
        assert_eq!(metric(text, "a_total"), Some(5.0));
        assert_eq!(metric(text, "b"), Some(3.5));
        assert_eq!(metric(text, "c"), None);
        assert_eq!(metric(text, "bad"), None);
    }
}
