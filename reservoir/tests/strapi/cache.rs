//! Answers that are remembered: for whom, until when, and never another's.

use std::time::Duration;

use proptest::prelude::*;
use signalbox_reservoir::reservoir::{Query, Source};
use signalbox_reservoir::{CacheSettings, Error, StoreError};
use signalbox_testkit::eventually;

use crate::on_both;
use crate::world::{SOON, World, actor, names, new, new_at, point, pool, query, tenant};

async fn the_second_asker_is_answered_without_strapi(world: World) {
    let nodes = [world.node().await, world.node().await];
    nodes[0].push(&["P1"]).await.unwrap();
    let first = nodes[0].query().await;
    world.strapi.take_seen();
    let second = nodes[1].query().await;
    assert_eq!((first.source, second.source), (Source::Miss, Source::Hit));
    assert_eq!(first.found, second.found);
    assert!(world.strapi.take_seen().is_empty());
    let counters = nodes.each_ref().map(|node| node.reservoir.cache().unwrap().counters());
    assert_eq!((counters[0].misses, counters[0].hits, counters[1].hits), (1, 0, 1));
}

async fn an_entry_ends_with_its_time(world: World) {
    let brief = CacheSettings {
        ttl: Duration::from_millis(50),
        refresh_within: Duration::ZERO,
        ..CacheSettings::default()
    };
    let node = world.node_with(world.settings(), brief).await;
    node.push(&["P1"]).await.unwrap();
    assert_eq!(node.query().await.source, Source::Miss);
    eventually("the entry is gone", SOON, || async { node.query().await.source == Source::Miss }).await;
    assert_eq!(node.reservoir.cache().unwrap().counters().invalidated, 0);
}

async fn who_asks_near_the_end_is_answered_at_once_and_the_entry_is_loaded_anew(world: World) {
    // The whole life is near the end.
    let eager = CacheSettings { refresh_within: SOON, ..CacheSettings::living(SOON) };
    let node = world.node_with(world.settings(), eager).await;
    node.push(&["P1"]).await.unwrap();
    assert_eq!(node.query().await.source, Source::Miss);
    // Behind the back of Signalbox, so that no version tells that the entry is outdated.
    world.strapi.remove("P1");
    eventually("what was loaded anew", SOON, || async {
        let answer = node.query().await;
        assert_eq!(answer.source, Source::Hit);
        answer.found.is_empty()
    })
    .await;
    let counters = || node.reservoir.cache().unwrap().counters();
    eventually("it is counted", SOON, || async { counters().refreshed >= 1 }).await;
    assert_eq!(counters().misses, 1);
}

async fn each_kind_of_change_on_another_node_ends_it(world: World) {
    let [here, there] = [world.node().await, world.node().await];
    there.vehicle("V1", 9).await;
    there.push(&["A", "B", "C", "D"]).await.unwrap();
    assert_eq!(here.near().await, ["A", "B", "C", "D"]);
    there.push(&["E"]).await.unwrap();
    assert_eq!(here.near().await, ["A", "B", "C", "D", "E"], "push");
    let boarded = there.board("A", "V1").await.unwrap();
    assert_eq!(here.near().await, ["B", "C", "D", "E"], "board");
    there.cancel("B").await.unwrap();
    assert_eq!(here.near().await, ["C", "D", "E"], "cancel");
    world.strapi.faults().refuse("V2");
    there.vehicle("V2", 9).await;
    there.board("C", "V2").await.unwrap();
    eventually("C waits again, and is remembered", SOON, || async {
        let answer = here.query().await;
        (names(&answer), answer.source) == (["C", "D", "E"].map(str::to_owned).to_vec(), Source::Hit)
    })
    .await;
    there.alight("A", boarded.fence).await.unwrap();
    assert_eq!(here.query().await.source, Source::Miss, "alight");
    assert_eq!(there.reservoir.cancel_pool(&actor(), &pool("route:12")).await.unwrap(), 3);
    assert!(here.near().await.is_empty(), "cancel all");
    assert!(here.reservoir.cache().unwrap().counters().invalidated >= 5);
    assert_eq!(here.query().await.source, Source::Hit, "an empty answer is one");
}

