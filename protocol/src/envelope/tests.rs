//! Reading and writing by example; the property tests are in `tests/protocol`.

use super::*;
use crate::error::ErrorCode;
use crate::topic::Topic;

const STAMP: Stamp<'static> = Stamp { id: "stamped", timestamp_ms: 0, source: "vehicle:V1" };

fn malformed(text: &str) -> Malformed {
    match Incoming::parse(text) {
        Ok(incoming) => panic!("{text} was taken as {incoming:?}"),
        Err(malformed) => malformed,
    }
}

fn written(text: &str) -> String {
    let mut out = Vec::new();
    write_event(&mut out, &Incoming::parse(text).unwrap(), &STAMP);
    String::from_utf8(out).unwrap()
}

#[test]
fn only_a_type_is_required() {
    let incoming = Incoming::parse(" {\"type\": \"chat:line\"}\n").unwrap();
    assert_eq!(incoming.message_type, "chat:line");
    assert!(incoming.id.is_none() && incoming.timestamp.is_none() && incoming.correlation_id.is_none());
    assert!(incoming.data.is_none() && incoming.metadata.is_none() && incoming.target_raw.is_none());
    assert!(incoming.target.is_default() && !incoming.ack);
}

#[test]
fn every_field_is_read() {
    let text = r#"{"id":"m1","type":"chat:line","timestamp":"2026-01-01T08:00:00Z","data":[1, 2.50],
        "target":["route:1","route:1","depot:4"],"correlationId":"c1","metadata":{"x":{},"ack":true}}"#;
    let incoming = Incoming::parse(text).unwrap();
    assert_eq!(incoming.id.as_deref(), Some("m1"));
    assert_eq!(incoming.timestamp.as_deref(), Some("2026-01-01T08:00:00Z"));
    assert_eq!(incoming.data.unwrap().get(), "[1, 2.50]");
    assert_eq!(
        incoming.target.topics().iter().map(Topic::as_str).collect::<Vec<_>>(),
        ["route:1", "depot:4"]
    );
    assert_eq!(incoming.target_raw.unwrap().get(), r#"["route:1","route:1","depot:4"]"#);
    assert_eq!(incoming.correlation_id.as_deref(), Some("c1"));
    assert!(incoming.ack);
    assert_eq!(incoming.answer_to(), Some("c1"));
}

