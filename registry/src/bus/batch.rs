//! Batches as they travel: the bytes that one PUBLISH carries. Pure: bytes in, values or errors out.
//!
//! A batch is a header and then records until its end; integers are little-endian.
//!
//! ```text
//! header  version u8 = 1, node text8, generation u32, stream u64, sequence u64, address
//! address 0                          to the node whose channel it came by
//!         1, tenant text8, topic text8    to a group topic
//!         2, probe u64               to the sender itself; no records follow
//! record  length u32 of what follows, kind u8, then
//!         1 deliver        tenant text8, topic text8, conflation u64, the frame
//!         2 deliver here   conflation u64, the frame; tenant and topic are the address's
//!         3 close          tenant text8, connection id text8, code u16
//!         4 not here       tenant text8, topic text8
//!         5 logged         tenant text8, topic text8, epoch text8, offset u64, the message
//!         6 drain
//!         7 revoked
//! text8   length u8, then so many bytes
//! ```

mod read;

use bytes::Bytes;
use signalbox_protocol::{NodeId, Tenant, Topic};
use thiserror::Error;

use self::read::Reader;
use crate::bus::Parcel;
use crate::bus::announce::put_text;
use crate::log::Logged;
use crate::row::Generation;

/// A batch takes no further parcel that would make it longer than this; a longer parcel goes alone.
pub const BATCH_BYTES_MAX: usize = 256 * 1024;

const VERSION: u8 = 1;

/// Whom a batch is for, as its receiver sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// The node whose channel it came by.
    Node,
    /// Whoever follows this group topic.
    Group(Tenant, Topic),
    /// The sender, which wants to know whether its subscription works; the number tells probes apart.
    Probe(u64),
}

/// What stands at the front of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The sender.
    pub node: NodeId,
    /// Its generation when the batch was begun.
    pub generation: Generation,
    /// Which run of batches to this address it belongs to: a number that grows in each process.
    pub stream: u64,
    /// Its place in that run, from 0.
    pub sequence: u64,
    /// Whom it is for.
    pub to: Address,
}

/// Bytes that are no batch of this version.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// It was written by a version that this one does not know.
    #[error("a batch of version {0}")]
    Version(u8),
    /// It ends in the middle of something, or holds more than it says.
    #[error("a batch whose lengths do not add up")]
    Length,
    /// An address or record that this version does not know.
    #[error("a batch with an unknown part {0}")]
    Kind(u8),
    /// A name in it could not be one.
    #[error("a batch with an impossible name")]
    Name,
}

/// A batch that is being filled.
#[derive(Debug)]
pub struct Batch {
    to: Address,
    bytes: Vec<u8>,
    parcels: u64,
}

impl Batch {
    /// A batch without parcels.
    pub fn new(header: &Header) -> Self {
        let mut bytes = Vec::with_capacity(256);
        bytes.push(VERSION);
        put_text(&mut bytes, header.node.as_str());
        bytes.extend_from_slice(&header.generation.to_le_bytes());
        bytes.extend_from_slice(&header.stream.to_le_bytes());
        bytes.extend_from_slice(&header.sequence.to_le_bytes());
        match &header.to {
            Address::Node => bytes.push(0),
            Address::Group(tenant, topic) => {
                bytes.push(1);
                put_text(&mut bytes, tenant.as_str());
                put_text(&mut bytes, topic.as_str());
            }
            Address::Probe(number) => {
                bytes.push(2);
                bytes.extend_from_slice(&number.to_le_bytes());
            }
        }
        Self { to: header.to.clone(), bytes, parcels: 0 }
    }

    /// Whether `parcel` may join; an empty batch takes any.
    pub fn has_room_for(&self, parcel: &Parcel) -> bool {
        self.parcels == 0 || self.bytes.len() + encoded_bytes_max(parcel) <= BATCH_BYTES_MAX
    }

