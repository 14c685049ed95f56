//! Which nodes are believed, and what becomes of the rows of those that are not.

use std::sync::Arc;
use std::time::Duration;

use signalbox_registry::directory::{Filter, Unregistered};
use signalbox_registry::lease::{LEASE, Renewal, Swept};
use signalbox_registry::{Error, Row};
use signalbox_testkit::eventually;
use tokio::time::Instant;

use crate::on_both;
use crate::world::{Node, SOON, World, agent, named, tenant, topic};

on_both!(
    live_nodes_are_told_with_their_cards,
    a_dead_nodes_rows_vanish_when_its_lease_ends,
    a_lease_that_is_over_stays_over,
    a_released_lease_is_over_at_once,
    a_late_release_does_not_end_the_next_generation,
    the_next_generation_brings_its_rows_back,
    a_sweep_removes_ended_generations_and_nothing_else,
    a_departure_is_told_once,
    a_crowd_of_sweepers_sweeps_once,
);

/// The lease, and how late its end may be seen.
const GONE_WITHIN: Duration = LEASE.saturating_add(Duration::from_millis(400));

async fn nodes(node: &Node) -> Vec<String> {
    let live = node.cluster.lease.live().await.unwrap();
    live.iter().map(|card| format!("{}.{}", card.node_id, card.generation)).collect()
}

/// How many of the ways to find `row` find it.
async fn found(node: &Node, row: &Row) -> usize {
    let (directory, presence) = (&node.cluster.directory, &node.cluster.presence);
    let group = [topic(&format!("agent_type:{}", row.agent.agent_type()))];
    let members = presence.members(&row.tenant, &group[0], None, 100).await.unwrap();
    [
        directory.get(&row.tenant, &row.connection_id).await.unwrap().is_some(),
        !directory.by_agent(&row.tenant, &row.agent).await.unwrap().is_empty(),
        !directory.by_session(&row.tenant, &row.session_id, Filter::default()).await.unwrap().is_empty(),
        !directory.nodes_of(&row.tenant, row.agent.topic()).await.unwrap().is_empty(),
        !directory
            .nodes_of(&row.tenant, &topic(&format!("session:{}", row.session_id)))
            .await
            .unwrap()
            .is_empty(),
        !directory
            .nodes_of(&row.tenant, &topic(&format!("connection:{}", row.connection_id)))
            .await
            .unwrap()
            .is_empty(),
        members.connections > 0,
        members.agents > 0,
        !members.rows.is_empty(),
        presence.connections(&row.tenant, &group).await.unwrap() != [0],
    ]
    .into_iter()
    .filter(|found| *found)
    .count()
}

async fn live_nodes_are_told_with_their_cards(world: World) {
    let (b, a) = (world.node("b").await, world.node("a").await);
    assert_eq!(b.cluster.lease.live().await.unwrap(), [a.card(), b.card()]);
    a.take_lease().await;
    let mut card = a.card();
    card.stats = r#"{"connections":8}"#.into();
    assert_eq!(a.cluster.lease.renew(&card).await.unwrap(), Renewal::Held);
    assert_eq!(b.cluster.lease.live().await.unwrap(), [card, b.card()]);
}

async fn a_late_release_does_not_end_the_next_generation(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    a.take_lease().await;
    a.cluster.lease.release(a.id(), 1).await.unwrap();
    assert_eq!(nodes(&b).await, ["a.2", "b.1"]);
    assert_eq!(a.cluster.lease.renew(&a.card()).await.unwrap(), Renewal::Held);
}

async fn a_dead_nodes_rows_vanish_when_its_lease_ends(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let rows = [a.row(1, "vehicle:V17"), named(a.row(2, "user:2"), "S")];
    for row in &rows {
        a.register(row).await;
        assert_eq!(found(&b, row).await, 10);
    }
    drop(a);
    let died = Instant::now();
    let seen = eventually("the first row is gone", GONE_WITHIN, || async { found(&b, &rows[0]).await == 0 });
    assert!(seen.await >= LEASE - Duration::from_secs(2), "it was renewed 1.5 s ago at most");
    assert_eq!(found(&b, &rows[1]).await, 0, "all of them at once");
    assert!(died.elapsed() < GONE_WITHIN);
    assert_eq!(nodes(&b).await, ["b.1"]);
}

async fn a_lease_that_is_over_stays_over(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    a.stop_renewing();
    eventually("the lease is over", GONE_WITHIN, || async { nodes(&b).await == ["b.1"] }).await;
    assert_eq!(a.cluster.lease.renew(&a.card()).await.unwrap(), Renewal::Lost);
    let refused = a.cluster.lease.acquire(&a.card()).await;
    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    assert_eq!(nodes(&b).await, ["b.1"]);
    a.take_lease().await;
    assert_eq!(nodes(&b).await, ["a.2", "b.1"]);
}

async fn a_released_lease_is_over_at_once(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let row = a.row(1, "vehicle:V17");
    a.register(&row).await;
    a.cluster.lease.release(a.id(), 1).await.unwrap();
    assert_eq!(nodes(&b).await, ["b.1"]);
    eventually("its rows are gone", Duration::from_secs(1), || async { found(&b, &row).await == 0 }).await;
    assert_eq!(a.cluster.lease.renew(&a.card()).await.unwrap(), Renewal::Lost);
}

