//! What comes by the bus: whoever can publish in Redis must not be able to end a node.

use bytes::Bytes;
use signalbox_registry::bus::Announcement;
use signalbox_registry::bus::batch::{self, Batch};
use signalbox_registry::log::Logged;

/// One message of a channel.
///
/// # Panics
/// When what is read differs from what is written.
pub fn bus_batch(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    if let Ok((header, parcels)) = batch::decode(&bytes) {
        assert_eq!(batch::header(&bytes).as_ref(), Ok(&header));
        let mut again = Batch::new(&header);
        parcels.iter().for_each(|parcel| again.push(parcel));
        let again = batch::decode(&Bytes::copy_from_slice(again.bytes()));
        assert_eq!(again, Ok((header, parcels)), "what was read is written, and read again");
    }
    if let Ok(announcement) = Announcement::decode(&bytes) {
        let again = Announcement::decode(&Bytes::from(announcement.encode()));
        assert_eq!(again, Ok(announcement));
    }
    if let Ok(logged) = Logged::decode(&bytes) {
        let again = Logged::decode(&Bytes::from(logged.encode()));
        assert_eq!(again, Ok(logged));
    }
}
