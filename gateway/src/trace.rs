//! What a node tells about single requests and messages, for whoever follows one through several services: spans of
//! the W3C trace context, exported by OTLP.
//!
//! Off unless a collector is configured; then nothing is looked for. A node begins no trace of its own: it goes on with those
//! whose `traceparent` says that they are recorded. A span holds names, types and results, and nothing of a payload or a token.

mod context;
mod envelope;
mod export;
mod otlp;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::IntCounterVec;
use tokio::sync::mpsc::{Receiver, Sender, channel};

pub use self::context::TraceParent;
pub use self::envelope::Told;
pub(crate) use self::export::run;
pub use self::export::{Collector, InvalidCollector};

/// Spans that wait for the exporter; more are dropped and counted.
const WAITING_MAX: usize = 4_096;

/// What a span is of (the numbers are those of OTLP).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A request that is answered.
    Server = 2,
    /// A message that comes from a client and goes on.
    Producer = 4,
    /// A message that was brought to local sockets.
    Consumer = 5,
}

/// What became of spans.
const RESULTS: [&str; 3] = ["exported", "failed", "dropped"];

/// Begins spans; a clone is the same.
#[derive(Debug, Clone, Default)]
pub struct Tracer(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    collector: Collector,
    done: Sender<Finished>,
    /// Until the exporter takes it.
    waiting: Mutex<Option<Receiver<Finished>>>,
    counted: IntCounterVec,
}

/// A span that is over.
#[derive(Debug)]
struct Finished {
    name: &'static str,
    kind: Kind,
    own: TraceParent,
    parent: TraceParent,
    begun_ns: u64,
    ended_ns: u64,
    facts: Vec<(&'static str, Fact)>,
}

/// Something that a span tells.
#[derive(Debug)]
enum Fact {
    Text(String),
    Number(u64),
}

impl Tracer {
    /// A tracer that tells `collector`, if there is one; `counted` by what became of spans.
    pub fn new(collector: Option<Collector>, counted: IntCounterVec) -> Self {
        RESULTS.iter().for_each(|result| drop(counted.with_label_values(&[result])));
        Self(collector.map(|collector| {
            let (done, waiting) = channel(WAITING_MAX);
            Arc::new(Inner { collector, done, waiting: Mutex::new(Some(waiting)), counted })
        }))
    }

    /// Whether anything is traced.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// A span below `parent`, if that is recorded and anything is traced.
    pub fn begin(&self, name: &'static str, kind: Kind, parent: Option<TraceParent>) -> Option<Span> {
        let inner = self.0.as_ref()?;
        let parent = parent.filter(TraceParent::is_recorded)?;
        let span = Finished {
            name,
            kind,
            own: parent.child(),
            parent,
            begun_ns: now_ns(),
            ended_ns: 0,
            facts: Vec::new(),
        };
        Some(Span { inner: Arc::clone(inner), span: Box::new(span) })
    }

    /// A span below what a header of this request says.
    pub fn begin_request(&self, name: &'static str, headers: &axum::http::HeaderMap) -> Option<Span> {
        self.0.as_ref()?;
        let parent = headers.get("traceparent")?.to_str().ok().and_then(TraceParent::parse);
        self.begin(name, Kind::Server, parent)
    }

    fn take_waiting(&self) -> Option<(Arc<Inner>, Receiver<Finished>)> {
        let inner = self.0.as_ref()?;
        let waiting = inner.waiting.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some((Arc::clone(inner), waiting))
    }
}

impl Inner {
    fn count(&self, result: &str, spans: usize) {
        self.counted.with_label_values(&[result]).inc_by(spans as u64);
    }
}

/// Something that is under way and told when it [ends](Span::end).
#[derive(Debug)]
pub struct Span {
    inner: Arc<Inner>,
    span: Box<Finished>,
}

impl Span {
    /// What others put their spans below.
    pub fn context(&self) -> TraceParent {
        self.span.own
    }

    /// What log lines stand in while this is under way, so that they tell the trace's id.
    pub fn lines(&self) -> tracing::Span {
        tracing::error_span!("traced", trace_id = self.span.own.trace_id())
    }

    /// Tells a name, a type or a result; nothing that a client may fill as it likes.
    pub fn tell(&mut self, what: &'static str, text: &str) {
        self.span.facts.push((what, Fact::Text(text.to_owned())));
    }

    /// Tells a number.
    pub fn tell_number(&mut self, what: &'static str, number: u64) {
        self.span.facts.push((what, Fact::Number(number)));
    }

    /// It is over.
    pub fn end(self) {
        let Self { inner, mut span } = self;
        span.ended_ns = now_ns();
        if inner.done.try_send(*span).is_err() {
            inner.count("dropped", 1);
        }
    }

    /// It is over, with this result.
    pub fn end_with(mut self, result: &str) {
        self.tell("signalbox.result", result);
        self.end();
    }
}

/// The same for what may not be traced.
pub fn lines_of(span: Option<&Span>) -> tracing::Span {
    span.map_or_else(tracing::Span::none, Span::lines)
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
