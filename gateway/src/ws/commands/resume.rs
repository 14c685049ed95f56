//! `system:resume`: joins topics and goes on from where the client was, as far as their logs reach back.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use signalbox_protocol::control::{Position, ResumeRequest, TopicResumed, parse_data};
use signalbox_protocol::envelope::Incoming;
use signalbox_protocol::error::Fault;
use signalbox_protocol::{Tenant, Topic};
use signalbox_registry::Error;
use signalbox_registry::log::{Limits, Log, Read};

use super::subscribe::{Fresh, follow, fresh_topics, part};
use crate::node::Node;
use crate::router::fault;
use crate::ws::answer;
use crate::ws::asker::Asker;
use crate::ws::dispatch::{Outcome, Step};

/// So many logs of one client are looked into at once.
const READS_MAX: usize = 8;
/// Only whether it goes on is asked; what follows is read when there is room for it.
const FIRST: Limits = Limits { entries_max: 1, bytes_max: 1 };

pub(super) fn resume(node: &Arc<Node>, asker: Asker<'_>, incoming: &Incoming<'_>) -> Result<Step, Fault> {
    let ResumeRequest { positions } = parse_data(incoming.data)?;
    let Fresh { connection, topics: fresh, .. } =
        fresh_topics(node, asker, positions.keys().cloned().collect())?;
    let correlation = incoming.answer_to().map(str::to_owned);
    let (node, connection) = (Arc::clone(node), Arc::clone(connection));
    Ok(Step::Wait(Box::pin(async move {
        if let Err(fault) = follow(&node, &connection, &fresh).await {
            return Outcome::Failed(fault, correlation);
        }
        let asked: Vec<_> = positions.into_iter().collect();
        match look(&node, &connection.profile().tenant, &asked).await {
            Ok(told) => {
                told.values().for_each(|told| node.metrics.log.count_resume(told));
                Outcome::Resumed { told, correlation }
            }
            Err(error) => {
                part(&node, &connection, &fresh).await;
                let topic = asked.first().map_or(connection.profile().agent.topic(), |(topic, _)| topic);
                Outcome::Failed(fault(&error, topic), correlation)
            }
        }
    })))
}

/// How each topic goes on. One question for all of them; the logs of those are read in which something was said since.
async fn look(
    node: &Arc<Node>,
    tenant: &Tenant,
    asked: &[(Topic, Position)],
) -> Result<BTreeMap<Topic, TopicResumed>, Error> {
    let topics: Vec<_> = asked.iter().map(|(topic, _)| (tenant.clone(), topic.clone())).collect();
    let heads = node.tails.heads(topics).await?;
    let told = asked.iter().zip(heads).map(|((topic, position), head)| async move {
        let told = match *position == head {
            true => recovered(position, &head),
            false => verdict(&**node.tails.log(), tenant, topic, position).await?,
        };
        Ok((topic.clone(), told))
    });
    let told: Vec<_> = told.collect();
    stream::iter(told).buffer_unordered(READS_MAX).try_collect().await
}

async fn verdict(
    log: &dyn Log,
    tenant: &Tenant,
    topic: &Topic,
    position: &Position,
) -> Result<TopicResumed, Error> {
    Ok(match log.read(tenant, topic, position, FIRST).await? {
        Read::Page(page) => recovered(position, &page.head),
        Read::Broken { reason, head } => answer::lost(reason, &head),
    })
}

fn recovered(position: &Position, head: &Position) -> TopicResumed {
    TopicResumed {
        recovered: true,
        reason: None,
        epoch: head.epoch.clone(),
        offset: position.offset,
        replayed: head.offset.saturating_sub(position.offset),
    }
}
