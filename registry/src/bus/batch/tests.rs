//! What is written is read back; what was not written is refused without a panic.

use proptest::collection::vec;
use proptest::prelude::*;
use signalbox_protocol::ConnectionId;
use signalbox_protocol::control::Position;

use super::*;

fn name() -> impl Strategy<Value = String> {
    vec(prop::sample::select(b"AZaz09._".to_vec()), 1..=32)
        .prop_map(|bytes| String::from_utf8(bytes).unwrap())
}

fn tenant() -> impl Strategy<Value = Tenant> {
    name().prop_map(|name| Tenant::try_new(&name).unwrap())
}

fn topic() -> impl Strategy<Value = Topic> {
    (prop::sample::select(vec!["route", "vehicle", "agent_type"]), name())
        .prop_map(|(kind, id)| Topic::of(kind, &id).unwrap())
}

fn parcel() -> impl Strategy<Value = Parcel> {
    prop_oneof![
        4 => (tenant(), topic(), any::<u64>(), vec(any::<u8>(), 0..600)).prop_map(
            |(tenant, topic, conflation, frame)| Parcel::Deliver { tenant, topic, conflation, frame: frame.into() }
        ),
        1 => (tenant(), name(), any::<u16>()).prop_map(|(tenant, id, code)| Parcel::Close {
            tenant,
            connection_id: ConnectionId::try_new(&id).unwrap(),
            code
        }),
        1 => (tenant(), topic()).prop_map(|(tenant, topic)| Parcel::NotHere { tenant, topic }),
        1 => (tenant(), topic(), name(), any::<u64>(), vec(any::<u8>(), 0..600)).prop_map(
            |(tenant, topic, epoch, offset, body)| {
                Parcel::Logged(Logged { tenant, topic, position: Position { epoch, offset }, body: body.into() })
            }
        ),
        1 => Just(Parcel::Drain),
        1 => Just(Parcel::Revoked),
    ]
}

fn header() -> impl Strategy<Value = Header> {
    let to = prop_oneof![
        Just(Address::Node),
        (tenant(), topic()).prop_map(|(tenant, topic)| Address::Group(tenant, topic)),
    ];
    (name(), any::<u32>(), any::<u64>(), any::<u64>(), to).prop_map(
        |(node, generation, stream, sequence, to)| {
            let node = NodeId::try_new(&node).unwrap();
            Header { node, generation, stream, sequence, to }
        },
    )
}

fn encode(header: &Header, parcels: &[Parcel]) -> Bytes {
    let mut batch = Batch::new(header);
    parcels.iter().for_each(|parcel| batch.push(parcel));
    Bytes::copy_from_slice(batch.bytes())
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        header in header(),
        parcels in vec(parcel(), 0..20),
        repeated in any::<bool>(),
    ) {
        let mut parcels = parcels;
        if repeated {
            parcels = parcels.iter().flat_map(|parcel| [parcel.clone(), parcel.clone()]).collect();
        }
        if let (Address::Group(tenant, topic), true) = (&header.to, repeated) {
            let (tenant, topic, frame) = (tenant.clone(), topic.clone(), Bytes::from_static(b"{}"));
            parcels.push(Parcel::Deliver { tenant, topic, conflation: 7, frame });
        }
        let bytes = encode(&header, &parcels);
        prop_assert!(is_from(&bytes, &header.node));
        prop_assert_eq!(super::header(&bytes), Ok(header.clone()));
        prop_assert_eq!(decode(&bytes), Ok((header, parcels)));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..400)) {
        let _ = super::header(&bytes);
        let _ = decode(&Bytes::from(bytes));
    }

    #[test]
    fn a_damaged_batch_never_panics_and_never_reads_as_the_whole(
        header in header(),
        parcels in vec(parcel(), 1..6),
        cut in any::<prop::sample::Index>(),
        flip in any::<(prop::sample::Index, u8)>(),
    ) {
        let bytes = encode(&header, &parcels);
        let cut = bytes.slice(..cut.index(bytes.len()));
        prop_assert_ne!(decode(&cut), Ok((header, parcels)));
        let mut flipped = bytes.to_vec();
        flipped[flip.0.index(bytes.len())] ^= flip.1;
        let _ = decode(&Bytes::from(flipped));
    }

    #[test]
    fn no_parcel_outgrows_its_estimate(header in header(), parcel in parcel()) {
        let empty = Batch::new(&header).bytes().len();
        let bytes = encode(&header, std::slice::from_ref(&parcel));
        prop_assert!(bytes.len() - empty <= encoded_bytes_max(&parcel));
    }
}

fn deliver(bytes: usize) -> Parcel {
    Parcel::Deliver {
        tenant: Tenant::try_new("t").unwrap(),
        topic: Topic::try_new("route:12").unwrap(),
        conflation: 0,
        frame: vec![b'x'; bytes].into(),
    }
}

fn to_group() -> Header {
    Header {
        node: NodeId::try_new("n1").unwrap(),
        generation: 1,
        stream: 2,
        sequence: 3,
        to: Address::Group(Tenant::try_new("t").unwrap(), Topic::try_new("route:12").unwrap()),
    }
}

#[test]
fn a_group_batch_names_its_topic_once() {
    let bytes = encode(&to_group(), &[deliver(10), deliver(10), deliver(10)]);
    assert_eq!(bytes.windows(8).filter(|window| *window == b"route:12").count(), 1);
}

#[test]
fn a_full_batch_takes_no_more_but_an_empty_one_takes_any() {
    let mut batch = Batch::new(&to_group());
    assert!(batch.has_room_for(&deliver(10 * BATCH_BYTES_MAX)));
    batch.push(&deliver(BATCH_BYTES_MAX - 400));
    assert!(batch.has_room_for(&deliver(100)));
    assert!(!batch.has_room_for(&deliver(400)));
}

#[test]
fn a_small_frame_does_not_keep_its_batch_alive() {
    let bytes = encode(&to_group(), &[deliver(200), deliver(100_000)]);
    let (_, parcels) = decode(&bytes).unwrap();
    let frames: Vec<_> = parcels
        .iter()
        .map(|parcel| match parcel {
            Parcel::Deliver { frame, .. } => bytes.as_ptr_range().contains(&frame.as_ptr()),
            _ => panic!("only deliveries were sent"),
        })
        .collect();
    assert_eq!(frames, [false, true], "whether each frame lies inside the batch");
}

#[test]
fn other_versions_and_other_senders_are_told_apart() {
    let header = to_group();
    let mut bytes = encode(&header, &[]).to_vec();
    assert!(!is_from(&bytes, &NodeId::try_new("n2").unwrap()));
    assert!(!is_from(&[], &header.node));
    bytes[0] = 9;
    assert_eq!(decode(&bytes.into()), Err(Malformed::Version(9)));
}
