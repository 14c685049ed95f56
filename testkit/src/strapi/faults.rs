//! What a server that behaves like Strapi can be told to do wrong.

use std::collections::HashSet;
use std::time::Duration;

use hyper::Method;
use serde_json::Value;

use super::Refused;

/// Switches; all off at first.
#[derive(Debug, Default)]
pub struct Faults {
    delay: Duration,
    down: bool,
    failing: (usize, u16),
    losing: usize,
    refused: HashSet<String>,
}

impl Faults {
    /// Every answer takes so long.
    pub fn set_delay(&mut self, delay: Duration) {
        self.delay = delay;
    }

    /// Hangs up on every request before it is looked at; `false` ends that.
    pub fn set_down(&mut self, down: bool) {
        self.down = down;
    }

    /// Answers the next `requests` with this status, and does nothing else.
    pub fn fail_next(&mut self, requests: usize, status: u16) {
        self.failing = (requests, status);
    }

    /// Carries out the next `writes` and hangs up without an answer.
    pub fn lose_answers(&mut self, writes: usize) {
        self.losing = writes;
    }

    /// Refuses to create this passenger with a `ValidationError`, or to write a vehicle of this id, for good.
    pub fn refuse(&mut self, id: &str) {
        self.refused.insert(id.to_owned());
    }

    pub(super) fn delay(&self) -> Duration {
        self.delay
    }

    pub(super) fn hangs_up(&self) -> bool {
        self.down
    }

    pub(super) fn loses_answer(&mut self) -> bool {
        let loses = self.losing > 0;
        self.losing = self.losing.saturating_sub(1);
        loses
    }

    pub(super) fn refusal(&mut self, method: &Method, data: &Value) -> Result<(), Refused> {
        if let (1.., status) = self.failing {
            self.failing.0 -= 1;
            return Err(Refused::new(status, name_of(status), "as the test wanted it"));
        }
        let refused = |attribute: &str| data[attribute].as_str().is_some_and(|id| self.refused.contains(id));
        match ["passenger_id", "vehicle_id"].into_iter().find(|attribute| refused(attribute)) {
            Some(attribute) if method != Method::GET => {
                Err(Refused::of_attribute(attribute, "This attribute is refused"))
            }
            _ => Ok(()),
        }
    }
}

/// The name that goes with a status.
fn name_of(status: u16) -> &'static str {
    match status {
        400 => "ValidationError",
        401 => "UnauthorizedError",
        403 => "ForbiddenError",
        404 => "NotFoundError",
        413 => "PayloadTooLargeError",
        429 => "RateLimitError",
        500 => "InternalServerError",
        _ => "ApplicationError",
    }
}
