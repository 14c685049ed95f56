//! What a publisher is told when its message could not be stored in every topic.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use signalbox_protocol::Agent;
use signalbox_protocol::error::{ErrorCode, Fault};
use signalbox_registry::memory::MemoryCluster;
use signalbox_registry::{Cluster, ThisNode};

use super::Record;
use crate::testing::failing::{Failing, Failure};
use crate::testing::{default_settings, node_over, tenant, topic};

/// What storing one message in two topics is answered by a node whose log fails like this; and then, by one whose log
/// works, what the retry gets.
async fn store_twice(failing: &[(&str, Failure)]) -> (Fault, Vec<u64>) {
    let shared = MemoryCluster::new();
    let well = join(&shared, "n2");
    let cluster = join(&shared, "n1");
    let node = node_over(Failing::some_of(cluster, failing), default_settings()).await;
    let other = node_over(well, default_settings()).await;
    let record = Record {
        tenant: tenant("default"),
        to: ["order:1", "order:2"].into_iter().map(topic).collect(),
        source: Agent::of("user", "U").unwrap(),
        id: "m1".to_owned(),
        body: Bytes::from_static(br#"{"id":"m1","type":"order:new"}"#),
    };
    let fault = node.router.store(&record).await.unwrap_err();
    let positions = other.router.store(&record).await.unwrap();
    (fault, positions.values().map(|position| position.offset).collect())
}

fn join(shared: &Arc<MemoryCluster>, name: &str) -> Cluster {
    shared.join(ThisNode::new(signalbox_protocol::NodeId::try_new(name).unwrap()))
}

#[tokio::test(start_paused = true)]
async fn of_several_topics_those_are_named_that_have_the_message_and_those_that_may_not() {
    for (failure, told) in [(Failure::Away, "unavailable"), (Failure::AnswerLost, "outcome_unknown")] {
        let (fault, retried) = store_twice(&[("order:2", failure)]).await;
        assert_eq!(fault.code, ErrorCode::OutcomeUnknown, "{failure:?}");
        let details = fault.details.unwrap();
        assert_eq!(details["failed"], json!({"order:2": told}));
        assert_eq!(details["stored"]["order:1"]["offset"], 1, "{details}");
        assert_eq!(details["stored"].as_object().unwrap().len(), 1, "{details}");
        assert_eq!(retried, [1, 1], "each has it once");
    }
}

#[tokio::test(start_paused = true)]
async fn if_no_topic_has_the_message_that_is_told_and_only_if_it_is_certain() {
    let (fault, _) = store_twice(&[("order:1", Failure::Away), ("order:2", Failure::Away)]).await;
    assert_eq!(fault.code, ErrorCode::Unavailable);
    let both = json!({"order:1": "unavailable", "order:2": "unavailable"});
    assert_eq!(fault.details, Some(json!({"stored": {}, "failed": both})));
    let (fault, retried) = store_twice(&[("order:1", Failure::Away), ("order:2", Failure::AnswerLost)]).await;
    assert_eq!(fault.code, ErrorCode::OutcomeUnknown);
    let both = json!({"order:1": "unavailable", "order:2": "outcome_unknown"});
    assert_eq!(fault.details, Some(json!({"stored": {}, "failed": both})));
    assert_eq!(retried, [1, 1]);
}
