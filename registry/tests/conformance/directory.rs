//! Registering, looking up, refreshing and removing connections.

use std::collections::BTreeSet;
use std::sync::Arc;

use signalbox_registry::directory::{
    Filter, PageAfter, Registered, SESSION_CONNECTIONS_MAX, SESSION_KEPT, Unregistered,
};
use signalbox_registry::{Error, Row};
use signalbox_testkit::eventually;
use tokio::task::JoinSet;

use crate::on_both;
use crate::world::{Node, SOON, World, agent, named, tenant, topic};

on_both!(
    a_registered_connection_is_found_from_every_node,
    a_session_is_told_oldest_first_and_by_filter,
    an_unregistered_connection_is_found_nowhere,
    a_removal_takes_only_its_own_generation,
    exactly_one_registration_is_the_first_and_one_removal_the_last,
    an_agent_with_many_connections_is_told_apart_too,
    a_named_session_belongs_to_its_first_subject,
    the_seventeenth_socket_of_a_session_evicts_the_oldest,
    a_made_up_session_can_be_named_later,
    two_tenants_see_nothing_of_each_other,
    a_connection_changes_its_namespaces,
    a_refresh_tells_activity_and_brings_back_what_was_lost,
    a_refresh_of_old_rows_undoes_nothing,
    a_connection_id_of_another_node_is_no_connection_of_this_one,
    a_node_reads_its_own_rows_and_learns_which_are_not_found,
);

async fn by_session(node: &Node, row: &Row) -> Vec<Row> {
    let directory = &node.cluster.directory;
    directory.by_session(&row.tenant, &row.session_id, Filter::default()).await.unwrap()
}

async fn by_agent(node: &Node, row: &Row) -> Vec<Row> {
    node.cluster.directory.by_agent(&row.tenant, &row.agent).await.unwrap()
}

async fn get(node: &Node, row: &Row) -> Option<Row> {
    node.cluster.directory.get(&row.tenant, &row.connection_id).await.unwrap()
}

async fn nodes_of(node: &Node, to: &str) -> Vec<String> {
    let nodes = node.cluster.directory.nodes_of(&tenant("acme"), &topic(to)).await.unwrap();
    nodes.iter().map(ToString::to_string).collect()
}

async fn members(node: &Node, group: &str) -> u64 {
    node.cluster.presence.connections(&tenant("acme"), &[topic(group)]).await.unwrap()[0]
}

async fn a_registered_connection_is_found_from_every_node(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let plain = a.row(1, "vehicle:V17");
    let full = Row {
        pillar: Some("dispatch".into()),
        namespaces: vec!["depot-reservoir".into(), "vehicle-events".into()],
        last_activity_ms: 1_767_225_999_999,
        ..named(a.row(2, "driver:456"), "S-1")
    };
    for row in [&plain, &full] {
        let registered = a.cluster.directory.register(row, "somebody").await.unwrap();
        assert_eq!(registered, Registered::default());
        for node in [&a, &b] {
            assert_eq!(get(node, row).await.as_ref(), Some(row));
            assert_eq!(by_agent(node, row).await, [row.clone()]);
            assert_eq!(by_session(node, row).await, [row.clone()]);
            for to in [
                row.agent.topic().to_string(),
                format!("session:{}", row.session_id),
                format!("connection:{}", row.connection_id),
            ] {
                assert_eq!(nodes_of(node, &to).await, ["a"], "{to}");
            }
        }
    }
    assert_eq!(nodes_of(&b, "vehicle:V18").await, [""; 0]);
    assert_eq!(nodes_of(&b, "session:S-2").await, [""; 0]);
    assert_eq!(nodes_of(&b, "connection:x-1").await, [""; 0]);
    assert_eq!(get(&b, &a.row(3, "vehicle:V17")).await, None);
}

