//! A push goes to Strapi first, and is there as a whole or not at all.

use std::time::Duration;

use serde_json::json;
use signalbox_protocol::error::ErrorCode;
use signalbox_reservoir::{CacheSettings, Error, StoreError};
use signalbox_testkit::eventually;

use crate::on_both;
use crate::world::{SOON, World, id};

fn many(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("P{number:03}")).collect()
}

async fn a_list_is_created_and_announced_as_a_batch(world: World) {
    let node = world.node().await;
    node.follow("route:12").await;
    let ids = many(60);
    node.push(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await.unwrap();
    assert_eq!((world.strapi.records().len(), node.near().await), (60, ids));
    assert_eq!(node.heard.types("route:12", 1).await, ["commuter:spawned_batch"]);
    assert_eq!(node.strapi.waiting().await.unwrap(), 0);
    assert_eq!(
        node.reservoir
            .available(&crate::world::tenant("acme"), &crate::world::pool("route:12"))
            .await
            .unwrap(),
        60
    );
}

async fn one_that_is_refused_refuses_the_list(world: World) {
    let node = world.node().await;
    node.follow("route:12").await;
    world.strapi.faults().refuse("P030");
    let ids = many(60);
    let refused = node.push(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let Err(Error::InvalidElement { index: 30, fault }) = refused else { panic!("{refused:?}") };
    assert_eq!(
        (fault.code, fault.details.unwrap()["field"].clone()),
        (ErrorCode::InvalidData, json!("passenger_id"))
    );
    assert!(world.strapi.records().is_empty() && node.near().await.is_empty());
    assert_eq!(node.strapi.waiting().await.unwrap(), 0);
    // Nothing of it was announced: the next message is the next push.
    node.push(&["Q"]).await.unwrap();
    assert_eq!(node.heard.types("route:12", 1).await, ["commuter:spawned"]);
    let single = node.push(&["P030"]).await;
    let Err(Error::Store(answered)) = single else { panic!("{single:?}") };
    assert_eq!(answered.code(), ErrorCode::InvalidData);
}

async fn who_is_there_already_refuses_the_list(world: World) {
    let node = world.node().await;
    node.push(&["P001"]).await.unwrap();
    let record =
        json!({"passenger_id": "P002", "route_id": "12", "latitude": 1, "longitude": 1, "status": "WAITING"});
    world.strapi.insert(&record);
    for (list, there) in [(["P000", "P001"], "P001"), (["P000", "P002"], "P002")] {
        let refused = node.push(&list).await;
        assert!(matches!(&refused, Err(Error::Exists(who)) if *who == id(there)), "{refused:?}");
        assert!(world.strapi.records_of("P000").is_empty());
        assert_eq!(world.strapi.records_of(there).len(), 1, "whoever was there stays");
    }
    assert_eq!(node.strapi.waiting().await.unwrap(), 0);
}

async fn a_lost_answer_leads_to_one_record(world: World) {
    let node = world.node().await;
    world.strapi.faults().lose_answers(1);
    node.push(&["P1"]).await.unwrap();
    assert_eq!((world.strapi.records_of("P1").len(), node.near().await), (1, vec!["P1".to_owned()]));
}

async fn what_can_t_be_removed_at_once_is_removed_later_and_seen_by_nobody(world: World) {
    let mut settings = world.settings();
    settings.parallel = 1;
    let node = world.node_with(settings, CacheSettings::default()).await;
    node.vehicle("V1", 1).await;
    world.strapi.faults().refuse("P003");
    world.strapi.faults().set_delay(Duration::from_millis(20));
    let pushing = node.push(&["P000", "P001", "P002", "P003", "P004"]);
    let breaking = async {
        eventually("P002 is there", SOON, || async { !world.strapi.records_of("P002").is_empty() }).await;
        world.strapi.faults().fail_next(usize::MAX, 503);
    };
    let (pushed, ()) = tokio::join!(pushing, breaking);
    let Err(Error::Store(error)) = pushed else { panic!("{pushed:?}") };
    assert!(matches!(error, StoreError::Undoing(_)), "{error:?}");
    assert_eq!(error.code(), ErrorCode::Unavailable);
    assert!(world.strapi.records().len() >= 3);
    assert!(
        matches!(node.push(&["P000"]).await, Err(Error::Store(StoreError::Busy(who))) if who == id("P000"))
    );
    world.strapi.faults().set_delay(Duration::ZERO);
    world.strapi.faults().fail_next(0, 0);
    assert!(
        matches!(node.board("P000", "V1").await, Err(Error::NotFound(_))),
        "not while it is being removed"
    );
    eventually("nothing is left", SOON, || async { world.strapi.records().is_empty() }).await;
    node.outbox_empty().await;
    assert!(node.near().await.is_empty());
    node.push(&["P000"]).await.unwrap();
}

async fn what_a_dead_node_left_is_removed(world: World) {
    let mut settings = world.settings();
    settings.push_timeout = Duration::from_millis(300);
    settings.request_timeout = Duration::from_millis(250);
    let node = world.node_with(settings.clone(), CacheSettings::default()).await;
    let ids = many(20);
    let mut dying = settings.clone();
    dying.parallel = 1;
    let dies = world.node_with(dying, CacheSettings::default()).await;
    world.strapi.faults().set_delay(Duration::from_millis(5));
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    tokio::select! {
        pushed = dies.push(&ids) => panic!("{pushed:?}"),
        _ = eventually("some are there", SOON, || async { world.strapi.records().len() > 3 }) => {}
    }
    drop(dies);
    assert!(node.near().await.is_empty(), "nobody sees half a list");
    eventually("nothing is left", SOON, || async { world.strapi.records().is_empty() }).await;
    node.outbox_empty().await;
}

async fn a_strapi_that_is_away_takes_nobody(world: World) {
    let node = world.node().await;
    world.strapi.faults().set_down(true);
    let pushed = node.push(&["P1"]).await;
    let Err(Error::Store(error)) = pushed else { panic!("{pushed:?}") };
    assert_eq!(error.code(), ErrorCode::Unavailable);
    world.strapi.faults().set_down(false);
    eventually("it can be pushed", SOON, || async { node.push(&["P1"]).await.is_ok() }).await;
    assert_eq!(world.strapi.records_of("P1").len(), 1);
}

on_both![
    a_list_is_created_and_announced_as_a_batch,
    one_that_is_refused_refuses_the_list,
    who_is_there_already_refuses_the_list,
    a_lost_answer_leads_to_one_record,
    what_can_t_be_removed_at_once_is_removed_later_and_seen_by_nobody,
    what_a_dead_node_left_is_removed,
    a_strapi_that_is_away_takes_nobody,
];