async fn a_change_of_another_pool_ends_nothing(world: World) {
    let node = world.node().await;
    node.push(&["P1"]).await.unwrap();
    node.query().await;
    let mut other = new("P2");
    other.pool = Some(pool("depot:12"));
    node.reservoir.push(&actor(), other).await.unwrap();
    assert_eq!(node.query().await.source, Source::Hit);
}

async fn another_radius_pool_or_tenant_gets_its_own(world: World) {
    let node = world.node().await;
    node.push(&["P1"]).await.unwrap();
    node.reservoir.push(&actor(), new_at("P2", 13.103, -59.6)).await.unwrap();
    let ask = async |query: Query| node.reservoir.query(&tenant("acme"), &query).await.unwrap();
    for (radius_km, expected) in [(0.2, &["P1"][..]), (0.5, &["P1", "P2"]), (0.200_1, &["P1"])] {
        assert_eq!(names(&ask(Query { radius_km, ..query() }).await), expected, "{radius_km}");
    }
    assert!(ask(Query { pool: pool("depot:12"), ..query() }).await.found.is_empty());
    assert_eq!(names(&ask(Query { max_results: 1, ..query() }).await), ["P1"]);
    assert!(node.reservoir.query(&tenant("other"), &query()).await.unwrap().found.is_empty());
}

async fn a_hundred_askers_are_one_load(world: World) {
    let node = world.node().await;
    node.push(&["P1"]).await.unwrap();
    node.outbox_empty().await;
    world.strapi.take_seen();
    world.strapi.faults().set_delay(Duration::from_millis(200));
    let asking = (0..100).map(|_| node.query());
    let answers = futures_util::future::join_all(asking).await;
    assert!(answers.iter().all(|answer| names(answer) == ["P1"]));
    assert_eq!(answers.iter().filter(|answer| answer.source == Source::Miss).count(), 1);
    let seen = world.strapi.take_seen();
    assert_eq!(seen.len(), 1, "{seen:?}");
    let counters = node.reservoir.cache().unwrap().counters();
    assert_eq!((counters.misses, counters.hits), (1, 99));
}

async fn a_load_that_began_before_a_change_is_not_kept(world: World) {
    let node = world.node().await;
    node.vehicle("V1", 9).await;
    node.push(&["P1", "P2"]).await.unwrap();
    world.strapi.take_seen();
    world.strapi.faults().set_delay(Duration::from_millis(300));
    let asking = node.query();
    let boarding = async {
        eventually("the load is under way", SOON, || async {
            node.reservoir.cache().unwrap().loading() == 1
        })
        .await;
        node.board("P1", "V1").await.unwrap();
        world.strapi.faults().set_delay(Duration::ZERO);
        // Whoever asks now does not wait for the load that began before.
        node.query().await
    };
    let (_, after) = tokio::join!(asking, boarding);
    assert_eq!((names(&after), after.source), (vec!["P2".to_owned()], Source::Miss));
    let still = node.query().await;
    assert_eq!(
        (names(&still), still.source),
        (vec!["P2".to_owned()], Source::Hit),
        "the late one overwrote nothing"
    );
}

async fn a_load_that_fails_fails_its_waiters_and_no_others(world: World) {
    let node = world.node().await;
    node.push(&["P1"]).await.unwrap();
    node.outbox_empty().await;
    world.strapi.faults().set_delay(Duration::from_millis(100));
    world.strapi.faults().fail_next(1, 503);
    let ask = || async { node.reservoir.query(&tenant("acme"), &query()).await };
    let outcomes = futures_util::future::join_all((0..10).map(|_| ask())).await;
    assert_eq!(
        outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Err(Error::Store(StoreError::Answered { .. }))))
            .count(),
        1
    );
    assert_eq!(
        outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Err(Error::Store(StoreError::LoadFailed))))
            .count(),
        9
    );
    assert_eq!(node.near().await, ["P1"]);
    assert_eq!(node.reservoir.cache().unwrap().counters().errors, 10);
}

