//! The hub's promises: the right sockets get the frame, tenants never meet, removal is by identity.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use signalbox_protocol::control::Position;
use signalbox_protocol::{Agent, NodeId};
use signalbox_registry::Logged;
use signalbox_registry::log::{Page, Read};

use super::*;
use crate::testing::{tenant, topic};
use crate::ws::outbox::Bounds;

const BOUNDS: Bounds = Bounds { messages_max: 100, bytes_max: 1 << 20 };

pub(crate) fn connection(number: u64, of: &str) -> Arc<Connection> {
    connection_with(Arc::default(), number, of)
}

pub(crate) fn connection_with(flusher: Arc<Flusher>, number: u64, of: &str) -> Arc<Connection> {
    let profile = Profile {
        tenant: tenant(of),
        agent: Agent::of("vehicle", &format!("V{number}")).unwrap(),
        subject: None,
        session: topic(&format!("session:s{number}")),
        session_named: false,
        pillar: None,
        namespace: None,
        connected_at_ms: 0,
    };
    Arc::new(Connection::new((&NodeId::try_new("n").unwrap(), number), profile, BOUNDS, flusher))
}

fn hub_with(connections: &[&Arc<Connection>]) -> Hub {
    let hub = Hub::new(Metrics::new(), Arc::default());
    connections.iter().for_each(|connection| hub.insert(connection));
    hub
}

fn deliver(hub: &Hub, of: &str, to: &str, except: Option<u64>) -> usize {
    let frame = Bytes::from_static(b"\x81\x02{}");
    let (tenant, topic) = (tenant(of), topic(to));
    hub.deliver(&Delivery {
        tenant: &tenant,
        topic: &topic,
        conflation: 0,
        frame: &frame,
        except,
        spared: None,
    })
}

fn got(connection: &Connection) -> usize {
    connection.outbox().take(&mut Vec::new(), usize::MAX, usize::MAX).messages.messages()
}

#[test]
fn a_frame_reaches_all_followers_but_its_sender() {
    let all: Vec<_> = (0..5).map(|number| connection(number, "t")).collect();
    let hub = hub_with(&all.iter().collect::<Vec<_>>());
    for member in &all[..4] {
        assert!(hub.join(member, &topic("route:1"), None));
    }
    assert!(!hub.join(&all[0], &topic("route:1"), None), "joined once only");
    assert_eq!(deliver(&hub, "t", "route:1", Some(2)), 4);
    assert_eq!(all.iter().map(|member| got(member)).collect::<Vec<_>>(), [1, 1, 0, 1, 0]);
}

#[test]
fn a_topic_of_another_tenant_is_another_topic() {
    let (mine, yours) = (connection(1, "a"), connection(2, "b"));
    let hub = hub_with(&[&mine, &yours]);
    hub.join(&mine, &topic("route:1"), None);
    hub.join(&yours, &topic("route:1"), None);
    assert_eq!(deliver(&hub, "a", "route:1", None), 1);
    assert_eq!((got(&mine), got(&yours)), (1, 0));
    assert_eq!(deliver(&hub, "a", &format!("connection:{}", yours.id()), None), 0);
    assert_eq!(deliver(&hub, "b", &format!("connection:{}", yours.id()), None), 1);
}

#[test]
fn who_leaves_is_gone_from_every_topic_and_leaves_no_entry_behind() {
    let (first, second) = (connection(1, "t"), connection(2, "t"));
    let hub = hub_with(&[&first, &second]);
    for name in ["route:1", "route:2"] {
        hub.join(&first, &topic(name), None);
    }
    hub.join(&second, &topic("route:2"), None);
    assert!(hub.part(&first, &topic("route:1")));
    assert!(!hub.part(&first, &topic("route:1")));
    assert_eq!(hub.remove(&first), [topic("route:2")]);
    assert_eq!(hub.topics(&tenant("t")), [(topic("route:2"), 1)]);
    hub.remove(&second);
    assert_eq!((hub.len(), hub.topics_len()), (0, 0));
}

#[test]
fn a_late_removal_does_not_take_the_newer_connection_of_that_name() {
    let (old, new) = (connection(1, "t"), connection(1, "t"));
    let hub = hub_with(&[&old, &new]);
    hub.remove(&old);
    assert!(hub.holds(&new));
}

#[test]
fn a_large_group_shrinks_and_stays_whole() {
    let all: Vec<_> = (0..500).map(|number| connection(number, "t")).collect();
    let hub = hub_with(&all.iter().collect::<Vec<_>>());
    for member in &all {
        hub.join(member, &topic("agent_type:vehicle"), None);
    }
    all[10..].iter().for_each(|member| drop(hub.remove(member)));
    assert_eq!(deliver(&hub, "t", "agent_type:vehicle", None), 10);
    assert!(all[..10].iter().all(|member| got(member) == 1));
}

#[test]
fn who_follows_the_pool_is_spared_the_namespace_s_copy() {
    let all: Vec<_> = (0..2).map(|number| connection(number, "t")).collect();
    let hub = hub_with(&all.iter().collect::<Vec<_>>());
    let (namespace, pool) = (topic("namespace:route-reservoir"), topic("route:12"));
    all.iter().for_each(|member| assert!(hub.join(member, &namespace, None)));
    hub.join(&all[1], &pool, None);
    let (tenant, frame) = (tenant("t"), Bytes::from_static(b"\x81\x02{}"));
    let spared = Some(&pool);
    hub.deliver(&Delivery {
        tenant: &tenant,
        topic: &namespace,
        conflation: 0,
        frame: &frame,
        except: None,
        spared,
    });
    assert_eq!(all.iter().map(|member| got(member)).collect::<Vec<_>>(), [1, 0]);
}