async fn a_session_is_told_oldest_first_and_by_filter(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let phone = Row { connected_at_ms: 30, pillar: Some("content".into()), ..named(a.row(1, "user:1"), "S") };
    let tablet =
        Row { connected_at_ms: 10, pillar: Some("dispatch".into()), ..named(b.row(1, "user:1"), "S") };
    let radio =
        Row { connected_at_ms: 20, pillar: Some("dispatch".into()), ..named(b.row(2, "driver:1"), "S") };
    a.register(&phone).await;
    b.register(&tablet).await;
    b.register(&radio).await;
    let filter = |agent_type, pillar| Filter { agent_type, pillar };
    for (filter, expected) in [
        (filter(None, None), vec![&tablet, &radio, &phone]),
        (filter(Some("user"), None), vec![&tablet, &phone]),
        (filter(None, Some("dispatch")), vec![&tablet, &radio]),
        (filter(Some("user"), Some("dispatch")), vec![&tablet]),
        (filter(Some("vehicle"), None), vec![]),
    ] {
        let found = a.cluster.directory.by_session(&phone.tenant, &phone.session_id, filter).await.unwrap();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{filter:?}");
    }
    assert_eq!(
        by_agent(&a, &phone).await,
        [Row { last_activity_ms: tablet.last_activity_ms, ..tablet }, phone]
    );
    assert_eq!(nodes_of(&a, "session:S").await.len(), 2);
}

async fn an_unregistered_connection_is_found_nowhere(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let plain = a.row(1, "vehicle:V17");
    let full =
        Row { pillar: Some("p".into()), namespaces: vec!["n".into()], ..named(a.row(2, "driver:4"), "S") };
    for row in [&plain, &full] {
        a.register(row).await;
        let removed = Unregistered { removed: true, last_of_agent: true };
        assert_eq!(a.cluster.directory.unregister(row).await.unwrap(), removed);
        assert_eq!(a.cluster.directory.unregister(row).await.unwrap(), Unregistered::default());
        for node in [&a, &b] {
            assert_eq!(get(node, row).await, None);
            assert_eq!(by_agent(node, row).await, []);
            assert_eq!(by_session(node, row).await, []);
            assert_eq!(nodes_of(node, row.agent.as_str()).await, [""; 0]);
        }
    }
    for group in ["agent_type:vehicle", "agent_type:driver", "pillar:p", "namespace:n"] {
        assert_eq!(members(&b, group).await, 0, "{group}");
    }
}

async fn a_removal_takes_only_its_own_generation(world: World) {
    let a = world.node("a").await;
    let first = named(a.row(1, "vehicle:V17"), "S");
    a.register(&first).await;
    a.take_lease().await;
    let second = Row { generation: a.cluster.node.generation(), ..first.clone() };
    a.register(&second).await;
    assert_eq!(a.cluster.directory.unregister(&first).await.unwrap(), Unregistered::default());
    assert_eq!(get(&a, &second).await.as_ref(), Some(&second));
    assert_eq!(by_agent(&a, &second).await, [second.clone()]);
    assert_eq!(by_session(&a, &second).await, [second.clone()]);
    assert_eq!(members(&a, "agent_type:vehicle").await, 1);
}

async fn exactly_one_registration_is_the_first_and_one_removal_the_last(world: World) {
    let nodes = [Arc::new(world.node("a").await), Arc::new(world.node("b").await)];
    for _ in 0..5 {
        let (mut registering, mut removing) = (JoinSet::new(), JoinSet::new());
        for (number, node) in (0..40).zip(nodes.iter().cycle()) {
            let (row, node) = (node.row(number, "service:commuter"), Arc::clone(node));
            registering.spawn(async move {
                node.cluster.directory.register(&row, "s").await.unwrap().first_service
            });
        }
        assert_eq!(registering.join_all().await.iter().filter(|first| **first).count(), 1);
        for (number, node) in (0..40).zip(nodes.iter().cycle()) {
            let (row, node) = (node.row(number, "service:commuter"), Arc::clone(node));
            removing
                .spawn(async move { node.cluster.directory.unregister(&row).await.unwrap().last_of_agent });
        }
        assert_eq!(removing.join_all().await.iter().filter(|last| **last).count(), 1);
    }
}

