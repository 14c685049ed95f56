//! What is told of a pool can be read again by whoever missed it.

use signalbox_protocol::Topic;
use signalbox_protocol::control::{Discontinuity, Position};
use signalbox_registry::log::{Limits, Page, Read};

use crate::on_both;
use crate::world::{Node, World, pool, tenant};

on_both!(
    the_log_of_a_pool_holds_what_its_followers_are_told,
    pools_have_logs_of_their_own_and_namespaces_none,
    logs_keep_what_their_kind_keeps,
);

impl Node {
    async fn head(&self, name: &str) -> Position {
        let asked = [(tenant("acme"), Topic::try_new(name).unwrap())];
        self.cluster.log.heads(&asked).await.unwrap().remove(0)
    }

    async fn read(&self, name: &str, after: &Position) -> Read {
        let (limits, name) =
            (Limits { entries_max: 1_000, bytes_max: 1 << 20 }, Topic::try_new(name).unwrap());
        self.cluster.log.read(&tenant("acme"), &name, after, limits).await.unwrap()
    }

    async fn page(&self, name: &str, after: &Position) -> Page {
        match self.read(name, after).await {
            Read::Page(page) => page,
            broken @ Read::Broken { .. } => panic!("{broken:?}"),
        }
    }
}

async fn the_log_of_a_pool_holds_what_its_followers_are_told(world: World) {
    let (node, other) = (world.node().await, world.node().await);
    node.follow("route:12").await;
    let before = other.head("route:12").await;
    node.vehicle("V1", 2).await;
    node.push(&["COM_1"]).await;
    node.push(&["COM_2", "COM_3", "COM_4"]).await;
    let fence = node.board("COM_1", "V1").await.unwrap().fence;
    other.board("COM_1", "V1").await.unwrap_err();
    other.alight("COM_1", fence).await.unwrap();
    node.cancel("COM_2").await.unwrap();
    other.repository.cancel_some(&other.actor(), &pool("route:12"), 10).await.unwrap();
    let told = node.heard.messages("route:12", 7).await;
    let page = other.page("route:12", &before).await;
    let kept: Vec<serde_json::Value> =
        page.bodies.iter().map(|body| serde_json::from_slice(body).unwrap()).collect();
    assert_eq!((kept, page.first, page.head.offset), (told, 1, 7));
}

async fn pools_have_logs_of_their_own_and_namespaces_none(world: World) {
    let node = world.node().await;
    let list =
        vec![node.waiting("A", "route:12"), node.waiting("B", "depot:4"), node.waiting("C", "route:13")];
    node.repository.push(&node.actor(), list).await.unwrap();
    node.cancel("B").await.unwrap();
    for (name, offset) in
        [("route:12", 1), ("route:13", 1), ("depot:4", 2), ("route:14", 0), ("namespace:route-reservoir", 0)]
    {
        assert_eq!(node.head(name).await.offset, offset, "{name}");
    }
}

async fn logs_keep_what_their_kind_keeps(world: World) {
    let node = world.node().await;
    for name in ["depot:4", "route:12"] {
        let before = node.head(name).await;
        for number in 0..5 {
            let list = vec![node.waiting(&format!("{number}-{}", name.len()), name)];
            node.repository.push(&node.actor(), list).await.unwrap();
        }
        match node.read(name, &before).await {
            Read::Page(page) => assert_eq!((name, page.bodies.len()), ("route:12", 5)),
            Read::Broken { reason, .. } => assert_eq!((name, reason), ("depot:4", Discontinuity::Trimmed)),
        }
        let third = Position { offset: 2, ..before };
        assert_eq!(node.page(name, &third).await.bodies.len(), 3);
    }
}