fn position(epoch: &str, offset: u64) -> Position {
    Position { epoch: epoch.to_owned(), offset }
}

fn logged(key: &TopicKey, at: Position) -> Logged {
    let body = Bytes::from(format!(r#"{{"id":"m{}","type":"order:new"}}"#, at.offset));
    Logged { tenant: key.tenant.clone(), topic: key.topic.clone(), position: at, body }
}

#[test]
fn a_message_that_comes_before_the_first_follower_is_at_its_place_is_read_from_the_log() {
    let (driver, key) = (connection(1, "t"), TopicKey::new(&tenant("t"), &topic("order:1")));
    let hub = hub_with(&[&driver]);
    hub.join(&driver, &key.topic, Some(Hold::CatchingUp));
    let (metrics, nothing) = (Metrics::new(), position("s.1", 0));
    let work = |followers: &mut Followers| {
        // The log was empty when it was asked, and a moment later it is not.
        assert!(!followers.establish(&nothing, Some(&nothing), &metrics));
        assert!(!followers.take(logged(&key, position("s.2", 1)), Some(&nothing), &metrics));
        assert_eq!(followers.catch_up(1, &nothing, Some(&nothing), false), Caught::UpWithDoubt);
        let (question, _) = followers.question().expect("it is in doubt");
        assert_eq!(question.after, nothing);
        let bodies = vec![logged(&key, position("s.2", 1)).body];
        let page = Page { first: 1, bodies, head: position("s.2", 1) };
        followers.settle(&key, Read::Page(page), 1, &metrics);
        assert!(followers.question().is_none());
        assert!(!followers.take(logged(&key, position("s.2", 2)), Some(&nothing), &metrics));
    };
    hub.with(&key, work).expect("it is followed");
    assert_eq!(got(&driver), 2);
}

#[test]
fn a_message_that_comes_before_the_answer_where_its_log_begins_is_delivered() {
    let (driver, key) = (connection(1, "t"), TopicKey::new(&tenant("t"), &topic("order:1")));
    let hub = hub_with(&[&driver]);
    hub.join(&driver, &key.topic, Some(Hold::CatchingUp));
    let (metrics, nothing) = (Metrics::new(), position("s.1", 0));
    let work = |followers: &mut Followers| {
        assert!(!followers.take(logged(&key, position("s.2", 1)), None, &metrics));
        assert!(!followers.establish(&nothing, Some(&nothing), &metrics));
        assert_eq!(followers.at(), Some(&position("s.2", 1)), "the epoch goes by another name now");
        assert_eq!(followers.catch_up(1, &nothing, Some(&nothing), false), Caught::Behind);
    };
    hub.with(&key, work).expect("it is followed");
}

#[test]
fn what_is_counted_of_a_connection_fits_five_words() {
    assert_eq!(size_of::<super::connection::Traffic>(), 40);
}

#[test]
fn what_is_compared_with_logs_is_every_group_and_whatever_else_has_one() {
    let all: Vec<_> = (0..6).map(|number| connection(number, "t")).collect();
    let (hub, metrics, nothing) = (hub_with(&[]), Metrics::new(), position("s.1", 0));
    let names = ["route:1", "route:2", "vehicle:V1", "vehicle:V2", "connection:n-1", "session:s3"];
    let mut random = fastrand::Rng::with_seed(7);
    let (mut groups, mut points) = (0, 0);
    for _ in 0..3_000 {
        let (member, name) = (&all[random.usize(..all.len())], topic(names[random.usize(..names.len())]));
        let key = TopicKey::new(&tenant("t"), &name);
        match random.u8(..16) {
            0..2 => drop(hub.remove(member)),
            2..4 if !hub.holds(member) => hub.insert(member),
            4..7 if hub.holds(member) => drop(hub.join(member, &name, None)),
            7..9 => drop(hub.part(member, &name)),
            9 => {
                let take =
                    |f: &mut Followers| f.take(logged(&key, position("s.1", 1)), Some(&nothing), &metrics);
                hub.with(&key, take);
            }
            _ => {}
        }
        let is_due = |key: &TopicKey, followers: &Followers| {
            (followers.has_tail() || key.topic.kind() == "route").then(|| key.clone())
        };
        let of_all: HashSet<_> = hub.pick(is_due).into_iter().collect();
        let listed = hub.pick_logged(|key, _| Some(key.clone()));
        assert_eq!(listed.len(), of_all.len());
        assert_eq!(listed.into_iter().collect::<HashSet<_>>(), of_all);
        assert_eq!(hub.checklist.all().len(), of_all.len(), "who has gone is not listed either");
        groups = groups.max(of_all.iter().filter(|key| key.topic.kind() == "route").count());
        points = points.max(of_all.iter().filter(|key| key.topic.kind() != "route").count());
    }
    assert_eq!((groups, points > 1), (2, true), "all of it happened");
}