async fn an_agent_with_many_connections_is_told_apart_too(world: World) {
    let a = world.node("a").await;
    for number in 0..150 {
        let registered = a.cluster.directory.register(&a.row(number, "service:x"), "s").await.unwrap();
        assert_eq!(registered.first_service, number == 0);
    }
    assert_eq!(by_agent(&a, &a.row(0, "service:x")).await.len(), 150);
    for number in 0..150 {
        let removed = a.cluster.directory.unregister(&a.row(number, "service:x")).await.unwrap();
        assert_eq!(removed, Unregistered { removed: true, last_of_agent: number == 149 });
    }
}

async fn a_named_session_belongs_to_its_first_subject(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let mine = named(a.row(1, "user:1"), "S");
    a.cluster.directory.register(&mine, "ann").await.unwrap();
    let others = Row { pillar: Some("p".into()), ..named(b.row(1, "user:2"), "S") };
    let refused = b.cluster.directory.register(&others, "bob").await;
    assert!(matches!(refused, Err(Error::SessionTaken)), "{refused:?}");
    assert_eq!(get(&b, &others).await, None);
    assert_eq!(by_agent(&b, &others).await, []);
    assert_eq!(by_session(&b, &mine).await, [mine.clone()]);
    assert_eq!((members(&b, "agent_type:user").await, members(&b, "pillar:p").await), (1, 0));
    let again = named(b.row(2, "user:1"), "S");
    b.cluster.directory.register(&again, "ann").await.unwrap();
    a.cluster.directory.unregister(&mine).await.unwrap();
    b.cluster.directory.unregister(&again).await.unwrap();
    let refused = b.cluster.directory.register(&others, "bob").await;
    assert!(matches!(refused, Err(Error::SessionTaken)), "it is kept for a while: {refused:?}");
    if let World::Memory(_) = world {
        tokio::time::sleep(SESSION_KEPT).await;
        b.cluster.directory.register(&others, "bob").await.unwrap();
    }
}

async fn the_seventeenth_socket_of_a_session_evicts_the_oldest(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let rows: Vec<_> = (0..20)
        .zip([&a, &b].into_iter().cycle())
        .map(|(number, node)| named(node.row(number, "user:1"), "S"))
        .collect();
    for (index, row) in rows.iter().enumerate() {
        let evicted = a.cluster.directory.register(row, "ann").await.unwrap().evicted;
        let beyond = (index + 1).saturating_sub(SESSION_CONNECTIONS_MAX);
        assert_eq!(evicted, rows[..beyond], "the {index}th");
    }
    assert_eq!(by_session(&b, &rows[0]).await.len(), 20, "their own nodes unregister them");
    for row in &rows[..4] {
        a.cluster.directory.unregister(row).await.unwrap();
    }
    let clocks_differ = Row { connected_at_ms: 1, ..named(b.row(99, "user:1"), "S") };
    let evicted = b.cluster.directory.register(&clocks_differ, "ann").await.unwrap().evicted;
    assert_eq!(evicted, rows[4..5], "never the newcomer");
}

async fn a_made_up_session_can_be_named_later(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let first = a.row(1, "user:1");
    a.register(&first).await;
    let second = Row { session_id: first.session_id.clone(), session_named: true, ..b.row(1, "user:1") };
    b.register(&second).await;
    assert_eq!(by_session(&a, &first).await, [first.clone(), second.clone()]);
    a.cluster.directory.unregister(&first).await.unwrap();
    assert_eq!(by_session(&a, &first).await, [second]);
    assert_eq!(nodes_of(&a, &format!("session:{}", first.session_id)).await, ["b"]);
    let guessed = first.session_id.as_str().replace("~k2m9", "~k2m8");
    assert_eq!(nodes_of(&a, &format!("session:{guessed}")).await, [""; 0]);
}

