//! Logs: each message has its number, what is gone is said to be gone, and nothing is taken for whole that may
//! not be.

mod model;
mod told;

use bytes::Bytes;
use signalbox_protocol::control::{Discontinuity, Position};
use signalbox_registry::log::{Appended, Audience, Entry, Limits, Page, Read};
use signalbox_testkit::eventually;

use crate::on_both;
use crate::world::{Node, SOON, World, agent, tenant, topic};

on_both!(
    offsets_grow_by_one_and_start_at_one,
    a_topic_in_which_nobody_has_spoken_has_a_position_that_holds,
    a_retry_is_stored_once,
    a_gap_can_be_read_back,
    a_page_ends_at_its_limits,
    trimmed_by_length_is_said,
    trimmed_by_bytes_is_said,
    trimmed_by_age_is_said,
    the_newest_stays_however_long_it_is,
    the_newest_expires_as_well,
    what_comes_after_silence_is_kept,
    another_epoch_is_said,
    a_forced_epoch_begins_once,
    what_was_lost_is_said,
    tenants_and_topics_are_apart,
);

/// More than any of the tests reads.
pub(crate) const ALL: Limits = Limits { entries_max: 10_000, bytes_max: 64 * 1024 * 1024 };

/// A message of the default tenant.
pub(crate) fn entry(to: &str, id: &str, body: &str) -> Entry {
    Entry {
        tenant: tenant("acme"),
        topic: topic(to),
        audience: Audience::Followers,
        source: agent("vehicle:V17"),
        id: id.to_owned(),
        body: Bytes::copy_from_slice(body.as_bytes()),
    }
}

/// A position.
pub(crate) fn at(epoch: &str, offset: u64) -> Position {
    Position { epoch: epoch.to_owned(), offset }
}

/// The bodies of a page with their offsets, as text.
pub(crate) fn entries(page: &Page) -> Vec<(u64, String)> {
    page.entries().map(|(offset, body)| (offset, String::from_utf8(body.to_vec()).unwrap())).collect()
}

fn numbered(numbers: impl IntoIterator<Item = u64>) -> Vec<(u64, String)> {
    numbers.into_iter().map(|number| (number, format!("m{number}"))).collect()
}

impl Node {
    pub(crate) async fn appends(&self, entry: &Entry) -> Appended {
        self.cluster.log.append(entry).await.unwrap()
    }

    /// Appends `m1`, `m2`, and so on; where the last one stands.
    pub(crate) async fn says(&self, to: &str, numbers: std::ops::RangeInclusive<u64>) -> Position {
        let mut last = self.head(to).await;
        for number in numbers {
            last = self.appends(&entry(to, &format!("id-{number}"), &format!("m{number}"))).await.position;
        }
        last
    }

    pub(crate) async fn head(&self, of: &str) -> Position {
        self.cluster.log.heads(&[(tenant("acme"), topic(of))]).await.unwrap().remove(0)
    }

    pub(crate) async fn reads(&self, of: &str, after: &Position, limits: Limits) -> Read {
        self.cluster.log.read(&tenant("acme"), &topic(of), after, limits).await.unwrap()
    }

    pub(crate) async fn page(&self, of: &str, after: &Position) -> Page {
        match self.reads(of, after, ALL).await {
            Read::Page(page) => page,
            broken @ Read::Broken { .. } => panic!("{broken:?}"),
        }
    }

    /// Why there is no page, and where to go on.
    pub(crate) async fn broken(&self, of: &str, after: &Position) -> (Discontinuity, Position) {
        match self.reads(of, after, ALL).await {
            Read::Broken { reason, head } => (reason, head),
            page @ Read::Page(_) => panic!("{page:?}"),
        }
    }
}

async fn offsets_grow_by_one_and_start_at_one(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let first = a.appends(&entry("route:1", "x", "1")).await;
    assert!((first.position.offset, first.duplicate, first.holders.len()) == (1, false, 0));
    for offset in 2..6 {
        let node = if offset % 2 == 0 { &b } else { &a };
        let next = node.appends(&entry("route:1", &format!("x{offset}"), "n")).await;
        assert_eq!(next.position, at(&first.position.epoch, offset));
        assert_eq!(a.head("route:1").await, next.position);
    }
}

async fn a_topic_in_which_nobody_has_spoken_has_a_position_that_holds(world: World) {
    let node = world.node("a").await;
    for name in ["order:1", "vehicle:V1"] {
        let empty = node.head(name).await;
        assert_eq!(empty.offset, 0);
        let page = node.page(name, &empty).await;
        assert_eq!((page.first, page.bodies.len(), page.head.offset), (1, 0, 0));
        node.says(name, 1..=3).await;
        let page = node.page(name, &empty).await;
        assert_eq!((entries(&page), page.end()), (numbered(1..=3), page.head.clone()));
        let later = node.page(name, &at(&empty.epoch, 2)).await;
        assert_eq!(entries(&later), numbered(3..=3), "the epoch that was told first goes on holding");
    }
}

