//! Where topics end: those who want to know it at the same time ask with one question.

use std::sync::Arc;

use signalbox_protocol::control::Position;
use signalbox_protocol::{Tenant, Topic};
use signalbox_registry::gathering::Gathering;
use signalbox_registry::{Error, Log};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

/// Topics of one question, if more than one asks.
const TOPICS_MAX: usize = 256;

type Answer = Result<Vec<Position>, Error>;

/// See the module.
#[derive(Debug)]
pub(super) struct Heads {
    log: Arc<dyn Log>,
    tasks: TaskTracker,
    questions: Gathering<Question>,
}

/// What one of them wants to know.
#[derive(Debug)]
struct Question {
    topics: Vec<(Tenant, Topic)>,
    answer: oneshot::Sender<Answer>,
}

impl Heads {
    pub(super) fn new(log: Arc<dyn Log>, tasks: TaskTracker) -> Arc<Self> {
        Arc::new(Self { log, tasks, questions: Gathering::default() })
    }

    /// Where these topics end, read after this was called.
    ///
    /// # Errors
    /// As [`Log::heads`].
    pub(super) async fn of(self: &Arc<Self>, topics: Vec<(Tenant, Topic)>) -> Answer {
        let (answer, answered) = oneshot::channel();
        if self.questions.add(Question { topics, answer }) {
            let heads = Arc::clone(self);
            self.tasks.spawn(async move { heads.ask_until_none_waits().await });
        }
        answered.await.unwrap_or(Err(Error::Unavailable(None)))
    }

    async fn ask_until_none_waits(&self) {
        loop {
            let mut topics = 0;
            let fits = |question: &Question| {
                topics += question.topics.len();
                topics <= TOPICS_MAX
            };
            let Some(questions) = self.questions.next(fits) else { return };
            self.ask(questions).await;
        }
    }

    async fn ask(&self, questions: Vec<Question>) {
        let topics: Vec<_> = questions.iter().flat_map(|question| question.topics.iter().cloned()).collect();
        let mut heads = match self.log.heads(&topics).await {
            Ok(heads) => heads.into_iter(),
            Err(error) => return self.ask_each(questions, error).await,
        };
        for Question { topics, answer } in questions {
            let own: Vec<_> = heads.by_ref().take(topics.len()).collect();
            // Whoever asked may be gone.
            let _ = answer.send(Ok(own));
        }
    }

    /// What is wrong with one topic is not the others' fault; that Redis does not answer concerns them all.
    async fn ask_each(&self, questions: Vec<Question>, error: Error) {
        let concerns_all = matches!(error, Error::Unavailable(_) | Error::OutcomeUnknown(_));
        let is_alone = questions.len() == 1;
        let mut error = Some(error);
        for Question { topics, answer } in questions {
            let told = match concerns_all || is_alone {
                true => Err(error.take().unwrap_or(Error::Unavailable(None))),
                false => self.log.heads(&topics).await,
            };
            let _ = answer.send(told);
        }
    }
}
