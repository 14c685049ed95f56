//! Any history of acquisitions, renewals, releases and time: one holder at a time, and fences that only grow.

use std::collections::HashMap;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::{Strategy, prop_oneof};
use proptest::test_runner::{Config, TestRunner};
use signalbox_registry::lock::{Acquired, Ask, Grant, Released};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, sleep};

use super::{ask, resource};
use crate::world::{Node, World};

/// One thing that somebody does with one of the resources.
#[derive(Debug, Clone)]
enum Step {
    Acquire {
        resource: usize,
        ttl_ms: u64,
    },
    /// With the token of the latest grant, or of the one before that.
    Renew {
        resource: usize,
        latest: bool,
        ttl_ms: Option<u64>,
    },
    Release {
        resource: usize,
        latest: bool,
    },
    Sleep {
        ms: u64,
    },
}

const RESOURCES: usize = 3;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ttl_ms = || prop_oneof![1_u64..40, 60_000_u64..61_000];
    let step = prop_oneof![
        4 => (0..RESOURCES, ttl_ms()).prop_map(|(resource, ttl_ms)| Step::Acquire { resource, ttl_ms }),
        2 => (0..RESOURCES, proptest::bool::ANY, proptest::option::of(ttl_ms()))
            .prop_map(|(resource, latest, ttl_ms)| Step::Renew { resource, latest, ttl_ms }),
        3 => (0..RESOURCES, proptest::bool::ANY).prop_map(|(resource, latest)| Step::Release { resource, latest }),
        1 => (1_u64..50).prop_map(|ms| Step::Sleep { ms }),
    ];
    vec(step, 1..80)
}

/// What is known of a resource from the answers alone.
#[derive(Debug, Default)]
struct Known {
    grants: Vec<Grant>,
    /// The latest grant holds until then at least, unless it is released: counted from before it was asked.
    holds_until: Option<Instant>,
}

impl Known {
    fn token(&self, latest: bool) -> Option<&str> {
        let at = self.grants.len().checked_sub(if latest { 1 } else { 2 })?;
        Some(&self.grants[at].token)
    }

    /// A lock that certainly lasts, seen from after an answer.
    fn is_held(&self, now: Instant) -> bool {
        self.holds_until.is_some_and(|until| now < until)
    }
}

/// Does the steps of one history on two nodes in turn.
async fn play(nodes: &[Node; 2], prefix: &str, steps: &[Step]) {
    let mut known: HashMap<usize, Known> = HashMap::new();
    for (turn, step) in steps.iter().enumerate() {
        let (locks, asked) = (&nodes[turn % 2].cluster.locks, Instant::now());
        let name = |number: &usize| format!("{prefix}-{number}");
        match step {
            Step::Acquire { resource, ttl_ms } => {
                let ttl = Duration::from_millis(*ttl_ms);
                let ask = Ask { ttl, ..ask(&name(resource), "vehicle:1") };
                let Acquired::Granted(grant) = locks.acquire(&ask).await.unwrap() else { continue };
                let known = known.entry(*resource).or_default();
                assert!(!known.is_held(Instant::now()), "{grant:?} while {known:?}");
                assert!(
                    known.grants.iter().all(|before| before.fence < grant.fence),
                    "{grant:?} after {known:?}"
                );
                known.grants.push(grant);
                known.holds_until = Some(asked + ttl);
            }
            Step::Renew { resource: number, latest, ttl_ms } => {
                let known = known.entry(*number).or_default();
                let Some(token) = known.token(*latest) else { continue };
                let ttl = ttl_ms.map(Duration::from_millis);
                let renewed =
                    locks.renew(&ask("r", "x:1").tenant, &resource(&name(number)), token, ttl).await;
                let Acquired::Granted(grant) = renewed.unwrap() else { continue };
                assert!(*latest, "a token that was used up");
                assert_eq!(Some(grant.fence), known.grants.last().map(|latest| latest.fence));
                known.holds_until = Some(asked + grant.ttl);
            }
            Step::Release { resource: number, latest } => {
                let known = known.entry(*number).or_default();
                let Some(token) = known.token(*latest) else { continue };
                let released = locks.release(&ask("r", "x:1").tenant, &resource(&name(number)), token).await;
                if released.unwrap() == Released::Released {
                    assert!(*latest, "a token that was used up");
                    known.holds_until = None;
                }
            }
            Step::Sleep { ms } => sleep(Duration::from_millis(*ms)).await,
        }
    }
}

fn play_any(cases: u32, runtime: &Runtime, world: &World) {
    let nodes = runtime.block_on(async { [world.node("a").await, world.node("b").await] });
    let mut runner = TestRunner::new(Config { cases, ..Config::default() });
    let case = std::cell::Cell::new(0);
    let played = runner.run(&steps(), |steps| {
        case.set(case.get() + 1);
        runtime.block_on(play(&nodes, &format!("case-{}", case.get()), &steps));
        Ok(())
    });
    played.unwrap();
}

#[test]
fn on_memory_no_history_breaks_a_lock() {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    play_any(256, &runtime, &World::memory());
}

#[test]
fn on_redis_no_history_breaks_a_lock() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let world = runtime.block_on(World::on_redis());
    play_any(48, &runtime, &world);
}
