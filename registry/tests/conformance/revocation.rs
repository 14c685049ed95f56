//! Revocations: every node learns of each, and no tenant has too many.

use std::collections::HashMap;

use signalbox_protocol::Tenant;
use signalbox_registry::revocation::{Revocation, Whom};

use crate::on_both;
use crate::world::{Node, World, tenant};

on_both!(
    every_node_learns_of_a_revocation,
    of_two_revocations_of_the_same_the_later_one_counts,
    a_tenants_number_changes_with_its_revocations,
    of_a_tenant_no_more_are_kept_than_allowed,
    what_is_over_makes_room,
    revocations_of_two_tenants_are_apart,
);

const NOW: u64 = 1_800_000_000;
const MOST: usize = 100;

fn revocation(whom: &str, at: u64) -> Revocation {
    Revocation { whom: whom.parse().unwrap(), at, until: at + 3_600 }
}

impl Node {
    async fn revokes(&self, of: &str, revocation: &Revocation, most: usize) -> bool {
        self.cluster.revocations.revoke(&tenant(of), revocation, most).await.unwrap()
    }

    async fn revoked(&self, of: &str) -> Vec<Revocation> {
        let mut all = self.cluster.revocations.list(&tenant(of)).await.unwrap();
        all.sort_unstable_by(|a, b| a.whom.cmp(&b.whom));
        all
    }

    async fn versions(&self) -> HashMap<Tenant, u64> {
        self.cluster.revocations.versions().await.unwrap().into_iter().collect()
    }
}

async fn every_node_learns_of_a_revocation(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    assert!(a.revoked("acme").await.is_empty() && a.versions().await.is_empty());
    let all = ["agent:vehicle:V1", "subject:fleet:7", "session:S-1"].map(|whom| revocation(whom, NOW));
    for one in &all {
        assert!(a.revokes("acme", one, MOST).await);
    }
    assert_eq!(b.revoked("acme").await, all);
    assert_eq!(b.versions().await.into_keys().collect::<Vec<_>>(), [tenant("acme")]);
}

async fn of_two_revocations_of_the_same_the_later_one_counts(world: World) {
    let node = world.node("a").await;
    for at in [NOW, NOW + 5, NOW + 2] {
        assert!(node.revokes("acme", &revocation("subject:s", at), MOST).await);
    }
    assert_eq!(node.revoked("acme").await, [revocation("subject:s", NOW + 5)]);
}

async fn a_tenants_number_changes_with_its_revocations(world: World) {
    let node = world.node("a").await;
    let mut seen = Vec::new();
    for number in 0..20 {
        node.revokes("acme", &revocation(&format!("subject:s{}", number / 2), NOW), MOST).await;
        seen.push(node.versions().await[&tenant("acme")]);
    }
    let before = seen.clone();
    seen.dedup();
    assert_eq!(seen, before, "twice the same number");
}

async fn of_a_tenant_no_more_are_kept_than_allowed(world: World) {
    let node = world.node("a").await;
    assert!(node.revokes("acme", &revocation("subject:a", NOW), 2).await);
    assert!(node.revokes("acme", &revocation("subject:b", NOW), 2).await);
    assert!(!node.revokes("acme", &revocation("subject:c", NOW), 2).await);
    assert!(node.revokes("acme", &revocation("subject:b", NOW + 1), 2).await, "it is one of them");
    assert_eq!(node.revoked("acme").await.len(), 2);
}

async fn what_is_over_makes_room(world: World) {
    let node = world.node("a").await;
    assert!(node.revokes("acme", &revocation("subject:a", NOW), 2).await);
    assert!(node.revokes("acme", &revocation("subject:b", NOW + 1), 2).await);
    assert!(node.revokes("acme", &revocation("subject:c", NOW + 3_600), 2).await);
    let whom: Vec<Whom> = node.revoked("acme").await.into_iter().map(|one| one.whom).collect();
    assert_eq!(whom, [Whom::Subject("b".to_owned()), Whom::Subject("c".to_owned())]);
}

async fn revocations_of_two_tenants_are_apart(world: World) {
    let node = world.node("a").await;
    node.revokes("acme", &revocation("subject:s", NOW), 1).await;
    assert!(node.revokes("other", &revocation("subject:s", NOW + 9), 1).await);
    assert_eq!(node.revoked("acme").await, [revocation("subject:s", NOW)]);
    assert!(node.revoked("nobody").await.is_empty());
    assert_eq!(node.versions().await.len(), 2);
}
