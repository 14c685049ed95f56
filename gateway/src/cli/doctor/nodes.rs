//! The nodes that are in the list: their versions, and whether they answer and what their clocks say.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use futures_util::future::join_all;
use hyper::header::DATE;
use signalbox_registry::NodeCard;

use super::super::http::Http;
use super::super::road::CaArgs;
use super::finding::Finding;
use crate::config::Config;
use crate::outbound::{Server, Trusted};

/// How long a node may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// A node tells its clock in whole seconds, and its answer takes a moment.
const CLOCK_EXPECTED: Duration = Duration::from_secs(3);

/// How nodes are asked: as the one that is configured here.
#[derive(Debug, Clone)]
pub(super) struct NodeRoad(Option<Trusted>);

impl NodeRoad {
    /// With TLS nodes may show the certificate of this configuration, or one that the authorities vouch for: a cluster
    /// often has one certificate, with the service's name and no node's address.
    pub(super) fn of(config: &Config, ca: &CaArgs) -> anyhow::Result<Self> {
        let Some(files) = config.tls_files() else { return Ok(Self(None)) };
        let own = &files.certificate;
        ca.check()?;
        // Whichever can be read; what is wrong with its own certificate is a finding by itself.
        let trusted = ca.trusted_beside(own).or_else(|_| Ok(Trusted::certificate(own)?));
        Ok(Self(Some(trusted.or_else(|_: anyhow::Error| ca.trusted())?)))
    }

    fn server(&self, address: &str) -> anyhow::Result<Server> {
        let scheme = if self.0.is_some() { "https" } else { "http" };
        let address = format!("{scheme}://{address}").parse().context("its address can't be asked")?;
        Server::try_new(address, || self.0.clone().context("https needs somebody to believe"))
    }
}

pub(super) async fn findings(cards: &[NodeCard], road: &NodeRoad) -> Vec<Finding> {
    let mut findings = vec![versions(cards)];
    let asked =
        join_all(cards.iter().map(|card| async move { (card, ask(&card.address, road).await) })).await;
    findings.extend(asked.into_iter().map(|(card, answer)| of_node(card, answer)));
    findings
}

fn versions(cards: &[NodeCard]) -> Finding {
    let versions: BTreeSet<&str> = cards.iter().map(|card| card.version.as_str()).collect();
    let listed = versions.into_iter().collect::<Vec<_>>();
    match listed.as_slice() {
        [] => Finding::ok("nodes", "none is in the list"),
        [version] => Finding::ok("nodes", format_args!("{}, version {version}", cards.len())),
        several => {
            let found = format!("{}, of several versions: {}", cards.len(), several.join(", "));
            Finding::warning("nodes", found, "go through with the update; see docs/operations.md on upgrades")
        }
    }
}

/// How far the node's clock is from this machine's.
async fn ask(address: &str, road: &NodeRoad) -> anyhow::Result<Duration> {
    let answer = Http::new(vec![road.server(address)?], None, ANSWER_WITHIN).get("/livez", &[]).await?;
    answer.success()?;
    let date = answer.headers.get(DATE).and_then(|date| date.to_str().ok()).context("it tells no time")?;
    let there = httpdate::parse_http_date(date).context("it tells no time")?;
    let now = SystemTime::now();
    Ok(now.duration_since(there).or_else(|_| there.duration_since(now)).unwrap_or_default())
}

fn of_node(card: &NodeCard, answer: anyhow::Result<Duration>) -> Finding {
    let (id, address) = (&card.node_id, &card.address);
    match answer {
        Ok(apart) if apart <= CLOCK_EXPECTED => {
            Finding::ok("node", format_args!("{id} answers at {address}"))
        }
        Ok(apart) => {
            let found =
                format!("the clock of {id} at {address} is {} s from this machine's", apart.as_secs());
            Finding::warning(
                "node",
                found,
                "let all machines follow the same time servers: tokens end by them",
            )
        }
        Err(error) => {
            let found = format!("{id} is alive, but does not answer at {address}: {error:#}");
            let advice = "nodes don't need to reach each other; operators do: set node.advertise, or ask from inside the network";
            Finding::warning("node", found, advice)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;
    use signalbox_protocol::NodeId;

    fn card(version: &str) -> NodeCard {
        NodeCard {
            node_id: NodeId::try_new("n1").unwrap(),
            generation: 1,
            address: "127.0.0.1:1".to_owned(),
            version: version.to_owned(),
            started_at_ms: 0,
            stats: String::new(),
        }
    }

    #[test]
    fn an_update_that_was_not_gone_through_with_is_noticed() {
        assert_eq!(versions(&[]).verdict, Verdict::Ok);
        assert_eq!(versions(&[card("1.0.0"), card("1.0.0")]).verdict, Verdict::Ok);
        let found = versions(&[card("1.0.0"), card("1.1.0"), card("1.0.0")]);
        assert_eq!(found.verdict, Verdict::Warning);
        assert_eq!(found.found, "3, of several versions: 1.0.0, 1.1.0");
    }

    #[test]
    fn a_clock_that_goes_wrong_is_noticed() {
        for (seconds, verdict) in [(0, Verdict::Ok), (3, Verdict::Ok), (60, Verdict::Warning)] {
            assert_eq!(of_node(&card("1"), Ok(Duration::from_secs(seconds))).verdict, verdict, "{seconds}");
        }
    }

    #[tokio::test]
    async fn a_node_that_does_not_answer_is_named() {
        let found = findings(&[card("1")], &NodeRoad(None)).await;
        assert_eq!(found[1].verdict, Verdict::Warning);
        assert!(found[1].found.contains("n1") && found[1].found.contains("127.0.0.1:1"), "{found:?}");
    }
}
