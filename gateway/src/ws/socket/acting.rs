//! What a connection does about what has happened to it; never waits.

use std::sync::atomic::Ordering::Relaxed;

use signalbox_protocol::close::CloseCode;
use signalbox_protocol::envelope::Incoming;
use signalbox_protocol::error::{ErrorCode, Fault};
use signalbox_protocol::limits::WAITS_MAX;
use tokio::io::{AsyncRead, AsyncWrite};

use super::farewell::Farewell;
use super::{Event, Socket, take_batch};
use crate::limits::Limit;
use crate::metrics::Class;
use crate::ws::dispatch::{Later, Outcome, Step};
use crate::ws::reader::FromPeer;
use crate::ws::{answer, frame};

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket<S> {
    /// Acts on an event.
    pub(super) fn apply(&mut self, event: Event) {
        match event {
            Event::Peer(FromPeer::Text(text)) => self.on_text(&text),
            Event::Peer(FromPeer::Binary(bytes)) => self.on_binary(&bytes),
            Event::Peer(FromPeer::Ping(payload)) => {
                self.connection.outbox().pong(frame::pong(&payload));
                // It is written before the next one would replace it.
                self.end_turn();
            }
            Event::Peer(FromPeer::Pong) => {}
            Event::Peer(FromPeer::Close(code)) => self.on_close(code),
            Event::Peer(FromPeer::Broken(code)) => self.on_broken(code),
            Event::Answered(outcome) => self.on_outcome(outcome),
            Event::Over => {}
        }
    }

    fn on_close(&mut self, code: Option<u16>) {
        let mut line = self.connection.outbox().line();
        if line.writing.is_empty() {
            // Answers to what came together with it.
            take_batch(&self.node, &self.connection, &mut self.ending, &mut line.writing);
        }
        line.writing.push(frame::close_echo(code));
        line.keep();
        drop(line);
        self.begin_ending(code, Farewell::Writing);
    }

    fn on_text(&mut self, text: &str) {
        self.connection.traffic.messages_in.fetch_add(1, Relaxed);
        if let Err(fault) = self.node.limits.message(&self.connection, text.len()) {
            self.node.metrics.messages_received.count_one(Class::Refused, text.len());
            // Its id is looked for only now, so that whoever waits for an answer gets this one.
            let incoming = Incoming::parse(text).ok();
            let asked = incoming.as_ref().and_then(|incoming| incoming.answer_to());
            return answer::fail(&self.connection, &self.node.metrics, &fault, asked);
        }
        let step = (self.node.settings.manner.text)(&self.node, &self.connection, text);
        self.on_step(step);
    }

    fn on_binary(&mut self, bytes: &[u8]) {
        if let Err(fault) = self.node.limits.message(&self.connection, bytes.len()) {
            return answer::fail(&self.connection, &self.node.metrics, &fault, None);
        }
        let step = (self.node.settings.manner.binary)(&self.node, &self.connection, bytes);
        self.on_step(step);
    }

    fn on_broken(&mut self, code: CloseCode) {
        match code {
            CloseCode::RateLimited => self.node.metrics.count_limit(Limit::Frames),
            CloseCode::MessageTooBig => self.node.metrics.count_limit(Limit::MessageBytes),
            _ => {}
        }
        self.connection.outbox().close(code);
    }

    fn on_step(&mut self, step: Step) {
        match step {
            Step::Done => {}
            Step::Malformed => self.count_malformed(),
            Step::Wait(pending) => self.pending = Some(pending),
            Step::Later(later) => self.wait_beside(later),
        }
    }

    fn wait_beside(&mut self, Later { work, correlation_id }: Later) {
        if !self.waits.push(work) {
            self.node.metrics.count_limit(Limit::Waits);
            let text = format!("at most {WAITS_MAX} requests of a connection may wait: let one end first");
            let fault = Fault::new(ErrorCode::RateLimited, text);
            answer::fail(&self.connection, &self.node.metrics, &fault, correlation_id.as_deref());
        }
    }

    fn count_malformed(&mut self) {
        let settings = &self.node.settings;
        let now = self.node.uptime.seconds();
        if self.malformed.add(now, settings.malformed_window) as usize >= settings.malformed_max {
            self.node.metrics.count_limit(Limit::Malformed);
            self.connection.outbox().close(CloseCode::Malformed);
        }
    }

    fn on_outcome(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Nothing => {}
            Outcome::Reply(frame) => answer::push(&self.connection, &self.node.metrics, frame),
            Outcome::Failed(fault, correlation_id) => {
                answer::fail(&self.connection, &self.node.metrics, &fault, correlation_id.as_deref());
            }
            Outcome::Joined { topics, correlation } => self.on_joined(&topics, correlation.as_deref()),
            Outcome::Resumed { told, correlation } => self.on_resumed(told, correlation.as_deref()),
            Outcome::Left { topics, ack } => {
                if let Some(catch_up) = &mut self.catch_up {
                    topics.iter().for_each(|topic| catch_up.leave(topic));
                }
                answer::push(&self.connection, &self.node.metrics, ack);
            }
        }
    }
}
