//! Clients of the lock server in the box: they acquire, hold, pause, renew, release, and repeat what was
//! not answered.

use super::lock_server::{Claim, Flaws, LockServer};
use super::{Agenda, Network};
use crate::dice::Dice;
use crate::history::locks::{Granted, LockAction, LockOperation};
use crate::history::{Answer, Span};

/// How a simulation is set up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    pub(super) seed: u64,
    pub(super) clients: u32,
    pub(super) resources: u32,
    pub(super) ttl_ms: u32,
    pub(super) network: Network,
    pub(super) flaws: Flaws,
}

/// Attempts at one thing.
const ATTEMPTS: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Acquire,
    Renew,
    Release,
}

#[derive(Debug, Clone, Copy)]
struct Question {
    verb: Verb,
    claim: Claim,
    attempt: u32,
    /// Tells it from all others.
    number: u64,
    invoked_ns: u64,
}

/// Done, with the fence if it was granted; or refused.
type Reply = Option<u64>;

#[derive(Debug, Clone, Copy)]
enum Event {
    Begin { client: u32 },
    Ask(Verb, Claim),
    Looks(Question),
    Acts(Question, bool),
    Told(Question, Reply),
    GivesUp(Question),
}

struct World {
    setting: Setting,
    dice: Dice,
    server: LockServer,
    agenda: Agenda<Event>,
    /// The question that each client waits for.
    waits_for: Vec<u64>,
    questions: u64,
    history: Vec<LockOperation>,
}

/// What clients see until so many operations are over, and nothing is under way any more.
pub(super) fn history(setting: Setting, operations: usize) -> Vec<LockOperation> {
    let mut world = World {
        setting,
        dice: Dice::new(setting.seed),
        server: LockServer::new(setting.flaws, setting.ttl_ms),
        agenda: Agenda::new(),
        waits_for: vec![0; setting.clients as usize],
        questions: 0,
        history: Vec::new(),
    };
    for client in 0..setting.clients {
        world.agenda.after(0, Event::Begin { client });
    }
    while let Some(event) = world.agenda.next() {
        let over = world.history.len() >= operations;
        if !(over && matches!(event, Event::Begin { .. })) {
            world.apply(event);
        }
    }
    world.history
}

impl World {
    fn apply(&mut self, event: Event) {
        let now_ns = self.agenda.now_ns;
        match event {
            Event::Begin { client } => {
                let resource = self.dice.below(self.setting.resources.into()) as u32;
                let request = self.questions + 1;
                self.ask(Verb::Acquire, Claim { client, resource, request, fence: 0 }, 1);
            }
            Event::Ask(verb, claim) => self.ask(verb, claim, 1),
            Event::Looks(question) => {
                let free = self.server.looks_free(now_ns, question.claim.resource);
                let gap_ns = self.dice.below(self.setting.network.delay_ns_max);
                self.agenda.after(gap_ns, Event::Acts(question, free));
            }
            Event::Acts(question, free) => {
                let reply = self.act(question, free);
                if let Some(delay_ns) = self.setting.network.delay(&mut self.dice) {
                    self.agenda.after(delay_ns, Event::Told(question, reply));
                }
            }
            Event::Told(question, reply) => self.told(question, reply),
            Event::GivesUp(question) => self.give_up(question),
        }
    }

    fn ask(&mut self, verb: Verb, claim: Claim, attempt: u32) {
        self.questions += 1;
        let (number, invoked_ns) = (self.questions, self.agenda.now_ns);
        let question = Question { verb, claim, attempt, number, invoked_ns };
        self.waits_for[claim.client as usize] = number;
        if let Some(delay_ns) = self.setting.network.delay(&mut self.dice) {
            self.agenda.after(delay_ns, Event::Looks(question));
        }
        self.agenda.after(4 * self.setting.network.delay_ns_max, Event::GivesUp(question));
    }

    fn act(&mut self, question: Question, looked_free: bool) -> Reply {
        let (now_ns, claim) = (self.agenda.now_ns, question.claim);
        match question.verb {
            Verb::Acquire => self.server.acquire(now_ns, claim, looked_free, &mut self.dice),
            Verb::Renew => self.server.renew(now_ns, claim, &mut self.dice).then_some(claim.fence),
            Verb::Release => self.server.release(now_ns, claim).then_some(claim.fence),
        }
    }

    fn told(&mut self, question: Question, reply: Reply) {
        let client = question.claim.client;
        if self.waits_for[client as usize] != question.number {
            return;
        }
        self.waits_for[client as usize] = 0;
        self.record(question, reply.map_or(Answer::Refused(()), Answer::Ok));
        let hold_ns = self.hold_ns();
        match (question.verb, reply) {
            (Verb::Acquire, Some(fence)) => {
                let claim = Claim { fence, ..question.claim };
                let verb = if self.dice.percent(50) { Verb::Renew } else { Verb::Release };
                self.agenda.after(hold_ns, Event::Ask(verb, claim));
            }
            (Verb::Renew, Some(_)) => self.agenda.after(hold_ns, Event::Ask(Verb::Release, question.claim)),
            (Verb::Release, _) | (_, None) => self.begin_anew(client),
        }
    }

    /// Some clients are paused while they hold, for longer than the lock lasts.
    fn hold_ns(&mut self) -> u64 {
        let ttl_ns = u64::from(self.setting.ttl_ms) * 1_000_000;
        if self.dice.percent(10) { ttl_ns + self.dice.below(ttl_ns) } else { self.dice.below(ttl_ns / 10) }
    }

    fn begin_anew(&mut self, client: u32) {
        let rest_ns = 1 + self.dice.below(self.setting.network.delay_ns_max);
        self.agenda.after(rest_ns, Event::Begin { client });
    }

    fn give_up(&mut self, question: Question) {
        let client = question.claim.client;
        if self.waits_for[client as usize] != question.number {
            return;
        }
        self.record(question, Answer::Unknown);
        if question.attempt < ATTEMPTS {
            self.ask(question.verb, question.claim, question.attempt + 1);
        } else {
            self.waits_for[client as usize] = 0;
            self.begin_anew(client);
        }
    }

    fn record(&mut self, question: Question, answer: Answer<u64>) {
        let Claim { client, resource, request, fence } = question.claim;
        let ttl_ms = self.setting.ttl_ms;
        let action = match (question.verb, answer) {
            (Verb::Acquire, Answer::Ok(fence)) => LockAction::Acquire(Answer::Ok(Granted { fence, ttl_ms })),
            (Verb::Acquire, Answer::Refused(())) => LockAction::Acquire(Answer::Refused(())),
            (Verb::Acquire, Answer::Unknown) => LockAction::Acquire(Answer::Unknown),
            (Verb::Renew, answer) => LockAction::Renew { fence, answer: answer.map(|_| ttl_ms) },
            (Verb::Release, answer) => LockAction::Release { fence, answer: answer.map(|_| ()) },
        };
        let span = Span { invoked_ns: question.invoked_ns, returned_ns: self.agenda.now_ns };
        self.history.push(LockOperation { client, resource, request, span, action });
    }
}