    /// Appends a parcel.
    pub fn push(&mut self, parcel: &Parcel) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        match parcel {
            Parcel::Deliver { tenant, topic, conflation, frame } => {
                let here = matches!(&self.to, Address::Group(to, group) if to == tenant && group == topic);
                if here {
                    self.bytes.push(2);
                } else {
                    self.bytes.push(1);
                    put_text(&mut self.bytes, tenant.as_str());
                    put_text(&mut self.bytes, topic.as_str());
                }
                self.bytes.extend_from_slice(&conflation.to_le_bytes());
                self.bytes.extend_from_slice(frame);
            }
            Parcel::Close { tenant, connection_id, code } => {
                self.bytes.push(3);
                put_text(&mut self.bytes, tenant.as_str());
                put_text(&mut self.bytes, connection_id.as_str());
                self.bytes.extend_from_slice(&code.to_le_bytes());
            }
            Parcel::NotHere { tenant, topic } => {
                self.bytes.push(4);
                put_text(&mut self.bytes, tenant.as_str());
                put_text(&mut self.bytes, topic.as_str());
            }
            Parcel::Logged(Logged { tenant, topic, position, body }) => {
                self.bytes.push(5);
                put_text(&mut self.bytes, tenant.as_str());
                put_text(&mut self.bytes, topic.as_str());
                put_text(&mut self.bytes, &position.epoch);
                self.bytes.extend_from_slice(&position.offset.to_le_bytes());
                self.bytes.extend_from_slice(body);
            }
            Parcel::Drain => self.bytes.push(6),
            Parcel::Revoked => self.bytes.push(7),
        }
        let length = u32::try_from(self.bytes.len() - start - 4).expect("frames are far below 4 GiB");
        self.bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
        self.parcels += 1;
    }

    /// How many parcels are in it.
    pub fn parcels(&self) -> u64 {
        self.parcels
    }

    /// Its bytes so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// At most so many bytes does a parcel take in a batch.
pub fn encoded_bytes_max(parcel: &Parcel) -> usize {
    let names = |tenant: &Tenant, name: &str| 4 + 1 + 2 + tenant.as_str().len() + name.len();
    match parcel {
        Parcel::Deliver { tenant, topic, frame, .. } => names(tenant, topic.as_str()) + 8 + frame.len(),
        Parcel::Close { tenant, connection_id, .. } => names(tenant, connection_id.as_str()) + 2,
        Parcel::NotHere { tenant, topic } => names(tenant, topic.as_str()),
        Parcel::Logged(Logged { tenant, topic, position, body }) => {
            names(tenant, topic.as_str()) + 1 + position.epoch.len() + 8 + body.len()
        }
        Parcel::Drain | Parcel::Revoked => 4 + 1,
    }
}

/// Reads what stands at the front of a batch, and nothing behind it.
///
/// # Errors
/// [`Malformed`]: it is not to be believed.
pub fn header(batch: &[u8]) -> Result<Header, Malformed> {
    Reader { rest: batch }.header()
}

/// Whether `batch` was sent by `node`; looks no further than it has to.
pub fn is_from(batch: &[u8], node: &NodeId) -> bool {
    let mut reader = Reader { rest: batch };
    reader.byte() == Ok(VERSION) && reader.text() == Ok(node.as_str())
}

/// Reads a batch.
///
/// # Errors
/// [`Malformed`]: nothing of it is to be believed.
pub fn decode(batch: &Bytes) -> Result<(Header, Vec<Parcel>), Malformed> {
    let mut reader = Reader { rest: batch };
    let header = reader.header()?;
    let mut parcels: Vec<Parcel> = Vec::new();
    while !reader.rest.is_empty() {
        let length = reader.u32()? as usize;
        let record = Reader { rest: reader.take(length)? };
        let parcel = record.parcel(batch, &header.to, parcels.last())?;
        parcels.push(parcel);
    }
    if matches!(header.to, Address::Probe(_)) && !parcels.is_empty() {
        return Err(Malformed::Length);
    }
    Ok((header, parcels))
}

#[cfg(test)]
mod tests;