async fn two_tenants_see_nothing_of_each_other(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let labels = |row| Row { pillar: Some("p".into()), namespaces: vec!["n".into()], ..named(row, "S") };
    let ours = labels(a.row(1, "service:x"));
    let theirs = Row { tenant: tenant("other"), ..labels(b.row(1, "service:x")) };
    assert!(a.cluster.directory.register(&ours, "ann").await.unwrap().first_service);
    let registered = b.cluster.directory.register(&theirs, "bob").await.unwrap();
    assert!(registered.first_service && registered.evicted.is_empty(), "its own agent and its own session");
    for (mine, foreign) in [(&ours, &theirs), (&theirs, &ours)] {
        let directory = &a.cluster.directory;
        assert_eq!(directory.get(&mine.tenant, &foreign.connection_id).await.unwrap(), None);
        assert_eq!(by_agent(&a, mine).await, [mine.clone()]);
        assert_eq!(by_session(&a, mine).await, [mine.clone()]);
        for to in [topic("service:x"), topic("session:S")] {
            let nodes = directory.nodes_of(&mine.tenant, &to).await.unwrap();
            assert_eq!(nodes.to_vec(), [mine.node_id.clone()]);
        }
        let groups = ["agent_type:service", "pillar:p", "namespace:n"].map(topic);
        for group in &groups {
            let members = a.cluster.presence.members(&mine.tenant, group, None, 10).await.unwrap();
            assert_eq!(members.rows, [mine.clone()]);
            assert_eq!((members.agents, members.connections), (1, 1));
        }
        assert_eq!(a.cluster.presence.connections(&mine.tenant, &groups).await.unwrap(), [1, 1, 1]);
    }
    let disguised = Row { tenant: ours.tenant.clone(), ..theirs.clone() };
    assert!(!b.cluster.directory.unregister(&disguised).await.unwrap().last_of_agent);
    assert_eq!(by_agent(&a, &ours).await, [ours.clone()]);
}

async fn a_connection_changes_its_namespaces(world: World) {
    let a = world.node("a").await;
    let row = Row { namespaces: vec!["n1".into(), "n2".into()], ..named(a.row(1, "vehicle:V17"), "S") };
    a.register(&row).await;
    a.cluster.directory.set_namespaces(&row, &["n2".into(), "n3".into()]).await.unwrap();
    let moved = Row { namespaces: vec!["n2".into(), "n3".into()], ..row.clone() };
    assert_eq!(get(&a, &row).await.as_ref(), Some(&moved));
    assert_eq!(by_agent(&a, &row).await, [moved.clone()]);
    assert_eq!(by_session(&a, &row).await, [moved.clone()]);
    a.cluster.directory.refresh(std::slice::from_ref(&row)).await.unwrap();
    let counts = [
        members(&a, "namespace:n1").await,
        members(&a, "namespace:n2").await,
        members(&a, "namespace:n3").await,
    ];
    assert_eq!(counts, [0, 1, 1], "also after a refresh of what was read before");
    a.cluster.directory.unregister(&moved).await.unwrap();
    assert_eq!(members(&a, "namespace:n3").await, 0);
}

async fn a_refresh_tells_activity_and_brings_back_what_was_lost(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let rows: Vec<_> = (0..200)
        .map(|number| named(a.row(number, &format!("user:{number}")), &format!("S{number}")))
        .collect();
    for row in &rows {
        a.register(row).await;
    }
    if let Some(redis) = world.redis() {
        redis.cli_everywhere(&["flushall"]);
        eventually("nobody is left", SOON, || async { by_agent(&b, &rows[0]).await.is_empty() }).await;
    }
    a.take_lease().await;
    let generation = a.cluster.node.generation();
    let rows: Vec<_> =
        rows.into_iter().map(|row| Row { generation, last_activity_ms: 1_767_300_000_000, ..row }).collect();
    a.cluster.directory.refresh(&rows).await.unwrap();
    for row in rows.iter().step_by(13) {
        assert_eq!(get(&b, row).await.as_ref(), Some(row));
        assert_eq!(by_agent(&b, row).await, [row.clone()]);
        assert_eq!(by_session(&b, row).await, [row.clone()]);
    }
    assert_eq!(members(&b, "agent_type:user").await, 200);
    b.take_lease().await;
    let refused = b.cluster.directory.register(&named(b.row(1, "user:x"), "S7"), "thief").await;
    assert!(matches!(refused, Err(Error::SessionTaken)), "the owner came back too: {refused:?}");
}

