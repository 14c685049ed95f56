//! What Strapi's errors become.

use std::time::Duration;

use signalbox_protocol::error::ErrorCode;
use signalbox_reservoir::{CacheSettings, Error, StoreError, StrapiSettings};
use signalbox_testkit::Strapi as Server;

use crate::world::{World, id, tenant};

async fn asked(node: &crate::world::Node) -> StoreError {
    match node.reservoir.passenger(&tenant("acme"), &id("P1")).await {
        Err(Error::Store(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_status_has_a_meaning() {
    let world = World::memory().await;
    let node = world.node().await;
    for (status, code) in [
        (400, ErrorCode::InvalidData),
        (401, ErrorCode::Internal),
        (403, ErrorCode::Internal),
        (404, ErrorCode::Internal),
        (413, ErrorCode::InvalidData),
        (429, ErrorCode::Unavailable),
        (500, ErrorCode::Unavailable),
        (503, ErrorCode::Unavailable),
    ] {
        world.strapi.faults().fail_next(1, status);
        let error = asked(&node).await;
        assert_eq!(error.code(), code, "{status}");
        let StoreError::Answered { status: told, name, message, .. } = error else { panic!("{error:?}") };
        assert_eq!((told, message.as_str()), (status, "as the test wanted it"));
        assert!(name.ends_with("Error"), "{name}");
    }
}

#[tokio::test]
async fn a_token_is_shown_and_a_wrong_one_is_told_of() {
    let mut world = World::memory().await;
    world.strapi = Server::start_with_token("s3cret").await;
    let with = |token: &str| StrapiSettings { token: Some(token.to_owned()), ..world.settings() };
    let wrong = world.node_with(with("other"), CacheSettings::default()).await;
    let error = asked(&wrong).await;
    assert!(matches!(&error, StoreError::Answered { status: 401, name, .. } if name == "UnauthorizedError"));
    assert!(!format!("{error:?} {:?}", with("s3cret")).contains("s3cret"));
    let right = world.node_with(with("s3cret"), CacheSettings::default()).await;
    right.push(&["P1"]).await.unwrap();
    assert_eq!(right.near().await, ["P1"]);
}

#[tokio::test]
async fn an_answer_comes_in_time_and_in_bounds_or_not_at_all() {
    let world = World::memory().await;
    let mut settings = world.settings();
    settings.answer_bytes_max = 2_000;
    settings.request_timeout = Duration::from_millis(300);
    let node = world.node_with(settings, CacheSettings::default()).await;
    node.push(&["P1", "P2", "P3", "P4", "P5", "P6"]).await.unwrap();
    let query = node.reservoir.query(&tenant("acme"), &crate::world::query()).await;
    assert!(matches!(query, Err(Error::Store(StoreError::Lost(_)))), "{query:?}");
    world.strapi.faults().set_delay(Duration::from_secs(60));
    let query = node.reservoir.query(&tenant("acme"), &crate::world::query()).await;
    assert!(matches!(query, Err(Error::Store(StoreError::Lost(_)))), "{query:?}");
}

#[tokio::test]
async fn a_strapi_that_is_not_there_is_unreachable() {
    let world = World::memory().await;
    let node = world.node().await;
    drop(world);
    let error = asked(&node).await;
    assert!(matches!(error, StoreError::Unreachable(_) | StoreError::Lost(_)), "{error:?}");
    assert_eq!(error.code(), ErrorCode::Unavailable);
}
