//! What other nodes sent: to local sockets, and nowhere else.

use bytes::Bytes;
use signalbox_protocol::close::CloseCode;
use signalbox_protocol::{ConnectionId, NodeId, Tenant, Topic};
use signalbox_registry::bus::{Break, BusListener};
use signalbox_registry::{Announcement, Destination, Logged, Parcel};

use super::Router;
use crate::hub::Delivery;
use crate::trace::{Span, lines_of};
use crate::ws::frame::TextFrame;

impl BusListener for Router {
    fn on_parcel(&self, from: &NodeId, parcel: Parcel) {
        match parcel {
            Parcel::Deliver { tenant, topic, conflation, frame } => {
                let span = self.tracer.begin_delivery(&frame);
                let _lines = lines_of(span.as_ref()).entered();
                let told = self.hub.deliver(&delivery((&tenant, &topic), conflation, &frame));
                end_delivery(span, &topic, Some(told));
                if told == 0 && self.vocabulary.is_point_kind(topic.kind()) {
                    self.tell_not_here(from, tenant, topic);
                }
            }
            Parcel::Close { tenant, connection_id, code } => self.close(&tenant, &connection_id, code),
            Parcel::NotHere { tenant, topic } => self.forget(&tenant, &topic),
            Parcel::Logged(logged) => self.on_logged(logged),
            Parcel::Drain => {
                tracing::info!(%from, "asked to drain");
                self.drain_asked.notify_one();
            }
            Parcel::Revoked => self.revoked.notify_one(),
        }
    }

    fn on_announcement(&self, announcement: Announcement) {
        let mut frame = TextFrame::with_capacity(announcement.body.len());
        frame.body().extend_from_slice(&announcement.body);
        let (frame, spared) = (frame.finish(), announcement.spared.as_ref());
        let to = (&announcement.tenant, &announcement.topic);
        self.hub.deliver(&Delivery { spared, ..delivery(to, 0, &frame) });
    }

    fn on_logged(&self, logged: Logged) {
        let span = self.tracer.begin_delivery(&logged.body).map(|span| (span, logged.topic.clone()));
        self.tails.on_logged(logged);
        if let Some((span, topic)) = span {
            end_delivery(Some(span), &topic, None);
        }
    }

    fn on_break(&self, what: Break) {
        tracing::warn!(?what, "the bus may have skipped messages");
        self.tails.on_break();
        self.revoked.notify_one();
        if what == Break::Reconnected {
            self.reconnected.notify_one();
        }
    }
}

/// Ends the span of a delivery; who follows a log is told in its own time, so nobody counts them.
fn end_delivery(span: Option<Span>, topic: &Topic, receivers: Option<usize>) {
    let Some(mut span) = span else { return };
    span.tell("signalbox.topic_kind", topic.kind());
    if let Some(receivers) = receivers {
        span.tell_number("signalbox.receivers", receivers as u64);
    }
    span.end();
}

fn delivery<'a>(to: (&'a Tenant, &'a Topic), conflation: u64, frame: &'a Bytes) -> Delivery<'a> {
    Delivery { tenant: to.0, topic: to.1, conflation, frame, except: None, spared: None }
}

impl Router {
    fn tell_not_here(&self, from: &NodeId, tenant: Tenant, topic: Topic) {
        self.metrics.dropped_unroutable.inc();
        let told = self.cluster.bus.post(&Destination::Node(from.clone()), Parcel::NotHere { tenant, topic });
        if let Err(error) = told {
            tracing::debug!(%error, "stale route not reported; it ends with its time to live");
        }
    }

    fn close(&self, tenant: &Tenant, connection_id: &ConnectionId, code: u16) {
        let Some(connection) = self.hub.get(connection_id) else { return };
        if connection.profile().tenant == *tenant {
            connection.outbox().close(CloseCode::from_u16(code).unwrap_or(CloseCode::Normal));
        }
    }
}