async fn a_refresh_of_old_rows_undoes_nothing(world: World) {
    let a = Arc::new(world.node("a").await);
    let rows: Vec<_> = (0..100)
        .map(|number| named(a.row(number, &format!("user:{number}")), &format!("S{number}")))
        .collect();
    for row in &rows {
        a.register(row).await;
    }
    // Some go before the refresh, some while it runs.
    for row in &rows[..10] {
        a.cluster.directory.unregister(row).await.unwrap();
    }
    let mut leaving = JoinSet::new();
    for row in &rows[10..] {
        let (a, row) = (Arc::clone(&a), row.clone());
        leaving.spawn(async move { a.cluster.directory.unregister(&row).await.unwrap() });
    }
    for _ in 0..3 {
        a.cluster.directory.refresh(&rows).await.unwrap();
    }
    leaving.join_all().await;
    for row in &rows {
        assert_eq!(get(&a, row).await, None);
        assert_eq!(by_agent(&a, row).await, []);
        assert_eq!(by_session(&a, row).await, []);
    }
    assert_eq!(members(&a, "agent_type:user").await, 0);
}

async fn a_connection_id_of_another_node_is_no_connection_of_this_one(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let row = a.row(1, "vehicle:V17");
    a.register(&row).await;
    let lookalike = b.row(1, "vehicle:V17");
    assert_eq!(get(&b, &lookalike).await, None);
    assert!(!b.cluster.directory.unregister(&lookalike).await.unwrap().removed);
    assert_eq!(by_agent(&b, &Row { agent: agent("vehicle:V17"), ..row.clone() }).await, [row]);
}

async fn a_node_reads_its_own_rows_and_learns_which_are_not_found(world: World) {
    const ROWS: u64 = 600;
    let (a, b) = (world.node("a").await, world.node("b").await);
    let rows: Vec<_> = (0..ROWS).map(|number| a.row(number, &format!("vehicle:V{number}"))).collect();
    a.cluster.directory.refresh(&rows).await.unwrap();
    b.cluster.directory.register(&b.row(1, "vehicle:V1"), "somebody").await.unwrap();
    let (mut found, mut after, mut pages) = (BTreeSet::new(), Some(PageAfter::default()), 0);
    while let Some(place) = after {
        let page = a.cluster.directory.own_page(&a.cluster.node, place).await.unwrap();
        found.extend(page.rows.into_iter().map(|row| row.connection_id));
        (after, pages) = (page.next, pages + 1);
    }
    assert_eq!(found, rows.iter().map(|row| row.connection_id.clone()).collect());
    assert_eq!(pages > 1, world.redis().is_some(), "{pages} pages");

    let unknown = a.row(ROWS, "vehicle:V");
    let older = Row { generation: 7, ..rows[2].clone() };
    a.cluster.directory.unregister(&rows[1]).await.unwrap();
    let asked = [rows[0].clone(), rows[1].clone(), older.clone(), unknown.clone()];
    let unfound = a.cluster.directory.unfound(&asked).await.unwrap();
    assert_eq!(unfound, [rows[1].clone(), older, unknown]);
    if let Some(redis) = world.redis() {
        // Only half of it is left.
        let (id, record) = (rows[3].connection_id.as_str(), "sb:{acme:vehicle:V3}:conns");
        assert_eq!(redis.cli_at(record, &["hdel", record, id]), "1");
        assert_eq!(a.cluster.directory.unfound(&rows[3..5]).await.unwrap(), rows[3..4]);
        // And the other half of another one.
        let index = format!("sb:node:{{{}}}:conns:{}", rows[5].node_id, rows[5].generation);
        let (_, number) = rows[5].connection_id.as_str().rsplit_once('-').unwrap();
        assert_eq!(redis.cli_at(&index, &["hdel", &index, number]), "1");
        assert_eq!(a.cluster.directory.unfound(&rows[4..7]).await.unwrap(), rows[5..6]);
    }
}