async fn who_gives_up_loading_leaves_it_to_a_waiter(world: World) {
    let node = world.node().await;
    node.push(&["P1"]).await.unwrap();
    world.strapi.faults().set_delay(Duration::from_millis(200));
    let mut first = Box::pin(node.query());
    let asked = async {
        eventually("the load is under way", SOON, || async {
            node.reservoir.cache().unwrap().loading() == 1
        })
        .await;
    };
    tokio::select! {
        _ = &mut first => panic!("the load takes longer"),
        () = asked => {}
    }
    let giving_up = async {
        tokio::task::yield_now().await;
        drop(first);
    };
    let (second, ()) = tokio::join!(node.query(), giving_up);
    assert_eq!((names(&second), second.source), (vec!["P1".to_owned()], Source::Miss));
}

async fn more_than_an_entry_holds_are_not_cut_short(world: World) {
    let cache = CacheSettings { passengers_max: 5, ttl: SOON, ..CacheSettings::default() };
    let node = world.node_with(world.settings(), cache).await;
    let spread = |number: usize| new_at(&format!("P{number:02}"), 13.1 + 0.0004 * number as f64, -59.6);
    node.reservoir.push_batch(&actor(), (0..10).map(spread).collect()).await.unwrap();
    let ask = async |max_results| {
        node.reservoir.query(&tenant("acme"), &Query { max_results, ..query() }).await.unwrap()
    };
    let few = [ask(2).await, ask(2).await];
    assert!(few.iter().all(|answer| names(answer) == ["P00", "P01"]));
    assert_eq!(few[1].source, Source::Hit, "two are nearer than whoever is missing");
    let many = ask(10).await;
    assert_eq!((many.found.len(), many.source), (10, Source::Bypass));
}

on_both![
    the_second_asker_is_answered_without_strapi,
    an_entry_ends_with_its_time,
    who_asks_near_the_end_is_answered_at_once_and_the_entry_is_loaded_anew,
    each_kind_of_change_on_another_node_ends_it,
    a_change_of_another_pool_ends_nothing,
    another_radius_pool_or_tenant_gets_its_own,
    a_hundred_askers_are_one_load,
    a_load_that_began_before_a_change_is_not_kept,
    a_load_that_fails_fails_its_waiters_and_no_others,
    who_gives_up_loading_leaves_it_to_a_waiter,
    more_than_an_entry_holds_are_not_cut_short,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Positions that round to one key are answered as if nothing were remembered.
    #[test]
    fn a_remembered_answer_is_the_answer(
        (lat, lon) in (-840_000_i32..840_000, -1_799_000_i32..1_799_000),
        (north, east) in (-0.49..0.49, -0.49..0.49),
        (radius_m, passengers_max, max_results) in (5.0..300.0, 3..40_usize, 1..40_u32),
        around in proptest::collection::vec((-40.0..40.0, -40.0..40.0), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async move {
            let world = World::memory().await;
            let cache = CacheSettings { passengers_max, ttl: SOON, ..CacheSettings::default() };
            let node = world.node_with(world.settings(), cache).await;
            let at = |steps: i32, off: f64| (f64::from(steps) + off) / 10_000.0;
            let place = |(number, (n, e)): (usize, (f64, f64))| {
                new_at(&format!("P{number:02}"), at(lat, n), at(lon, e))
            };
            node.reservoir.push_batch(&actor(), around.into_iter().enumerate().map(place).collect()).await.unwrap();
            let query = |n, e| Query {
                pool: pool("route:12"),
                position: point(at(lat, n), at(lon, e)),
                radius_km: radius_m / 1_000.0,
                max_results,
            };
            node.reservoir.query(&tenant("acme"), &query(-0.49, 0.49)).await.unwrap();
            let remembered = node.reservoir.query(&tenant("acme"), &query(north, east)).await.unwrap();
            prop_assert!(remembered.source != Source::Miss);
            let settings = signalbox_reservoir::reservoir::Settings { waiting_max: SOON };
            let plain = signalbox_reservoir::Reservoir::new(node.strapi.repository(), settings);
            let asked = plain.query(&tenant("acme"), &query(north, east)).await.unwrap();
            prop_assert_eq!(remembered.found, asked.found);
            Ok(())
        })?;
    }
}
