//! What commands that ask a node have in common: their flags, and how answers are told.

use std::time::Duration;

use anyhow::{anyhow, ensure};
use bytes::Bytes;
use clap::Args;
use hyper::Method;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::credentials::TokenArgs;
use super::http::Http;
use super::road::CaArgs;
use super::small_runtime;
use crate::config::units::{PERIOD_EXAMPLES, parse_period};
use crate::outbound::{Address, InvalidAddress, Server};

/// How much of an answer that is no problem document is quoted.
const QUOTED_CHARS: usize = 200;

/// Which node to ask, and how.
#[derive(Debug, Clone, Args)]
pub(super) struct ApiArgs {
    /// The node, or the load balancer, to ask: http://host:port or https://host:port
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", value_parser = base)]
    url: Address,
    #[command(flatten)]
    ca: CaArgs,
    /// The tenant to act for, where anonymous identities are allowed; else the token says it
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    #[command(flatten)]
    token: TokenArgs,
    /// Give up after this time
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = period)]
    timeout: Duration,
    /// Print JSON instead of a table
    #[arg(long)]
    pub(super) json: bool,
}

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    pub(super) items: Vec<Map<String, Value>>,
    pub(super) cursor: Option<String>,
    /// Whatever else the answer holds beside the items.
    #[serde(flatten)]
    pub(super) rest: Map<String, Value>,
}

impl ApiArgs {
    /// `GET path?query`.
    pub(super) fn get<T: for<'de> Deserialize<'de>>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> anyhow::Result<T> {
        self.call(Method::GET, path, query, Bytes::new())
    }

    /// Follows the cursor of a list until that or the limit ends.
    pub(super) fn pages(&self, path: &str, filters: &[(&str, &str)], limit: u32) -> anyhow::Result<Page> {
        let limit = limit as usize;
        let mut found = Page { items: Vec::new(), cursor: None, rest: Map::new() };
        loop {
            let left = (limit - found.items.len()).to_string();
            let mut query = vec![("limit", left.as_str())];
            query.extend_from_slice(filters);
            query.extend(found.cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let page: Page = self.get(path, &query)?;
            found.items.extend(page.items);
            found.cursor = page.cursor;
            if found.cursor.is_none() || found.items.len() >= limit {
                return Ok(found);
            }
        }
    }

    /// `POST path` with a JSON body.
    pub(super) fn post<T: for<'de> Deserialize<'de>>(&self, path: &str, body: String) -> anyhow::Result<T> {
        self.call(Method::POST, path, &[], body.into())
    }

    fn call<T: for<'de> Deserialize<'de>>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Bytes,
    ) -> anyhow::Result<T> {
        let answer = small_runtime()?.block_on(self.http()?.call(method, path, query, body))?;
        answer.json()
    }

    /// For commands that ask more than once.
    pub(super) fn http(&self) -> anyhow::Result<Http> {
        let server = Server::try_new(self.url.clone(), || self.ca.trusted())?;
        Ok(Http::new(vec![server], self.tenant.as_deref(), self.timeout).showing(self.token.read()?))
    }
}

/// What a node said instead of doing it: the `detail` of a problem document.
pub(super) fn refusal(status: u16, body: &[u8]) -> anyhow::Error {
    #[derive(Deserialize)]
    struct Problem {
        detail: String,
        code: Option<String>,
    }
    match serde_json::from_slice::<Problem>(body) {
        Ok(Problem { detail, code: Some(code) }) => anyhow!("{detail} ({code})"),
        Ok(Problem { detail, code: None }) => anyhow!("{detail}"),
        Err(_) => {
            let text: String = String::from_utf8_lossy(body).chars().take(QUOTED_CHARS).collect();
            anyhow!("the node answered {status}: {}", text.escape_debug())
        }
    }
}

/// Percent-encodes all but the characters that never need it.
pub(super) fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// The address of a node on the command line.
pub(super) fn base(text: &str) -> anyhow::Result<Address> {
    let address: Address = text.parse()?;
    ensure!(address.is_bare(), "{InvalidAddress}, and without a path");
    Ok(address)
}

/// A time on the command line.
pub(super) fn period(text: &str) -> Result<Duration, String> {
    parse_period(text).ok_or_else(|| format!("it has to be {PERIOD_EXAMPLES}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_encoded() {
        assert_eq!(encoded("vehicle:V+1 ü&~"), "vehicle%3AV%2B1%20%C3%BC%26~");
    }

    #[test]
    fn only_origins_are_nodes() {
        for good in
            ["http://127.0.0.1:8080", "http://node/", "http://[::1]:8080", "https://node", "https://n:1/"]
        {
            assert!(base(good).is_ok(), "{good}");
        }
        for bad in ["127.0.0.1:8080", "wss://node", "https://node/api", "http://node?x", "ws://node", "", "/"]
        {
            assert!(base(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_problem_is_told_by_its_detail() {
        let told = |body: &str| refusal(409, body.as_bytes()).to_string();
        assert_eq!(told(r#"{"detail":"no such topic","code":"not_found"}"#), "no such topic (not_found)");
        assert_eq!(told(r#"{"detail":"no"}"#), "no");
        assert_eq!(told("<html>\u{1b}"), "the node answered 409: <html>\\u{1b}");
    }
}
