//! Which messages are traced, and what becomes of their metadata.

use prometheus::Opts;
use signalbox_protocol::envelope::Incoming;

use super::*;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn tracer(collector: Option<&str>) -> Tracer {
    let counted = IntCounterVec::new(Opts::new("spans", "spans"), &["result"]).unwrap();
    Tracer::new(collector.map(|address| Collector::try_new(address, None, "test").unwrap()), counted)
}

#[test]
fn the_span_takes_the_place_of_its_parent_in_the_metadata_and_nothing_else_changes() {
    let tracer = tracer(Some("http://127.0.0.1:1"));
    let text = format!(
        r#"{{"type":"a:b","data":"{PARENT}","metadata":{{ "x":"{PARENT}" , "traceparent" : "{PARENT}","ack":true}}}}"#
    );
    let incoming = Incoming::parse(&text).unwrap();
    let told = tracer.begin_message(&incoming).unwrap();
    let own = told.span.context();
    let passed_on = told.message(&incoming);
    let expected = format!(r#"{{ "x":"{PARENT}" , "traceparent" : "{own}","ack":true}}"#);
    assert_eq!(passed_on.metadata.unwrap().get(), expected);
    assert_eq!(own.trace_id(), PARENT[3..35]);
    let encoded = format!("\u{1}{}", text.replacen(&format!(": \"{PARENT}\""), &format!(": \"{own}\""), 1));
    let delivery = tracer.begin_delivery(encoded.as_bytes()).unwrap();
    assert_eq!(delivery.span.parent, own);
}

#[test]
fn what_is_not_recorded_or_no_trace_is_left_alone() {
    let unrecorded = PARENT.replace("-01", "-00");
    let metadata = [
        "{}".to_owned(),
        format!(r#"{{"traceparent":"{unrecorded}"}}"#),
        r#"{"traceparent":"nonsense"}"#.to_owned(),
        r#"{"traceparent":7}"#.to_owned(),
        format!(r#"{{"x":{{"traceparent":"{PARENT}"}}}}"#),
    ];
    for metadata in metadata {
        let text = format!(r#"{{"type":"a:b","metadata":{metadata}}}"#);
        let incoming = Incoming::parse(&text).unwrap();
        assert!(tracer(Some("http://127.0.0.1:1")).begin_message(&incoming).is_none(), "{text}");
        assert!(tracer(Some("http://127.0.0.1:1")).begin_delivery(text.as_bytes()).is_none(), "{text}");
    }
    let text = format!(r#"{{"type":"a:b","metadata":{{"traceparent":"{PARENT}"}}}}"#);
    assert!(tracer(None).begin_message(&Incoming::parse(&text).unwrap()).is_none(), "it is off");
}

#[test]
fn spans_that_nobody_takes_are_bounded_and_counted() {
    let tracer = tracer(Some("http://127.0.0.1:1"));
    for _ in 0..WAITING_MAX + 5 {
        tracer.begin("x", Kind::Server, TraceParent::parse(PARENT)).unwrap().end();
    }
    assert_eq!(tracer.0.unwrap().counted.with_label_values(&["dropped"]).get(), 5);
}

#[test]
fn a_collector_has_a_plain_address() {
    for good in ["http://127.0.0.1:4318", "http://collector/below/", "http://[::1]:4318"] {
        assert!(Collector::try_new(good, None, "s").is_ok(), "{good}");
    }
    for bad in ["", "collector:4318", "ftp://x", "http://u:p@x", "http://x?token=1", "/v1/traces"] {
        assert!(Collector::try_new(bad, None, "s").is_err(), "{bad}");
    }
}
