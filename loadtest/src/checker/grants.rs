//! From operations to grants: which locks were given, and how long each was certainly held.

use crate::history::Answer;
use crate::history::locks::{Granted, LockAction, LockOperation};

/// A lock that was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grant {
    /// The operation that told of it first.
    pub(crate) operation: u32,
    pub(crate) resource: u32,
    pub(crate) fence: u64,
    /// It was given after this: the first attempt began.
    pub(crate) invoked_ns: u64,
    /// It was given before this, and its client knew.
    pub(crate) returned_ns: u64,
    /// Until then it was certainly held: it was neither given back nor could it have expired.
    pub(crate) ends_ns: u64,
    /// The last operation that was confirmed to its holder, and when it began.
    pub(crate) confirmed: Option<(u32, u64)>,
    ttl_ns: u64,
    given_back: bool,
}

/// All grants of a history, those of a resource together and in the order in which they were told.
#[derive(Debug, Default)]
pub(crate) struct Grants {
    pub(crate) all: Vec<Grant>,
    /// Operations without an answer.
    pub(crate) unknown: u64,
    /// Of these, those that were repeated with an answer.
    pub(crate) resolved: u64,
}

impl Grants {
    pub(crate) fn of(operations: &[LockOperation]) -> Self {
        let mut grants = Self::default();
        let mut order: Vec<u32> = (0..operations.len() as u32).collect();
        let at = |number: &u32| &operations[*number as usize];
        order.sort_unstable_by_key(|number| {
            let operation = at(number);
            (operation.resource, operation.request, operation.span.invoked_ns)
        });
        let request = |number: &u32| (at(number).resource, at(number).request);
        for group in order.chunk_by(|left, right| request(left) == request(right)) {
            grants.add_request(operations, group);
        }
        grants.all.sort_unstable_by_key(|grant| (grant.resource, grant.returned_ns));
        grants
    }

    /// What one request got, and what became of that. `group` stands in the order of beginning.
    fn add_request(&mut self, operations: &[LockOperation], group: &[u32]) {
        let first = self.all.len();
        let invoked_ns = operations[group[0] as usize].span.invoked_ns;
        for number in group {
            let operation = &operations[*number as usize];
            if let LockAction::Acquire(Answer::Ok(granted)) = operation.action {
                self.add_grant(first, (*number, operation), granted, invoked_ns);
            }
        }
        for (place, number) in group.iter().enumerate() {
            let operation = &operations[*number as usize];
            for grant in &mut self.all[first..] {
                grant.follow(*number, operation);
            }
            if operation.action.is_unknown() {
                self.unknown += 1;
                let mut later = group[place + 1..].iter().map(|number| &operations[*number as usize].action);
                let answered = later.any(|l| l.repeats(&operation.action) && !l.is_unknown());
                self.resolved += u64::from(answered);
            }
        }
    }

    /// A repeated attempt is told the same grant again, as long as that is remembered.
    fn add_grant(
        &mut self,
        first: usize,
        (number, operation): (u32, &LockOperation),
        granted: Granted,
        invoked_ns: u64,
    ) {
        let returned_ns = operation.span.returned_ns;
        if let Some(known) = self.all[first..].iter_mut().find(|known| known.fence == granted.fence) {
            if returned_ns < known.returned_ns {
                (known.operation, known.returned_ns) = (number, returned_ns);
            }
            return;
        }
        let ttl_ns = u64::from(granted.ttl_ms) * 1_000_000;
        self.all.push(Grant {
            operation: number,
            resource: operation.resource,
            fence: granted.fence,
            invoked_ns,
            returned_ns,
            ends_ns: earliest_end(invoked_ns, ttl_ns),
            confirmed: None,
            ttl_ns,
            given_back: false,
        });
    }
}

impl Grant {
    /// What a renewal or a release changes, if it is one of this grant. They come in the order of beginning.
    fn follow(&mut self, number: u32, operation: &LockOperation) {
        let invoked_ns = operation.span.invoked_ns;
        match operation.action {
            LockAction::Renew { fence, answer: Answer::Ok(ttl_ms) } if fence == self.fence => {
                self.confirmed = Some((number, invoked_ns));
                if !self.given_back {
                    // An unanswered renewal, which may be carried out later, sets at least the old time.
                    self.ttl_ns = self.ttl_ns.min(u64::from(ttl_ms) * 1_000_000);
                    self.ends_ns = earliest_end(invoked_ns, self.ttl_ns);
                }
            }
            LockAction::Renew { fence, answer: Answer::Refused(()) } if fence == self.fence => {
                self.give_back(invoked_ns);
            }
            LockAction::Release { fence, answer } if fence == self.fence => {
                // A second release of the same lock may be confirmed for the first one's sake.
                if answer == Answer::Ok(()) && !self.given_back {
                    self.confirmed = Some((number, invoked_ns));
                }
                self.give_back(invoked_ns);
            }
            LockAction::Acquire(_) | LockAction::Renew { .. } | LockAction::Release { .. } => {}
        }
    }

    fn give_back(&mut self, at_ns: u64) {
        self.ends_ns = self.ends_ns.min(at_ns);
        self.given_back = true;
    }
}

/// When a lock can have expired that was given for `ttl_ns` after `invoked_ns`.
///
/// Redis counts in whole milliseconds of a clock that is slewed against ours, by 0.05 % at most.
fn earliest_end(invoked_ns: u64, ttl_ns: u64) -> u64 {
    const TICK_NS: u64 = 1_000_000;
    (invoked_ns + ttl_ns).saturating_sub(TICK_NS + ttl_ns / 1_000)
}