async fn the_next_generation_brings_its_rows_back(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let row = named(a.row(1, "vehicle:V17"), "S");
    a.register(&row).await;
    a.stop_renewing();
    eventually("the row is gone", GONE_WITHIN, || async { found(&b, &row).await == 0 }).await;
    a.take_lease().await;
    // The node itself is back, so its connection's topic leads there; its rows are not, being of its last life.
    assert_eq!(found(&b, &row).await, usize::from(world.redis().is_some()));
    let row = Row { generation: 2, ..row };
    a.cluster.directory.refresh(std::slice::from_ref(&row)).await.unwrap();
    assert_eq!(found(&b, &row).await, 10);
    assert_eq!(b.cluster.lease.sweep().await.unwrap(), Swept { leases: 1, ..Swept::default() });
    assert_eq!(found(&b, &row).await, 10);
}

async fn a_sweep_removes_ended_generations_and_nothing_else(world: World) {
    let (a, b, c) = (world.node("a").await, world.node("b").await, world.node("c").await);
    let labels = |row| Row { pillar: Some("p".into()), namespaces: vec!["n".into()], ..row };
    let gone: Vec<_> = (0..700).map(|number| labels(a.row(number, &format!("vehicle:V{number}")))).collect();
    let back = labels(named(a.row(1_000, "user:1"), "S"));
    let stays = labels(named(b.row(1, "user:1"), "S"));
    for row in gone.iter().chain([&back]) {
        a.register(row).await;
    }
    b.register(&stays).await;
    assert_eq!(b.cluster.lease.sweep().await.unwrap(), Swept::default(), "nothing has ended");
    a.take_lease().await;
    let back = Row { generation: 2, ..back };
    a.cluster.directory.refresh(std::slice::from_ref(&back)).await.unwrap();
    let swept = b.cluster.lease.sweep().await.unwrap();
    assert_eq!((swept.leases, swept.departed_services.len()), (1, 0));
    assert_eq!(swept.rows, 700, "all but the one that was written again");
    for row in [&back, &stays] {
        assert_eq!(
            c.cluster.directory.get(&row.tenant, &row.connection_id).await.unwrap().as_ref(),
            Some(row)
        );
    }
    let groups = ["agent_type:user", "agent_type:vehicle", "pillar:p", "namespace:n"].map(topic);
    assert_eq!(c.cluster.presence.connections(&tenant("acme"), &groups).await.unwrap(), [2, 0, 2, 2]);
    assert_eq!(c.cluster.directory.by_agent(&tenant("acme"), &agent("user:1")).await.unwrap(), [stays, back]);
    assert_eq!(b.cluster.lease.sweep().await.unwrap(), Swept::default(), "once is enough");
    if let Some(redis) = world.redis() {
        let left = redis.cli_everywhere(&["--scan"]);
        assert!(["vehicle:V", "{a}:conns:1", ":a.1"].iter().all(|gone| !left.contains(gone)), "{left}");
    }
}

async fn a_departure_is_told_once(world: World) {
    let (a, b, c, d) =
        (world.node("a").await, world.node("b").await, world.node("c").await, world.node("d").await);
    // On two dying nodes; on one dying and one that lives; on one dying and one that leaves after it.
    let both = [a.row(1, "service:both"), a.row(2, "service:both"), b.row(1, "service:both")];
    let stays = [a.row(3, "service:stays"), c.row(1, "service:stays")];
    let leaves = [a.row(4, "service:leaves"), c.row(2, "service:leaves")];
    let no_service = a.row(5, "vehicle:V17");
    for row in both.iter().chain(&stays).chain(&leaves).chain([&no_service]) {
        let of = [&a, &b, &c].into_iter().find(|node| *node.id() == row.node_id).unwrap();
        of.register(row).await;
    }
    a.stop_renewing();
    b.stop_renewing();
    eventually("both are gone", GONE_WITHIN, || async { nodes(&d).await == ["c.1", "d.1"] }).await;
    let told = c.cluster.directory.unregister(&leaves[1]).await.unwrap();
    assert_eq!(told, Unregistered { removed: true, last_of_agent: true });
    let swept = d.cluster.lease.sweep().await.unwrap();
    assert_eq!(swept.leases, 2);
    assert_eq!(swept.departed_services, [(tenant("acme"), agent("service:both"))]);
    let told = c.cluster.directory.unregister(&stays[1]).await.unwrap();
    assert_eq!(told, Unregistered { removed: true, last_of_agent: true });
}

async fn a_crowd_of_sweepers_sweeps_once(world: World) {
    let a = world.node("a").await;
    for number in 0..500 {
        a.register(&a.row(number, &format!("service:{number}"))).await;
    }
    let sweepers =
        [Arc::new(world.node("b").await), Arc::new(world.node("c").await), Arc::new(world.node("d").await)];
    a.cluster.lease.release(a.id(), 1).await.unwrap();
    eventually("its rows are gone", SOON, || async {
        found(&sweepers[0], &a.row(0, "service:0")).await == 0
    })
    .await;
    let mut sweeping = tokio::task::JoinSet::new();
    for sweeper in &sweepers {
        let sweeper = Arc::clone(sweeper);
        sweeping.spawn(async move { sweeper.cluster.lease.sweep().await.unwrap() });
    }
    let swept = sweeping.join_all().await;
    let sum = |of: fn(&Swept) -> u64| swept.iter().map(of).sum::<u64>();
    assert_eq!((sum(|swept| swept.leases), sum(|swept| swept.rows)), (1, 500));
    assert_eq!(sum(|swept| swept.departed_services.len() as u64), 500);
}
