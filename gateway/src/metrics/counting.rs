//! Counts what has labels, or several places to be counted at.

use signalbox_protocol::close::CloseCode;
use signalbox_protocol::control::DrainReason;
use signalbox_protocol::error::ErrorCode;

use super::Metrics;
use crate::limits::Limit;
use crate::ws::handshake::HandshakeResult;
use crate::ws::outbox::Pushed;

/// What a close without a code, and one with a code that we don't know, is counted as.
const NO_CODE: &str = "none";
const OTHER_CODE: &str = "other";
const DEPARTED: [DrainReason; 4] =
    [DrainReason::Stopping, DrainReason::Requested, DrainReason::Fault, DrainReason::Balance];
const HTTP_STATUSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

impl Metrics {
    /// Shows every label value from the start, so that a rate over its first occurrence is right.
    pub(super) fn start_at_zero(&self) {
        for code in ErrorCode::ALL {
            self.errors.with_label_values(&[code.as_str()]);
        }
        for code in CloseCode::ALL {
            self.closes.with_label_values(&[&code.as_u16().to_string()]);
        }
        for code in [NO_CODE, OTHER_CODE] {
            self.closes.with_label_values(&[code]);
        }
        for reason in DEPARTED {
            self.departures.with_label_values(&[departed_as(reason)]);
        }
        for status in HTTP_STATUSES {
            self.http_requests.with_label_values(&[status]);
        }
        for limit in Limit::ALL {
            self.limits_hit.with_label_values(&[limit.as_str()]);
        }
        for result in HandshakeResult::ALL {
            self.handshakes.with_label_values(&[result.as_str()]);
        }
    }

    /// Counts an error answered to a client.
    pub fn count_error(&self, code: ErrorCode) {
        self.errors.with_label_values(&[code.as_str()]).inc();
    }

    /// Counts that a limit was hit.
    pub fn count_limit(&self, limit: Limit) {
        self.limits_hit.with_label_values(&[limit.as_str()]).inc();
    }

    /// Counts a closed connection. A code that we don't know is counted as `other`.
    pub fn count_close(&self, code: Option<u16>) {
        let known = code.and_then(CloseCode::from_u16).map(|code| code.as_u16().to_string());
        let label = match (code, &known) {
            (None, _) => NO_CODE,
            (Some(_), Some(known)) => known,
            (Some(_), None) => OTHER_CODE,
        };
        self.closes.with_label_values(&[label]).inc();
    }

    /// Counts a connection that was told to leave.
    pub fn count_departure(&self, reason: DrainReason) {
        self.departures.with_label_values(&[departed_as(reason)]).inc();
    }

    /// Counts what was dropped when a frame was pushed into an outbox.
    pub fn count_push(&self, pushed: Pushed) {
        match pushed {
            Pushed::Queued => {}
            Pushed::Conflated => self.dropped_conflated.inc(),
            Pushed::Displaced(messages) => self.dropped_overflow.inc_by(messages.into()),
            Pushed::Dropped => self.dropped_overflow.inc(),
            Pushed::Closing => self.dropped_closing.inc(),
            Pushed::Overflow => {
                self.log.slow_consumers.inc();
                self.dropped_closing.inc();
            }
        }
    }

    /// Counts messages that were queued for a connection whose socket took no more.
    pub fn count_unwritten(&self, messages: usize) {
        self.dropped_closing.inc_by(messages as u64);
    }
}

fn departed_as(reason: DrainReason) -> &'static str {
    match reason {
        DrainReason::Stopping => "stopping",
        DrainReason::Requested => "requested",
        DrainReason::Fault => "fault",
        DrainReason::Balance => "balance",
    }
}
