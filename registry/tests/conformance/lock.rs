//! Locks: one holder, fences that grow, tokens that decide, and a line that is served in order.

mod history;
pub(crate) mod line;

use std::collections::BTreeSet;
use std::time::Duration;

use signalbox_protocol::{RequestId, Resource};
use signalbox_registry::Error;
use signalbox_registry::lock::{Acquired, Ask, Denial, Grant, Held, Released};
use signalbox_testkit::eventually;
use tokio::time::Instant;

use crate::on_both;
use crate::world::{Node, SOON, World, agent, tenant};

on_both!(
    a_lock_has_one_holder,
    a_lock_ends_with_its_time_to_live,
    a_renewal_starts_the_time_anew_or_changes_it,
    the_token_alone_decides,
    a_guessed_token_changes_nothing,
    the_fence_grows_with_every_grant,
    a_retry_gets_the_grant_that_stands,
    another_subjects_request_is_no_retry,
    tenants_and_resources_are_apart,
    whoever_looks_sees_the_holder,
    a_listing_holds_every_lock_of_the_tenant_once,
    whatever_comes_of_it_is_counted,
);

/// Longer than any test.
pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) fn resource(name: &str) -> Resource {
    Resource::try_new(name).unwrap()
}

pub(crate) fn request_id(text: &str) -> Option<RequestId> {
    Some(RequestId::try_new(text).unwrap())
}

/// An ask of the default tenant, that lasts long and does not wait.
pub(crate) fn ask(name: &str, owner: &str) -> Ask {
    Ask {
        tenant: tenant("acme"),
        resource: resource(name),
        owner: agent(owner),
        subject: owner.to_owned(),
        request_id: None,
        ttl: LONG,
        wait: Duration::ZERO,
    }
}

pub(crate) fn granted(acquired: Acquired) -> Grant {
    match acquired {
        Acquired::Granted(grant) => grant,
        Acquired::Denied(denial) => panic!("{denial:?}"),
    }
}

pub(crate) fn denied(acquired: Acquired) -> Denial {
    match acquired {
        Acquired::Denied(denial) => denial,
        Acquired::Granted(grant) => panic!("{grant:?}"),
    }
}

impl Node {
    pub(crate) async fn takes(&self, ask: &Ask) -> Grant {
        granted(self.cluster.locks.acquire(ask).await.unwrap())
    }

    pub(crate) async fn is_denied(&self, ask: &Ask) -> Denial {
        denied(self.cluster.locks.acquire(ask).await.unwrap())
    }

    pub(crate) async fn releases(&self, name: &str, token: &str) -> Released {
        self.cluster.locks.release(&tenant("acme"), &resource(name), token).await.unwrap()
    }

    async fn renews(&self, name: &str, token: &str, ttl: Option<Duration>) -> Acquired {
        self.cluster.locks.renew(&tenant("acme"), &resource(name), token, ttl).await.unwrap()
    }

    pub(crate) async fn holder(&self, name: &str) -> Option<Held> {
        self.cluster.locks.inspect(&tenant("acme"), &resource(name)).await.unwrap()
    }

    pub(crate) async fn sees_it_free(&self, name: &str) {
        eventually("the lock is free", SOON, || async { self.holder(name).await.is_none() }).await;
    }
}

async fn a_lock_has_one_holder(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let grant = a.takes(&ask("r", "vehicle:1")).await;
    assert_eq!((grant.token.len(), grant.ttl), (32, LONG));
    assert!(grant.token.bytes().all(|byte| byte.is_ascii_hexdigit()), "{grant:?}");
    for node in [&a, &b] {
        for other in ["vehicle:1", "vehicle:2"] {
            let denial = node.is_denied(&ask("r", other)).await;
            assert_eq!(denial.held_by, Some(agent("vehicle:1")));
            assert!(denial.retry_after <= LONG && denial.retry_after > LONG - SOON, "{denial:?}");
        }
    }
    assert_eq!(b.releases("r", &grant.token).await, Released::Released);
    let next = b.takes(&ask("r", "vehicle:2")).await;
    assert!(next.token != grant.token && next.fence > grant.fence);
}

async fn a_lock_ends_with_its_time_to_live(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let brief = Ask { ttl: Duration::from_millis(120), ..ask("r", "vehicle:1") };
    let grant = a.takes(&brief).await;
    b.sees_it_free("r").await;
    let nobody = Denial { held_by: None, retry_after: Duration::ZERO };
    assert_eq!(denied(a.renews("r", &grant.token, None).await), nobody, "over is over");
    assert_eq!(a.releases("r", &grant.token).await, Released::Denied(nobody));
    let next = b.takes(&ask("r", "vehicle:2")).await;
    assert!(next.fence > grant.fence);
    let theirs = denied(a.renews("r", &grant.token, None).await);
    assert_eq!(theirs.held_by, Some(agent("vehicle:2")));
    assert!(matches!(a.releases("r", &grant.token).await, Released::Denied(_)));
    assert_eq!(a.holder("r").await.unwrap().fence, next.fence, "the late one ended nothing");
}