async fn a_retry_is_stored_once(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let message = entry("order:1", "m", "first");
    let first = a.appends(&message).await;
    let between = a.appends(&entry("order:1", "n", "between")).await;
    let again = b.appends(&Entry { body: "second".into(), ..message.clone() }).await;
    assert_eq!(again, Appended { duplicate: true, ..first.clone() });
    let others = Entry { source: agent("vehicle:V18"), ..message.clone() };
    assert_eq!(b.appends(&others).await.position.offset, between.position.offset + 1, "another's id");
    let elsewhere = b.appends(&Entry { topic: topic("order:2"), ..message.clone() }).await;
    assert_eq!((elsewhere.position.offset, elsewhere.duplicate), (1, false), "each topic by itself");
    let page = b.page("order:1", &at(&first.position.epoch, 0)).await;
    let bodies: Vec<_> = entries(&page).into_iter().map(|(_, body)| body).collect();
    assert_eq!(bodies, ["first", "between", "first"]);
}

async fn a_gap_can_be_read_back(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let head = a.says("route:1", 1..=7).await;
    for seen in 0..=7 {
        let page = b.page("route:1", &at(&head.epoch, seen)).await;
        assert_eq!((entries(&page), &page.head), (numbered(seen + 1..=7), &head));
    }
}

async fn a_page_ends_at_its_limits(world: World) {
    let node = world.node("a").await;
    let head = node.says("route:1", 1..=9).await;
    for (limits, last) in [
        (Limits { entries_max: 4, ..ALL }, 6),
        (Limits { bytes_max: 6, ..ALL }, 5),
        (Limits { bytes_max: 7, ..ALL }, 5),
        (Limits { bytes_max: 1, ..ALL }, 3),
        (Limits { entries_max: 0, bytes_max: 0 }, 3),
    ] {
        let Read::Page(page) = node.reads("route:1", &at(&head.epoch, 2), limits).await else { panic!() };
        assert_eq!((entries(&page), &page.head), (numbered(3..=last), &head), "{limits:?}");
        assert_eq!(page.end().offset, last);
    }
}

async fn trimmed_by_length_is_said(world: World) {
    let node = world.node("a").await;
    let head = node.says("few:1", 1..=7).await;
    assert_eq!(entries(&node.page("few:1", &at(&head.epoch, 2)).await), numbered(3..=7));
    assert_eq!(node.broken("few:1", &at(&head.epoch, 1)).await, (Discontinuity::Trimmed, head));
}

async fn trimmed_by_bytes_is_said(world: World) {
    let node = world.node("a").await;
    let head = node.says("small:1", 1..=9).await;
    let long = "x".repeat(90);
    let told = node.appends(&entry("small:1", "long", &long)).await;
    assert_eq!(told.position.offset, 10);
    let page = node.page("small:1", &at(&head.epoch, 4)).await;
    assert_eq!(entries(&page)[..5], numbered(5..=9), "ten bytes are left for five of them");
    assert_eq!(node.broken("small:1", &at(&head.epoch, 3)).await, (Discontinuity::Trimmed, told.position));
}

async fn trimmed_by_age_is_said(world: World) {
    let node = world.node("a").await;
    let head = node.says("brief:1", 1..=3).await;
    eventually("they are too old", SOON, || async {
        matches!(node.reads("brief:1", &at(&head.epoch, 2), ALL).await, Read::Broken { .. })
    })
    .await;
    assert_eq!(node.broken("brief:1", &at(&head.epoch, 0)).await, (Discontinuity::Expired, head.clone()));
    let page = node.page("brief:1", &head).await;
    assert!(page.bodies.is_empty(), "who has had all misses nothing");
    let next = node.says("brief:1", 4..=4).await;
    assert_eq!(next, at(&head.epoch, 4));
    assert_eq!(entries(&node.page("brief:1", &head).await), numbered(4..=4));
    assert_eq!(node.broken("brief:1", &at(&head.epoch, 2)).await, (Discontinuity::Expired, next));
}

async fn the_newest_stays_however_long_it_is(world: World) {
    let node = world.node("a").await;
    let before = node.says("small:1", 1..=2).await;
    let long = "x".repeat(3_000);
    node.appends(&entry("small:1", "long", &long)).await;
    assert_eq!(entries(&node.page("small:1", &before).await), [(3, long)]);
    let next = node.says("small:1", 4..=4).await;
    assert_eq!(node.broken("small:1", &before).await, (Discontinuity::Trimmed, next.clone()));
    assert_eq!(entries(&node.page("small:1", &at(&before.epoch, 3)).await), numbered(4..=4));
    let short = node.says("small:1", 5..=8).await;
    assert_eq!(
        entries(&node.page("small:1", &at(&short.epoch, 3)).await),
        numbered(4..=8),
        "bytes are counted"
    );
}

