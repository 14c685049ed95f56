//! Taking a batch apart.

use bytes::Bytes;
use signalbox_protocol::control::Position;
use signalbox_protocol::{ConnectionId, NodeId, Tenant, Topic};

use super::{Address, Header, Malformed, VERSION};
use crate::bus::Parcel;
use crate::log::Logged;

/// Takes a batch apart from its front; never reads beyond its end.
pub(super) struct Reader<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed::Length)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Malformed::Length)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        let length = usize::from(self.byte()?);
        std::str::from_utf8(self.take(length)?).map_err(|_| Malformed::Name)
    }

    fn tenant(&mut self) -> Result<Tenant, Malformed> {
        Tenant::try_new(self.text()?).map_err(|_| Malformed::Name)
    }

    fn topic(&mut self) -> Result<Topic, Malformed> {
        Topic::try_new(self.text()?).map_err(|_| Malformed::Name)
    }

    pub(super) fn header(&mut self) -> Result<Header, Malformed> {
        match self.byte()? {
            VERSION => {}
            other => return Err(Malformed::Version(other)),
        }
        let node = NodeId::try_new(self.text()?).map_err(|_| Malformed::Name)?;
        let (generation, stream, sequence) = (self.u32()?, self.u64()?, self.u64()?);
        let to = match self.byte()? {
            0 => Address::Node,
            1 => Address::Group(self.tenant()?, self.topic()?),
            2 => Address::Probe(self.u64()?),
            other => return Err(Malformed::Kind(other)),
        };
        Ok(Header { node, generation, stream, sequence, to })
    }

    /// Reads one record; names equal to those of the record before share its memory.
    pub(super) fn parcel(
        mut self,
        batch: &Bytes,
        to: &Address,
        before: Option<&Parcel>,
    ) -> Result<Parcel, Malformed> {
        let parcel = match self.byte()? {
            1 => {
                let (tenant, topic) = self.names_like(before)?;
                let conflation = self.u64()?;
                Parcel::Deliver { tenant, topic, conflation, frame: self.frame(batch) }
            }
            kind @ 2 => {
                let Address::Group(tenant, topic) = to else { return Err(Malformed::Kind(kind)) };
                let (tenant, topic, conflation) = (tenant.clone(), topic.clone(), self.u64()?);
                Parcel::Deliver { tenant, topic, conflation, frame: self.frame(batch) }
            }
            3 => {
                let tenant = self.tenant()?;
                let connection_id = ConnectionId::try_new(self.text()?).map_err(|_| Malformed::Name)?;
                Parcel::Close { tenant, connection_id, code: u16::from_le_bytes(self.array()?) }
            }
            4 => Parcel::NotHere { tenant: self.tenant()?, topic: self.topic()? },
            5 => {
                let (tenant, topic) = (self.tenant()?, self.topic()?);
                let position = Position { epoch: self.text()?.to_owned(), offset: self.u64()? };
                Parcel::Logged(Logged { tenant, topic, position, body: self.frame(batch) })
            }
            6 => Parcel::Drain,
            7 => Parcel::Revoked,
            other => return Err(Malformed::Kind(other)),
        };
        if self.rest.is_empty() { Ok(parcel) } else { Err(Malformed::Length) }
    }

    fn names_like(&mut self, before: Option<&Parcel>) -> Result<(Tenant, Topic), Malformed> {
        let (tenant, topic) = (self.text()?, self.text()?);
        if let Some(Parcel::Deliver { tenant: last_tenant, topic: last_topic, .. }) = before
            && last_tenant.as_str() == tenant
        {
            let topic = match last_topic.as_str() == topic {
                true => last_topic.clone(),
                false => Topic::try_new(topic).map_err(|_| Malformed::Name)?,
            };
            return Ok((last_tenant.clone(), topic));
        }
        let tenant = Tenant::try_new(tenant).map_err(|_| Malformed::Name)?;
        Ok((tenant, Topic::try_new(topic).map_err(|_| Malformed::Name)?))
    }

    /// The rest as a frame. It is copied, so that a small frame in a slow reader's queue does not keep the
    /// whole batch alive; a frame that is most of its batch keeps that instead.
    fn frame(&mut self, batch: &Bytes) -> Bytes {
        let frame = std::mem::take(&mut self.rest);
        if frame.len() > batch.len() / 2 { batch.slice_ref(frame) } else { Bytes::copy_from_slice(frame) }
    }
}