async fn a_renewal_starts_the_time_anew_or_changes_it(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let minute = a.takes(&ask("r", "vehicle:1")).await;
    let hour = Duration::from_secs(3_600);
    for (ttl, lasts) in [(None, LONG), (Some(hour), hour), (None, hour), (Some(LONG), LONG), (None, LONG)] {
        let renewed = granted(b.renews("r", &minute.token, ttl).await);
        assert_eq!(renewed, Grant { ttl: lasts, ..minute.clone() });
        let remaining = a.holder("r").await.unwrap().remaining;
        assert!(remaining <= lasts && remaining > lasts - SOON, "{remaining:?} of {lasts:?}");
    }
    // What is renewed more often than it ends never ends.
    let ttl = Duration::from_secs(1);
    let (grant, taken) = (a.takes(&Ask { ttl, ..ask("brief", "vehicle:1") }).await, Instant::now());
    eventually("it outlived its first time", SOON, || async {
        granted(b.renews("brief", &grant.token, None).await);
        taken.elapsed() > ttl
    })
    .await;
    assert_eq!(a.holder("brief").await.unwrap().fence, grant.fence);
    b.sees_it_free("brief").await;
}

async fn the_token_alone_decides(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let grant = a.takes(&ask("r", "vehicle:1")).await;
    drop(a);
    assert_eq!(granted(b.renews("r", &grant.token, None).await).fence, grant.fence);
    assert_eq!(b.releases("r", &grant.token).await, Released::Released);
    assert!(matches!(b.releases("r", &grant.token).await, Released::Denied(_)), "once");
}

async fn a_guessed_token_changes_nothing(world: World) {
    let node = world.node("a").await;
    let grant = node.takes(&ask("r", "vehicle:1")).await;
    let guesses = [
        "",
        "0",
        &"0".repeat(32),
        &grant.token[..31],
        &format!("{}|", grant.token),
        "é|%[",
        &"x".repeat(9_999),
    ];
    for guess in guesses {
        assert_eq!(
            denied(node.renews("r", guess, Some(SOON)).await).held_by,
            Some(agent("vehicle:1")),
            "{guess}"
        );
        let Released::Denied(denial) = node.releases("r", guess).await else { panic!("{guess}") };
        assert_eq!(denial.held_by, Some(agent("vehicle:1")));
        assert!(matches!(node.releases("free", guess).await, Released::Denied(_)));
    }
    let held = node.holder("r").await.unwrap();
    assert!(held.fence == grant.fence && held.remaining > LONG - SOON, "{held:?}");
}

async fn the_fence_grows_with_every_grant(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let mut last = 0;
    for round in 0..300 {
        let node = if round % 3 == 0 { &a } else { &b };
        let ttl = if round % 100 == 7 { Duration::from_millis(1) } else { LONG };
        let grant = node.takes(&Ask { ttl, ..ask("r", "vehicle:1") }).await;
        assert!(grant.fence > last && grant.fence < 1 << 53, "{} after {last}", grant.fence);
        last = grant.fence;
        if ttl == LONG {
            assert_eq!(node.releases("r", &grant.token).await, Released::Released);
        } else {
            node.sees_it_free("r").await;
        }
    }
}

async fn a_retry_gets_the_grant_that_stands(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let first = Ask { request_id: request_id("é|%d {} \"1\""), ..ask("r", "vehicle:1") };
    let grant = a.takes(&first).await;
    for retry in [first.clone(), Ask { wait: LONG, ttl: SOON, ..first.clone() }] {
        let again = b.takes(&retry).await;
        assert_eq!((&again.token, again.fence), (&grant.token, grant.fence));
        assert!(again.ttl <= LONG && again.ttl > LONG - SOON, "what is left of it");
    }
    assert_eq!(
        b.is_denied(&ask("r", "vehicle:1")).await.held_by,
        Some(agent("vehicle:1")),
        "no id, no retry"
    );
    assert_eq!(b.releases("r", &grant.token).await, Released::Released);
    let later = b.takes(&first).await;
    assert!(later.fence > grant.fence && later.token != grant.token, "the first grant stands no more");
}

