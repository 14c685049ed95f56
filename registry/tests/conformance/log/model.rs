//! Random appends, retries and reads, held against a list that never forgets.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use signalbox_protocol::control::Discontinuity;
use signalbox_registry::log::{Limits, Read};

use super::{at, entries, entry};
use crate::on_both;
use crate::world::{Node, World};

on_both!(a_log_does_what_its_model_does);

/// How many runs of operations, each in a topic of its own.
const RUNS: usize = 60;

#[derive(Debug, Clone)]
enum Step {
    /// A message of so many bytes.
    Append(usize),
    /// The message so many before the last one again.
    Repeat(usize),
    /// What follows the position so many before the end, at most so many entries and bytes of it.
    Read(u64, usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop_oneof![0_usize..12, 0_usize..90].prop_map(Step::Append),
        1 => (0_usize..20).prop_map(Step::Repeat),
        3 => (0_u64..14, 0_usize..14, 0_usize..90).prop_map(|(back, most, bytes)| Step::Read(back, most, bytes)),
    ]
}

/// All that was ever said in a topic that keeps 8 messages and 60 bytes.
#[derive(Debug, Default)]
struct Model(Vec<String>);

impl Model {
    /// The offset of the first message that is kept.
    fn first_kept(&self) -> u64 {
        let (mut kept, mut bytes) = (0, 0);
        for body in self.0.iter().rev() {
            bytes += body.len();
            if kept == 8 || (kept > 0 && bytes > 60) {
                break;
            }
            kept += 1;
        }
        (self.0.len() - kept) as u64 + 1
    }

    fn following(&self, offset: u64, limits: Limits) -> Vec<(u64, String)> {
        let (mut page, mut bytes) = (Vec::new(), 0);
        for (number, body) in (1..).zip(&self.0).skip(offset as usize).take(limits.entries_max.max(1)) {
            bytes += body.len();
            if bytes > limits.bytes_max && !page.is_empty() {
                break;
            }
            page.push((number, body.clone()));
        }
        page
    }
}

async fn a_log_does_what_its_model_does(world: World) {
    let node = world.node("a").await;
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRunner::deterministic().new_rng());
    for run in 0..RUNS {
        let steps = vec(step(), 1..60).new_tree(&mut runner).unwrap().current();
        walk(&node, &format!("model:{run}"), &steps).await;
    }
}

async fn walk(node: &Node, name: &str, steps: &[Step]) {
    let epoch = node.head(name).await.epoch;
    let mut model = Model::default();
    for (place, step) in steps.iter().enumerate() {
        let told = || format!("step {place} of {steps:?}");
        match step {
            Step::Append(bytes) => {
                model.0.push(format!("{:x>bytes$}", model.0.len() + 1));
                let offset = model.0.len();
                let appended = node.appends(&entry(name, &offset.to_string(), &model.0[offset - 1])).await;
                assert_eq!(
                    (appended.position.offset, appended.duplicate),
                    (offset as u64, false),
                    "{}",
                    told()
                );
            }
            Step::Repeat(back) => {
                let Some(offset) = model.0.len().checked_sub(*back).filter(|offset| *offset > 0) else {
                    continue;
                };
                let appended = node.appends(&entry(name, &offset.to_string(), "again")).await;
                assert_eq!(
                    (appended.position.offset, appended.duplicate),
                    (offset as u64, true),
                    "{}",
                    told()
                );
            }
            Step::Read(back, entries_max, bytes_max) => {
                let Some(after) = (model.0.len() as u64).checked_sub(*back) else { continue };
                let limits = Limits { entries_max: *entries_max, bytes_max: *bytes_max };
                match node.reads(name, &at(&epoch, after), limits).await {
                    Read::Page(page) => {
                        assert_eq!(entries(&page), model.following(after, limits), "{}", told());
                        assert!(after + 1 >= model.first_kept(), "{}", told());
                        assert_eq!(page.head.offset, model.0.len() as u64, "{}", told());
                    }
                    Read::Broken { reason, .. } => {
                        assert_eq!(reason, Discontinuity::Trimmed, "{}", told());
                        assert!(after + 1 < model.first_kept(), "{}", told());
                    }
                }
            }
        }
    }
}
