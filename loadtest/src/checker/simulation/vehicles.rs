//! Vehicles of the fleet in the box: they board whom they find, repeat what was not answered and now and
//! then what was, and let passengers alight, sometimes with a fence that is not theirs.

use super::fleet::{Flaws, Fleet, Look};
use super::{Agenda, Network};
use crate::checker::Outcome;
use crate::dice::Dice;
use crate::history::boardings::{BoardingAction, BoardingHistory, BoardingOperation};
use crate::history::{Answer, Span};

/// How a simulation is set up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    pub(super) seed: u64,
    /// Two on each vehicle.
    pub(super) clients: u32,
    pub(super) passengers: u32,
    pub(super) capacity: u32,
    pub(super) network: Network,
    pub(super) flaws: Flaws,
}

/// Attempts at one thing.
const ATTEMPTS: u32 = 3;

#[derive(Debug, Clone, Copy)]
enum Verb {
    Board { request: u64 },
    Alight { fence: u64 },
}

#[derive(Debug, Clone, Copy)]
struct Question {
    verb: Verb,
    client: u32,
    passenger: u32,
    attempt: u32,
    /// Tells it from all others.
    number: u64,
    invoked_ns: u64,
}

/// The fence, or who boarded instead.
type Reply = Result<u64, Option<u32>>;

#[derive(Debug, Clone, Copy)]
enum Event {
    Begin { client: u32 },
    Again(Question),
    Looks(Question),
    Acts(Question, Look),
    Told(Question, Reply),
    GivesUp(Question),
}

struct World {
    setting: Setting,
    dice: Dice,
    fleet: Fleet,
    agenda: Agenda<Event>,
    /// The question that each client waits for.
    waits_for: Vec<u64>,
    /// Who is on board, and by which fence, as the vehicle knows.
    aboard: Vec<Vec<(u32, u64)>>,
    questions: u64,
    history: BoardingHistory,
}

/// What vehicles see within so many operations, and what is found when nothing is under way any more.
pub(super) fn history(setting: Setting, operations: usize) -> (BoardingHistory, Outcome) {
    let vehicles = setting.clients.div_ceil(2) as usize;
    let capacities = vec![setting.capacity; vehicles];
    let mut world = World {
        setting,
        dice: Dice::new(setting.seed),
        fleet: Fleet::new(setting.flaws, capacities.clone(), setting.passengers),
        agenda: Agenda::new(),
        waits_for: vec![0; setting.clients as usize],
        aboard: vec![Vec::new(); vehicles],
        questions: 0,
        history: BoardingHistory { operations: Vec::new(), capacities },
    };
    for client in 0..setting.clients {
        world.agenda.after(0, Event::Begin { client });
    }
    while let Some(event) = world.agenda.next() {
        let over = world.history.operations.len() >= operations;
        if !(over && matches!(event, Event::Begin { .. })) {
            world.apply(event);
        }
    }
    (world.history, world.fleet.outcome())
}

impl World {
    fn apply(&mut self, event: Event) {
        match event {
            Event::Begin { client } => self.begin(client),
            Event::Again(question) => {
                self.ask(question.verb, question.client, question.passenger, ATTEMPTS);
            }
            Event::Looks(question) => {
                let look = self.fleet.look(question.vehicle(), question.passenger);
                let gap_ns = self.dice.below(self.setting.network.delay_ns_max);
                self.agenda.after(gap_ns, Event::Acts(question, look));
            }
            Event::Acts(question, look) => {
                let reply = self.act(question, look);
                if let Some(delay_ns) = self.setting.network.delay(&mut self.dice) {
                    self.agenda.after(delay_ns, Event::Told(question, reply));
                }
            }
            Event::Told(question, reply) => self.told(question, reply),
            Event::GivesUp(question) => self.give_up(question),
        }
    }

    fn begin(&mut self, client: u32) {
        let aboard = &mut self.aboard[client as usize / 2];
        if self.dice.percent(5) && !aboard.is_empty() {
            let place = self.dice.below(aboard.len() as u64) as usize;
            let stale = self.dice.percent(20);
            let (passenger, fence) = if stale { aboard[place] } else { aboard.swap_remove(place) };
            let fence = if stale { fence - 1 } else { fence };
            self.ask(Verb::Alight { fence }, client, passenger, 1);
        } else {
            // All look at the same few, so that they get in each other's way.
            let near = self.questions / 10 + self.dice.below(8);
            let passenger = near.min(u64::from(self.setting.passengers) - 1) as u32;
            let request = self.questions + 1;
            self.ask(Verb::Board { request }, client, passenger, 1);
        }
    }

    fn ask(&mut self, verb: Verb, client: u32, passenger: u32, attempt: u32) {
        self.questions += 1;
        let (number, invoked_ns) = (self.questions, self.agenda.now_ns);
        let question = Question { verb, client, passenger, attempt, number, invoked_ns };
        self.waits_for[client as usize] = number;
        if let Some(delay_ns) = self.setting.network.delay(&mut self.dice) {
            self.agenda.after(delay_ns, Event::Looks(question));
        }
        self.agenda.after(4 * self.setting.network.delay_ns_max, Event::GivesUp(question));
    }

    fn act(&mut self, question: Question, look: Look) -> Reply {
        match question.verb {
            Verb::Board { request } => {
                self.fleet.board(question.vehicle(), question.passenger, request, look)
            }
            Verb::Alight { fence } => {
                self.fleet.alight(question.passenger, fence).then_some(fence).ok_or(None)
            }
        }
    }

    fn told(&mut self, question: Question, reply: Reply) {
        if self.waits_for[question.client as usize] != question.number {
            return;
        }
        let answer = match reply {
            Ok(fence) => Answer::Ok(fence),
            Err(winner) => Answer::Refused(winner),
        };
        self.record(question, answer);
        let repeats = matches!(question.verb, Verb::Board { .. }) && self.dice.percent(10);
        if repeats {
            self.agenda.after(1, Event::Again(question));
            return;
        }
        if let (Verb::Board { .. }, Ok(fence)) = (question.verb, reply) {
            self.aboard[question.vehicle() as usize].push((question.passenger, fence));
        }
        self.begin_anew(question.client);
    }

    fn give_up(&mut self, question: Question) {
        let Question { verb, client, passenger, attempt, .. } = question;
        if self.waits_for[client as usize] != question.number {
            return;
        }
        self.record(question, Answer::Unknown);
        if attempt < ATTEMPTS {
            self.ask(verb, client, passenger, attempt + 1);
        } else {
            self.begin_anew(client);
        }
    }

    fn begin_anew(&mut self, client: u32) {
        self.waits_for[client as usize] = 0;
        let rest_ns = 1 + self.dice.below(self.setting.network.delay_ns_max);
        self.agenda.after(rest_ns, Event::Begin { client });
    }

    fn record(&mut self, question: Question, answer: Answer<u64, Option<u32>>) {
        let (verb, vehicle, passenger) = (question.verb, question.vehicle(), question.passenger);
        let action = match verb {
            Verb::Board { request } => BoardingAction::Board { request, answer },
            Verb::Alight { fence } => BoardingAction::Alight {
                fence,
                answer: match answer {
                    Answer::Ok(_) => Answer::Ok(()),
                    Answer::Refused(_) => Answer::Refused(()),
                    Answer::Unknown => Answer::Unknown,
                },
            },
        };
        let span = Span { invoked_ns: question.invoked_ns, returned_ns: self.agenda.now_ns };
        self.history.operations.push(BoardingOperation { passenger, vehicle, span, action });
    }
}

impl Question {
    fn vehicle(&self) -> u32 {
        self.client / 2
    }
}