async fn another_subjects_request_is_no_retry(world: World) {
    let node = world.node("a").await;
    let request = |subject: &str, id: &str| Ask {
        subject: subject.to_owned(),
        request_id: request_id(id),
        ..ask("r", "vehicle:1")
    };
    node.takes(&request("ab", "c2:abc|2:abc")).await;
    // However a subject and an id are put together, these are others.
    for (subject, id) in [
        ("x", "c2:abc|2:abc"),
        ("a", "bc2:abc|2:abc"),
        ("abc", "2:abc|2:abc"),
        ("", "abc2:abc|2:abc"),
        ("ab", "c2:abc"),
        ("ab", "c"),
    ] {
        let denial = node.is_denied(&request(subject, id)).await;
        assert_eq!(denial.held_by, Some(agent("vehicle:1")), "{subject} {id}");
    }
}

async fn tenants_and_resources_are_apart(world: World) {
    let node = world.node("a").await;
    let mine = node.takes(&ask("r", "vehicle:1")).await;
    node.takes(&ask("r:2", "vehicle:1")).await;
    let theirs = Ask { tenant: tenant("other"), ..ask("r", "vehicle:9") };
    let grant = node.takes(&theirs).await;
    let locks = &node.cluster.locks;
    let guess = locks.release(&theirs.tenant, &theirs.resource, &mine.token).await.unwrap();
    assert!(matches!(guess, Released::Denied(_)));
    let held = locks.inspect(&theirs.tenant, &theirs.resource).await.unwrap().unwrap();
    assert_eq!((held.owner, held.fence), (agent("vehicle:9"), grant.fence));
}

async fn whoever_looks_sees_the_holder(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    assert_eq!(b.holder("r").await, None);
    let grant = a.takes(&ask("r", "vehicle:1")).await;
    let held = b.holder("r").await.unwrap();
    assert!(held.remaining <= LONG && held.remaining > LONG - SOON);
    let expected = Held {
        resource: resource("r"),
        owner: agent("vehicle:1"),
        fence: grant.fence,
        remaining: held.remaining,
        waiters: 0,
    };
    assert_eq!(held, expected);
}

/// All pages of the tenant's locks, each of at most `limit`.
async fn pages(node: &Node, limit: usize) -> Vec<Vec<Held>> {
    let (mut pages, mut cursor) = (Vec::new(), None);
    loop {
        let page = node.cluster.locks.list(&tenant("acme"), cursor.as_deref(), limit).await.unwrap();
        assert!(page.items.len() <= limit, "{}", page.items.len());
        pages.push(page.items);
        cursor = page.cursor;
        if cursor.is_none() {
            return pages;
        }
    }
}

async fn a_listing_holds_every_lock_of_the_tenant_once(world: World) {
    let node = world.node("a").await;
    assert_eq!(pages(&node, 10).await, [[]]);
    let names: BTreeSet<_> = (0..120).map(|number| format!("order:{number}")).collect();
    for name in &names {
        node.takes(&ask(name, "driver:1")).await;
    }
    node.takes(&Ask { tenant: tenant("acme.eu"), ..ask("order:1", "driver:2") }).await;
    let released = node.takes(&ask("released", "driver:1")).await;
    node.releases("released", &released.token).await;
    for limit in [1, 7, 120, 1_000] {
        let found: Vec<_> = pages(&node, limit).await.concat();
        assert!(found.iter().all(|held| held.owner == agent("driver:1") && held.waiters == 0));
        let found_names: BTreeSet<_> = found.iter().map(|held| held.resource.to_string()).collect();
        assert_eq!((found.len(), &found_names), (120, &names), "pages of {limit}");
    }
    for bad in ["a b", "{", "-1/x y"] {
        let answer = node.cluster.locks.list(&tenant("acme"), Some(bad), 10).await;
        assert!(matches!(answer, Err(Error::Unreadable { what: "cursor" })), "{answer:?}");
    }
}

async fn whatever_comes_of_it_is_counted(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let request = Ask { request_id: request_id("1"), ..ask("r", "vehicle:1") };
    let grant = a.takes(&request).await;
    a.takes(&request).await;
    a.is_denied(&ask("r", "vehicle:2")).await;
    a.is_denied(&Ask { wait: Duration::from_millis(20), ..ask("r", "vehicle:2") }).await;
    a.renews("r", &grant.token, None).await;
    a.renews("r", "guess", None).await;
    a.releases("r", "guess").await;
    a.releases("r", &grant.token).await;
    let counters = a.cluster.locks.counters();
    assert_eq!((counters.grants, counters.denials, counters.waits), (1, 2, 1));
    assert_eq!((counters.renewals, counters.releases, counters.refusals), (1, 1, 2));
    assert_eq!(counters.waiting, 0);
    assert_eq!(b.cluster.locks.counters(), signalbox_registry::lock::LockCounters::default());
}
