//! Who is in a group, page by page, and how many.

use std::collections::BTreeSet;

use signalbox_registry::presence::Members;
use signalbox_registry::{Error, Row};

use crate::on_both;
use crate::world::{Node, World, tenant, topic};

on_both!(
    pages_hold_every_member_once_in_order,
    agents_are_counted_once_however_many_connections_they_have,
    only_indexed_kinds_have_members,
    a_bad_cursor_is_refused,
);

async fn page(node: &Node, group: &str, cursor: Option<&str>, limit: usize) -> Members {
    node.cluster.presence.members(&tenant("acme"), &topic(group), cursor, limit).await.unwrap()
}

async fn pages_hold_every_member_once_in_order(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let mut rows = Vec::new();
    for number in 0..130_u64 {
        let node = if number % 3 == 0 { &a } else { &b };
        let kind = if number % 2 == 0 { "vehicle" } else { "driver" };
        let row = node.row(number, &format!("{kind}:{}", number * 7_919 % 1_000));
        let row = Row { pillar: Some("p".into()), namespaces: vec!["n".into()], ..row };
        node.register(&row).await;
        rows.push(row);
    }
    for (group, kind) in [("agent_type:driver", "driver"), ("pillar:p", ""), ("namespace:n", "")] {
        let mut expected: Vec<_> =
            rows.iter().filter(|row| row.agent.agent_type().starts_with(kind)).collect();
        expected.sort_by_key(|row| (&row.agent, &row.connection_id));
        for limit in [1, 50, 65, 1_000] {
            let (mut found, mut cursor) = (Vec::new(), None);
            loop {
                let page = page(&a, group, cursor.as_deref(), limit).await;
                assert_eq!(page.connections, expected.len() as u64);
                assert!(page.rows.len() <= limit);
                found.extend(page.rows);
                cursor = page.cursor;
                let Some(cursor) = &cursor else { break };
                assert!(
                    cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._~@+-:".contains(&byte))
                );
            }
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{group} {limit}");
        }
    }
}

async fn agents_are_counted_once_however_many_connections_they_have(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    for (node, number, agent) in [
        (&a, 1, "vehicle:1"),
        (&a, 2, "vehicle:1"),
        (&b, 1, "vehicle:1"),
        (&b, 2, "vehicle:2"),
        (&b, 3, "user:1"),
    ] {
        node.register(&node.row(number, agent)).await;
    }
    let members = page(&a, "agent_type:vehicle", None, 1).await;
    assert_eq!((members.agents, members.connections, members.rows.len()), (2, 4, 1));
    let all = page(&b, "agent_type:vehicle", None, 10).await;
    let agents: BTreeSet<_> = all.rows.iter().map(|row| row.agent.to_string()).collect();
    assert_eq!(agents.into_iter().collect::<Vec<_>>(), ["vehicle:1", "vehicle:2"]);
    let groups = ["agent_type:vehicle", "agent_type:user", "agent_type:driver"].map(topic);
    assert_eq!(a.cluster.presence.connections(&tenant("acme"), &groups).await.unwrap(), [4, 1, 0]);
    assert_eq!(a.cluster.presence.connections(&tenant("acme"), &[]).await.unwrap(), [0; 0]);
}

async fn only_indexed_kinds_have_members(world: World) {
    let a = world.node("a").await;
    a.register(&a.row(1, "vehicle:1")).await;
    for group in ["route:12", "vehicle:1", "session:S"] {
        assert_eq!(page(&a, group, None, 10).await, Members::default());
    }
}

async fn a_bad_cursor_is_refused(world: World) {
    let a = world.node("a").await;
    for cursor in ["", "x", "vehicle:1", "vehicle:1:", ":1:2", "vehicle:{1}:2"] {
        let members = a.cluster.presence.members(&tenant("acme"), &topic("pillar:p"), Some(cursor), 10).await;
        assert!(matches!(members, Err(Error::Unreadable { what: "cursor" })), "{cursor}: {members:?}");
    }
}
