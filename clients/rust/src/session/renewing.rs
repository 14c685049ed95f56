//! The token of an open connection: the node says when it ends, and another is shown in time.

use signalbox_protocol::control::{TokenExpiring, TokenRefresh, TokenRefreshed};
use signalbox_protocol::{Fault, Received};
use uuid::Uuid;

use super::Session;
use crate::event::Event;
use crate::stats::Count;

/// Where the renewal of the connection's token stands.
#[derive(Debug, Default)]
pub(super) struct Renewal {
    /// The node has said that the token ends soon, and nobody has asked for another yet.
    is_due: bool,
    /// The command that showed another one.
    asked: Option<Uuid>,
}

impl Session {
    /// `system:token_expiring`.
    pub(super) fn token_expiring(&mut self, message: &Received) {
        match message.data::<TokenExpiring>() {
            Ok(_) => self.renewal.is_due = true,
            Err(_) => self.shared.counters.count(Count::Errors),
        }
    }

    /// Whether another token is wanted; once for each time that the node says so.
    pub(crate) fn wants_token(&mut self) -> bool {
        std::mem::take(&mut self.renewal.is_due)
    }

    /// Shows the node another token.
    pub(crate) fn show(&mut self, token: String) {
        let id = Uuid::now_v7();
        self.renewal.asked = Some(id);
        self.say("system:refresh", id, &TokenRefresh { token });
    }

    /// `system:refreshed`: the new token counts. What it does not allow any more is not asked for again.
    pub(super) fn refreshed(&mut self, message: &Received) {
        let Ok(TokenRefreshed { left, .. }) = message.data() else {
            return self.shared.counters.count(Count::Errors);
        };
        self.renewal.asked = None;
        if !left.is_empty() {
            self.journal.left(left.iter());
            self.recovery.left(left.iter());
            self.shared.tell(Event::NotAllowed { topics: left });
        }
    }

    /// Whether the refusal was for a new token. The old one counts until its end; then the node closes the
    /// connection, and whoever provides tokens is asked again.
    pub(super) fn not_refreshed(&mut self, id: Uuid, fault: &Fault) -> bool {
        let is_ours = self.renewal.asked.take_if(|asked| *asked == id).is_some();
        if is_ours {
            tracing::debug!(%fault, "the new token is not taken");
        }
        is_ours
    }

    /// A new connection begins with a token of its own.
    pub(super) fn forget_renewal(&mut self) {
        self.renewal = Renewal::default();
    }
}
