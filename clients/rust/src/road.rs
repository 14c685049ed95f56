//! The way to a node: which address, with which token, as which session.

use signalbox_protocol::SessionId;
use signalbox_protocol::control::Welcome;

use crate::dial::Dial;
use crate::endpoints::Endpoints;
use crate::error::ConnectError;
use crate::token::Token;
use crate::wire::{Wire, WireConfig};

#[derive(Debug)]
pub(crate) struct Road<D> {
    dialer: D,
    pub(crate) endpoints: Endpoints,
    /// Fields for the query of every address.
    query: Vec<(String, String)>,
    /// Everything else.
    template: WireConfig,
    pub(crate) token: Token,
}

impl<D: Dial> Road<D> {
    pub(crate) fn new(
        dialer: D,
        endpoints: Endpoints,
        query: Vec<(String, String)>,
        template: WireConfig,
        token: Token,
    ) -> Self {
        Self { dialer, endpoints, query, template, token }
    }

    /// Tries the next address, once. Who was there before goes on with its session.
    pub(crate) async fn attempt(
        &mut self,
        before: Option<&SessionId>,
    ) -> Result<(Wire<D::Stream>, Welcome), ConnectError> {
        let bearer = self.token.show(self.template.connect_timeout).await?;
        let mut wire = WireConfig { url: self.endpoints.next().to_owned(), bearer, ..self.template.clone() };
        for (name, value) in &self.query {
            wire = wire.query(name, value);
        }
        if let Some(session) = before {
            if !wire.names("session_id") {
                wire = wire.query("session_id", session.as_str());
            }
            wire = wire.query("resume", "1");
        }
        Wire::connect_over(&mut self.dialer, &wire).await
    }
}