async fn the_newest_expires_as_well(world: World) {
    let node = world.node("a").await;
    let head = node.says("brief:1", 1..=1).await;
    let before = at(&head.epoch, 0);
    eventually("it is too old", SOON, || async {
        matches!(node.reads("brief:1", &before, ALL).await, Read::Broken { .. })
    })
    .await;
    assert_eq!(node.broken("brief:1", &before).await, (Discontinuity::Expired, head.clone()));
    assert_eq!(node.head("brief:1").await, head, "where it ended is remembered");
}

async fn what_comes_after_silence_is_kept(world: World) {
    let node = world.node("a").await;
    let head = node.says("brief:1", 1..=3).await;
    // Long enough for everything of it to end that ends by itself.
    match world.redis() {
        None => tokio::time::sleep(std::time::Duration::from_secs(5)).await,
        Some(redis) => {
            let log = "sb:{acme:brief:1}:log";
            eventually("the messages are gone", SOON, || async {
                redis.cli_at(log, &["exists", log]) == "0"
            })
            .await;
        }
    }
    assert_eq!(node.says("brief:1", 4..=5).await, at(&head.epoch, 5));
    assert_eq!(entries(&node.page("brief:1", &head).await), numbered(4..=5));
    assert_eq!(node.broken("brief:1", &at(&head.epoch, 2)).await.0, Discontinuity::Expired);
}

async fn another_epoch_is_said(world: World) {
    let node = world.node("a").await;
    let head = node.says("route:1", 1..=3).await;
    for other in [at("", 0), at("whatever", 2), at(&head.epoch, 4), at(&format!("{}.1", head.epoch), 2)] {
        assert_eq!(node.broken("route:1", &other).await, (Discontinuity::Epoch, head.clone()), "{other:?}");
    }
    let nothing = node.head("route:2").await;
    assert_eq!(node.broken("route:2", &at(&nothing.epoch, 1)).await.0, Discontinuity::Epoch);
    assert_eq!(node.broken("route:2", &at("", 0)).await.0, Discontinuity::Epoch);
}

async fn a_forced_epoch_begins_once(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let old = a.says("route:1", 1..=3).await;
    let force = async |node: &Node| {
        node.cluster.log.new_epoch(&tenant("acme"), &topic("route:1"), &old.epoch).await.unwrap()
    };
    let new = force(&a).await;
    assert!(new.epoch != old.epoch && new.offset == old.offset, "{new:?}");
    assert_eq!(force(&b).await, new, "somebody has since");
    assert_eq!(a.broken("route:1", &at(&old.epoch, 2)).await, (Discontinuity::Epoch, new.clone()));
    assert_eq!(b.says("route:1", 4..=4).await, at(&new.epoch, 4));
    assert_eq!(entries(&a.page("route:1", &new).await), numbered(4..=4));
    assert_eq!(a.head("route:1").await, at(&new.epoch, 4));
    let nowhere = b.cluster.log.new_epoch(&tenant("acme"), &topic("route:2"), "x").await.unwrap();
    assert_eq!(nowhere.offset, 0);
}

async fn what_was_lost_is_said(world: World) {
    let node = world.node("a").await;
    let (spoken, silent) = (node.says("route:1", 1..=3).await, node.head("vehicle:V1").await);
    world.lose_everything();
    for (name, held) in [("route:1", &spoken), ("vehicle:V1", &silent)] {
        let (reason, head) = node.broken(name, held).await;
        assert_eq!((reason, head.offset), (Discontinuity::Epoch, 0), "{name}");
    }
    // Even where the new log reaches further than the old one did.
    for name in ["route:1", "vehicle:V1"] {
        node.says(name, 1..=5).await;
    }
    for (name, held) in [("route:1", &spoken), ("vehicle:V1", &silent)] {
        let (reason, head) = node.broken(name, held).await;
        assert_eq!((reason, head.offset), (Discontinuity::Epoch, 5), "{name}");
        assert_eq!(node.page(name, &head).await.head, head);
    }
}

async fn tenants_and_topics_are_apart(world: World) {
    let node = world.node("a").await;
    let head = node.says("route:1", 1..=2).await;
    let theirs = Entry { tenant: tenant("other"), ..entry("route:1", "id-1", "theirs") };
    let told = node.appends(&theirs).await;
    assert_eq!((told.position.offset, told.duplicate), (1, false));
    assert_eq!(node.head("route:1").await, head);
    assert_eq!(node.head("route:2").await.offset, 0);
    let asked = [("acme", "route:2"), ("other", "route:1"), ("acme", "route:1"), ("other", "route:2")];
    let asked = asked.map(|(of, name)| (tenant(of), topic(name)));
    let offsets: Vec<_> =
        node.cluster.log.heads(&asked).await.unwrap().iter().map(|head| head.offset).collect();
    assert_eq!(offsets, [0, 1, 2, 0]);
}