#[test]
fn what_needs_no_escape_is_borrowed_and_what_has_one_is_decoded() {
    let incoming =
        Incoming::parse(r#"{"id":"plain","\u0074ype":"chat\u003aline","correlationId":"\u00e9\"\\"}"#)
            .unwrap();
    assert!(matches!(incoming.id, Some(Cow::Borrowed("plain"))));
    assert_eq!(incoming.message_type, "chat:line");
    assert_eq!(incoming.correlation_id.as_deref(), Some("é\"\\"));
}

#[test]
fn null_is_absent_but_for_data() {
    let text = r#"{"id":null,"type":"a:b","timestamp":null,"data":null,"target":null,"correlationId":null,"metadata":null}"#;
    let incoming = Incoming::parse(text).unwrap();
    assert!(incoming.id.is_none() && incoming.timestamp.is_none() && incoming.correlation_id.is_none());
    assert!(incoming.metadata.is_none() && incoming.target.is_default());
    assert_eq!(incoming.data.unwrap().get(), "null");
    assert!(!Incoming::parse(r#"{"type":"a:b","metadata":{"ack":null}}"#).unwrap().ack);
}

#[test]
fn unknown_fields_are_dropped_and_nobody_names_his_own_source() {
    let text =
        r#"{"type":"a:b","source":"service:x","source":5,"topic":"order:1","offset":7,"extra":[[{}]]}"#;
    assert_eq!(
        written(text),
        r#"{"id":"stamped","type":"a:b","timestamp":"1970-01-01T00:00:00.000Z","source":"vehicle:V1","data":{},"target":null,"correlationId":null,"metadata":{}}"#
    );
}

#[test]
fn each_fault_has_its_code_and_names_the_field() {
    use ErrorCode::{InvalidEnvelope, InvalidJson, InvalidTarget, InvalidType};
    let long = format!(r#"{{"type":"a:b","id":"{}"}}"#, "x".repeat(129));
    for (text, code, field) in [
        ("", InvalidJson, None),
        ("nonsense", InvalidJson, None),
        (r#"{"type":"a:b""#, InvalidJson, None),
        (r#"{"type":"a:b"} {}"#, InvalidJson, None),
        (r#"{"type":"a:b",}"#, InvalidJson, None),
        (r#"{"type":"a:b","data":[1,2}"#, InvalidJson, None),
        ("{\"type\":\"a:b\",\"id\":\"\u{1}\"}", InvalidJson, None),
        (r#"[{"type":"a:b"}"#, InvalidJson, None),
        (r#"{"type":"a:b","data":NaN}"#, InvalidJson, None),
        (r#"[{"type":"a:b"}]"#, InvalidEnvelope, None),
        (r#""a:b""#, InvalidEnvelope, None),
        ("null", InvalidEnvelope, None),
        ("1e999", InvalidEnvelope, None),
        ("{}", InvalidEnvelope, Some("type")),
        (r#"{"type":null}"#, InvalidEnvelope, Some("type")),
        (r#"{"type":5}"#, InvalidEnvelope, Some("type")),
        (r#"{"type":["a:b"]}"#, InvalidEnvelope, Some("type")),
        (r#"{"type":"a:b","type":"a:b"}"#, InvalidEnvelope, Some("type")),
        (r#"{"type":"a:b","data":1,"d\u0061ta":1}"#, InvalidEnvelope, Some("data")),
        (r#"{"type":"a:b","target":null,"target":null}"#, InvalidEnvelope, Some("target")),
        (r#"{"type":"ab"}"#, InvalidType, Some("type")),
        (r#"{"type":"A:b"}"#, InvalidType, Some("type")),
        (r#"{"type":""}"#, InvalidType, Some("type")),
        (r#"{"type":"a:b","id":5}"#, InvalidEnvelope, Some("id")),
        (r#"{"type":"a:b","id":""}"#, InvalidEnvelope, Some("id")),
        (r#"{"type":"a:b","id":"a\u0007b"}"#, InvalidEnvelope, Some("id")),
        (r#"{"type":"a:b","id":"\ud800"}"#, InvalidEnvelope, Some("id")),
        (r#"{"type":"a:b","id":"\u0085"}"#, InvalidEnvelope, Some("id")),
        (&long, InvalidEnvelope, Some("id")),
        (r#"{"type":"a:b","correlationId":{}}"#, InvalidEnvelope, Some("correlationId")),
        (r#"{"type":"a:b","correlationId":"\n"}"#, InvalidEnvelope, Some("correlationId")),
        (r#"{"type":"a:b","timestamp":1767254400000}"#, InvalidEnvelope, Some("timestamp")),
        (r#"{"type":"a:b","timestamp":"2026-01-01 08:00"}"#, InvalidEnvelope, Some("timestamp")),
        (r#"{"type":"a:b","metadata":[]}"#, InvalidEnvelope, Some("metadata")),
        (r#"{"type":"a:b","metadata":"x"}"#, InvalidEnvelope, Some("metadata")),
        (r#"{"type":"a:b","metadata":{"ack":"yes"}}"#, InvalidEnvelope, Some("metadata")),
        (r#"{"type":"a:b","metadata":{"ack":true,"ack":false}}"#, InvalidEnvelope, Some("metadata")),
        (r#"{"type":"a:b","metadata":{"\ud800":1}}"#, InvalidEnvelope, Some("metadata")),
        (r#"{"type":"a:b","target":5}"#, InvalidTarget, Some("target")),
        (r#"{"type":"a:b","target":"nowhere"}"#, InvalidTarget, Some("target")),
        (r#"{"type":"a:b","target":[]}"#, InvalidTarget, Some("target")),
        (r#"{"type":"a:b","target":{"topic":"route:1"}}"#, InvalidTarget, Some("target")),
    ] {
        let fault = malformed(text).fault;
        assert_eq!(fault.code, code, "{text}: {fault}");
        let named = fault.details.as_ref().and_then(|details| details["field"].as_str());
        assert_eq!(named, field, "{text}: {fault}");
    }
}

#[test]
fn a_malformed_message_is_answered_to_its_request_if_that_can_be_told() {
    let long = format!(r#"{{"correlationId":"{}","id":"m1"}}"#, "x".repeat(129));
    for (text, told) in [
        (r#"{"id":"m1","correlationId":"c1","type":5}"#, Some("c1")),
        (r#"{"type":"bad","id":"m1"}"#, Some("m1")),
        (r#"{"type":"a:b","correlationId":7,"id":"m1"}"#, Some("m1")),
        (r#"{"id":"m1","type":"a:b","data":{"#, Some("m1")),
        (r#"{"type":"a:b","data":{,"id":"m1"}"#, None),
        (r#"{"id":"m1""#, Some("m1")),
        (&long, Some("m1")),
        (r#"{"type":"a:b","id":"a\u0000"}"#, None),
        ("[]", None),
    ] {
        assert_eq!(malformed(text).correlation_id.as_deref(), told, "{text}");
    }
}

#[test]
fn what_a_client_sent_is_forwarded_byte_for_byte() {
    let data =
        r#"{ "b" : 1.00, "a":1e400,"n":123456789012345678901234567890 , "s":"\u00e9\ud83d\ude00","a":2}"#;
    let text = format!(
        r#"{{"metadata":{{ "ack": false }},"data":{data},"target":[ "route:1" ],"type":"a:b","id":"é\n\"","correlationId":"c"}}"#
    );
    let text = text.replace("é\\n", "é "); // a control character would be refused
    assert_eq!(
        written(&text),
        format!(
            r#"{{"id":"é \"","type":"a:b","timestamp":"1970-01-01T00:00:00.000Z","source":"vehicle:V1","data":{data},"target":[ "route:1" ],"correlationId":"c","metadata":{{ "ack": false }}}}"#
        )
    );
}

#[test]
fn the_senders_id_and_time_stay() {
    let text = written(r#"{"type":"a:b","id":"mine","timestamp":"2026-01-01T08:00:00+01:00"}"#);
    assert!(text.starts_with(
        r#"{"id":"mine","type":"a:b","timestamp":"2026-01-01T08:00:00+01:00","source":"vehicle:V1""#
    ));
}

#[test]
fn deep_nesting_costs_no_stack() {
    let depth = 300_000;
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
        let text = format!(r#"{{"type":"a:b","data":{deep},"extra":{deep},"metadata":{{"x":{deep}}}}}"#);
        let incoming = Incoming::parse(&text).unwrap();
        assert_eq!(incoming.data.unwrap().get(), deep);
        let mut out = Vec::new();
        write_event(&mut out, &incoming, &STAMP);
        let received: Received = serde_json::from_slice(&out).unwrap();
        assert_eq!(received.data.get(), deep);
        for field in ["type", "id", "target"] {
            assert_eq!(malformed(&format!(r#"{{"type":"a:b","{field}":{deep}}}"#)).correlation_id, None);
        }
    }
    malformed(&"[".repeat(depth));
}

#[test]
fn a_place_follows_at_the_end() {
    let topic = Topic::try_new("order:99").unwrap();
    let mut out = Vec::new();
    let place = Place { topic: &topic, offset: 41 };
    write_event_at(&mut out, &Incoming::parse(r#"{"type":"order:new"}"#).unwrap(), &STAMP, Some(&place));
    assert!(out.ends_with(br#""metadata":{},"topic":"order:99","offset":41}"#));
    let received: Received = serde_json::from_slice(&out).unwrap();
    assert_eq!((received.topic, received.offset), (Some(topic), Some(41)));
}

#[test]
fn a_stored_message_gets_its_place_as_if_it_had_been_written_with_it() {
    let topic = Topic::try_new("order:99").unwrap();
    let place = Place { topic: &topic, offset: 41 };
    let incoming =
        Incoming::parse(r#"{"type":"order:new","data":{"a":[1, 2]},"metadata":{"x":{}}}"#).unwrap();
    let (mut at_once, mut stored, mut placed) = (Vec::new(), Vec::new(), Vec::new());
    write_event_at(&mut at_once, &incoming, &STAMP, Some(&place));
    write_event(&mut stored, &incoming, &STAMP);
    write_placed(&mut placed, &stored, &place);
    assert_eq!(String::from_utf8(placed).unwrap(), String::from_utf8(at_once).unwrap());
}

#[test]
fn a_reply_has_the_form_of_every_message() {
    let mut out = Vec::new();
    let data = serde_json::json!({"count": 1});
    let reply = Reply { stamp: STAMP, message_type: "system:ack", correlation_id: Some("q\"1"), data: &data };
    write_reply(&mut out, &reply);
    assert_eq!(
        String::from_utf8(out.clone()).unwrap(),
        r#"{"id":"stamped","type":"system:ack","timestamp":"1970-01-01T00:00:00.000Z","source":"vehicle:V1","data":{"count":1},"target":null,"correlationId":"q\"1","metadata":{}}"#
    );
    let received: Received = serde_json::from_slice(&out).unwrap();
    assert_eq!(received.correlation_id.as_deref(), Some("q\"1"));
    assert_eq!(received.data::<serde_json::Value>().unwrap(), data);
}

#[test]
fn what_the_client_side_writes_is_what_the_gateway_reads() {
    let data = serde_json::json!({"text": "hello"});
    let short = serde_json::to_string(&Outgoing::new("chat:line", &data)).unwrap();
    assert_eq!(short, r#"{"type":"chat:line","data":{"text":"hello"}}"#);

    let mut outgoing = Outgoing::new("chat:line", &data);
    outgoing.id = Some("m1");
    outgoing.target = Topic::try_new("route:12").unwrap().into();
    outgoing.correlation_id = Some("c1");
    outgoing.metadata.ack = true;
    outgoing.metadata.rest.insert("trace".into(), 7.into());
    let text = serde_json::to_string(&outgoing).unwrap();
    let incoming = Incoming::parse(&text).unwrap();
    assert_eq!((incoming.id.as_deref(), incoming.correlation_id.as_deref()), (Some("m1"), Some("c1")));
    assert_eq!(incoming.target, outgoing.target);
    assert_eq!(incoming.metadata.unwrap().get(), r#"{"ack":true,"trace":7}"#);
    assert!(incoming.ack);
}
