//! Lists by id, page by page.

use signalbox_protocol::fleet::PassengerState;
use signalbox_reservoir::Error;
use signalbox_reservoir::repository::Filter;

use crate::on_both;
use crate::world::{Node, World, pool, tenant};

on_both!(
    a_list_goes_page_by_page_in_the_order_of_ids,
    a_list_shows_those_who_pass_the_filter,
    a_page_may_be_empty_before_the_end,
    what_changes_between_pages_disturbs_nothing_else,
    a_cursor_that_is_none_is_refused,
);

/// The ids of all pages.
async fn walk(node: &Node, filter: &Filter, limit: usize) -> Vec<Vec<String>> {
    let (mut pages, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = node.repository.list(&tenant("acme"), filter, cursor.as_deref(), limit).await.unwrap();
        assert!(page.items.len() <= limit);
        pages.push(page.items.iter().map(|passenger| passenger.passenger_id.to_string()).collect());
        cursor = page.cursor;
        if cursor.is_none() {
            return pages;
        }
    }
}

fn of(name: Option<&str>, state: Option<PassengerState>) -> Filter {
    Filter { pool: name.map(pool), state }
}

async fn a_list_goes_page_by_page_in_the_order_of_ids(world: World) {
    let node = world.node().await;
    assert_eq!(walk(&node, &Filter::default(), 2).await, [Vec::<String>::new()]);
    node.push(&["c", "B", "a~", "10", "9"]).await;
    let pages = walk(&node, &Filter::default(), 2).await;
    assert_eq!(pages, [vec!["10", "9"], vec!["B", "a~"], vec!["c"]]);
    assert_eq!(walk(&node, &Filter::default(), 5).await.len(), 1);
    assert_eq!(walk(&node, &Filter::default(), 10_000).await.concat().len(), 5);
}

async fn a_list_shows_those_who_pass_the_filter(world: World) {
    let node = world.node().await;
    let list = [("A", "route:12"), ("B", "depot:4"), ("C", "route:12"), ("D", "route:12")]
        .map(|(id, pool)| node.waiting(id, pool));
    node.repository.push(&node.actor(), list.to_vec()).await.unwrap();
    node.vehicle("V1", 5).await;
    node.board("C", "V1").await.unwrap();
    node.cancel("D").await.unwrap();
    let (route, waiting) = (Some("route:12"), Some(PassengerState::Waiting));
    for (filter, expected) in [
        (of(None, None), &["A", "B", "C", "D"][..]),
        (of(route, None), &["A", "C", "D"]),
        (of(None, waiting), &["A", "B"]),
        (of(route, waiting), &["A"]),
        (of(route, Some(PassengerState::Boarded)), &["C"]),
        (of(route, Some(PassengerState::Cancelled)), &["D"]),
        (of(route, Some(PassengerState::Expired)), &[]),
        (of(Some("route:99"), None), &[]),
    ] {
        assert_eq!(walk(&node, &filter, 1).await.concat(), expected, "{filter:?}");
        assert_eq!(walk(&node, &filter, 100).await.concat(), expected, "{filter:?}");
    }
}

async fn a_page_may_be_empty_before_the_end(world: World) {
    let node = world.node().await;
    let list = (0..2_500).map(|number| node.waiting(&format!("P{number:04}"), "route:12")).collect();
    node.repository.push(&node.actor(), list).await.unwrap();
    node.cancel("P2400").await.unwrap();
    let pages = walk(&node, &of(None, Some(PassengerState::Cancelled)), 10).await;
    assert_eq!(pages, [vec![], vec![], vec!["P2400".to_owned()]]);
    let all = walk(&node, &Filter::default(), 10_000).await;
    assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [1_000, 1_000, 500]);
}

async fn what_changes_between_pages_disturbs_nothing_else(world: World) {
    let node = world.node().await;
    node.push(&["A", "C", "E", "G"]).await;
    let waiting = of(None, Some(PassengerState::Waiting));
    let first = node.repository.list(&tenant("acme"), &waiting, None, 2).await.unwrap();
    // One before the cursor, the one at it, and one behind it; and two who come.
    node.cancel("A").await.unwrap();
    node.cancel("C").await.unwrap();
    node.cancel("E").await.unwrap();
    node.push(&["B", "F"]).await;
    let rest = node.repository.list(&tenant("acme"), &waiting, first.cursor.as_deref(), 10).await.unwrap();
    let ids: Vec<_> = rest.items.iter().map(|passenger| passenger.passenger_id.as_str()).collect();
    assert_eq!((ids, rest.cursor), (vec!["F", "G"], None));
}

async fn a_cursor_that_is_none_is_refused(world: World) {
    let node = world.node().await;
    for cursor in ["", "a b", "[", &"x".repeat(200)] {
        let refused = node.repository.list(&tenant("acme"), &Filter::default(), Some(cursor), 10).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{cursor:?}: {refused:?}");
    }
}
