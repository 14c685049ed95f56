//! What holds for any text: reading never panics, and what is read is written unchanged.

use proptest::prelude::*;
use signalbox_protocol::Topic;
use signalbox_protocol::control::{PresenceRequest, TopicsRequest, parse_data};
use signalbox_protocol::envelope::{Incoming, Received, Stamp, write_event};

const STAMP: Stamp<'static> = Stamp { id: "stamped", timestamp_ms: 1_767_254_400_007, source: "vehicle:V1" };

/// JSON text of any shape, with free spaces, odd numbers and escapes.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<f64>()
            .prop_filter("JSON has no such number", |value| value.is_finite())
            .prop_map(|v| v.to_string()),
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,40})?([eE][+-]?[0-9]{1,5})?",
        json_string(),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        let member = (json_string(), " {0,2}", inner.clone())
            .prop_map(|(name, gap, value)| format!("{name}{gap}:{value}"));
        prop_oneof![
            (prop::collection::vec(inner, 0..6), "[ \n\t]{0,2}")
                .prop_map(|(items, gap)| { format!("[{gap}{}{gap}]", items.join(&format!("{gap},"))) }),
            (prop::collection::vec(member, 0..6), "[ \n\t]{0,2}")
                .prop_map(|(members, gap)| { format!("{{{gap}{}{gap}}}", members.join(&format!(",{gap}"))) }),
        ]
    })
}

fn json_string() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        "\"(\\\\u[0-9a-f]{4}|\\\\[nrtbf/]|[a-zé ]){0,8}\"",
    ]
}

fn topic() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9_]{0,31}:[A-Za-z0-9._~@+-]{1,128}".prop_map(|text| format!("{text:?}"))
}

/// A valid value for one field, as JSON text, under its name.
fn field() -> impl Strategy<Value = (&'static str, String)> {
    let reference = || "\\PC{1,128}".prop_map(|text| serde_json::to_string(&text).unwrap());
    let zone = prop_oneof![Just("Z".to_owned()), "[+-][01][0-9]:[0-5][0-9]"];
    prop_oneof![
        reference().prop_map(|text| ("id", text)),
        reference().prop_map(|text| ("correlationId", text)),
        zone.prop_map(|zone| ("timestamp", format!("\"2026-01-01T08:00:00.5{zone}\""))),
        json().prop_map(|data| ("data", data)),
        topic().prop_map(|topic| ("target", topic)),
        prop::collection::vec(topic(), 1..=64)
            .prop_map(|topics| ("target", format!("[{}]", topics.join(" , ")))),
        (any::<bool>(), json()).prop_map(|(ack, x)| ("metadata", format!("{{\"ack\": {ack}, \"x\":{x}}}"))),
        json().prop_map(|extra| ("extra", extra)),
    ]
}

/// A valid envelope: its fields in any order.
fn envelope() -> impl Strategy<Value = String> {
    let fields = prop::collection::vec(field(), 0..8);
    ("[a-z_]{1,20}:[a-z_]{1,20}", fields, any::<prop::sample::Index>()).prop_map(
        |(message_type, mut fields, at)| {
            fields.sort_by_key(|(name, _)| *name);
            fields.dedup_by_key(|(name, _)| *name);
            fields.insert(at.index(fields.len() + 1), ("type", format!("\"{message_type}\"")));
            let fields: Vec<_> =
                fields.into_iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
            format!("{{{}}}", fields.join(", "))
        },
    )
}

/// Writes what was read, reads that, and compares.
fn assert_round_trip(incoming: &Incoming<'_>) {
    let mut out = Vec::new();
    write_event(&mut out, incoming, &STAMP);
    let text = String::from_utf8(out).unwrap();
    let again = Incoming::parse(&text).unwrap();
    assert_eq!(again.id.as_deref(), Some(incoming.id.as_deref().unwrap_or(STAMP.id)));
    assert_eq!(again.message_type, incoming.message_type);
    assert_eq!(
        again.timestamp.as_deref(),
        Some(incoming.timestamp.as_deref().unwrap_or("2026-01-01T08:00:00.007Z"))
    );
    assert_eq!(again.data.unwrap().get(), incoming.data.map_or("{}", |data| data.get()));
    assert_eq!(again.target, incoming.target);
    assert_eq!(again.target_raw.map(|raw| raw.get()), incoming.target_raw.map(|raw| raw.get()));
    assert_eq!(again.correlation_id, incoming.correlation_id);
    assert_eq!(again.metadata.unwrap().get(), incoming.metadata.map_or("{}", |metadata| metadata.get()));
    assert_eq!(again.ack, incoming.ack);
    assert_eq!(serde_json::from_str::<Received>(&text).unwrap().source, STAMP.source);
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in any::<String>(), bytes in any::<Vec<u8>>()) {
        drop(Incoming::parse(&text));
        drop(Incoming::parse(&String::from_utf8_lossy(&bytes)));
    }

    #[test]
    fn any_json_is_read_without_panic_and_never_called_broken(text in json()) {
        if let Err(malformed) = Incoming::parse(&text) {
            prop_assert_ne!(malformed.fault.code, signalbox_protocol::ErrorCode::InvalidJson, "{}", text);
        }
    }

    #[test]
    fn an_envelope_that_is_read_is_written_unchanged(text in envelope()) {
        assert_round_trip(&Incoming::parse(&text).unwrap());
    }

    #[test]
    fn a_damaged_envelope_is_refused_or_still_whole(
        text in envelope(),
        at in any::<prop::sample::Index>(),
        with in prop::collection::vec(any::<char>(), 0..3),
        removed in 0_usize..4,
    ) {
        let mut chars: Vec<char> = text.chars().collect();
        let from = at.index(chars.len());
        let to = (from + removed).min(chars.len());
        chars.splice(from..to, with);
        let damaged: String = chars.into_iter().collect();
        match Incoming::parse(&damaged) {
            Ok(incoming) => assert_round_trip(&incoming),
            Err(malformed) => prop_assert!(!malformed.fault.message.is_empty()),
        }
    }

    #[test]
    fn a_cut_envelope_is_broken_json(text in envelope(), at in any::<prop::sample::Index>()) {
        let cut: String = text.chars().take(at.index(text.chars().count())).collect();
        let malformed = Incoming::parse(&cut).unwrap_err();
        prop_assert_eq!(malformed.fault.code, signalbox_protocol::ErrorCode::InvalidJson);
    }

    #[test]
    fn any_data_is_taken_or_refused_with_a_short_reason(data in json()) {
        let raw = serde_json::from_str(&data).unwrap();
        if let Err(fault) = parse_data::<TopicsRequest>(Some(raw)) {
            prop_assert!(fault.message.chars().count() < 600 && fault.details.is_some());
        }
        drop(parse_data::<PresenceRequest>(Some(raw)));
    }

    #[test]
    fn a_topic_is_its_kind_and_its_id(text in any::<String>(), near in "[a-z0-9_:A-Z.~@+ -]{1,40}") {
        for text in [text, near] {
            if let Ok(topic) = Topic::try_new(&text) {
                prop_assert_eq!(topic.as_str(), text.as_str());
                prop_assert_eq!(Topic::of(topic.kind(), topic.id()).unwrap(), topic);
            }
        }
    }
}
