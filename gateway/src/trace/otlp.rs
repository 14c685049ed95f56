//! Spans in the JSON form of OTLP 1 (opentelemetry-proto, `ExportTraceServiceRequest`): ids in hexadecimal, 64-bit
//! numbers as text.

use serde_json::{Value, json};

use super::{Fact, Finished};

/// One request with these spans of a service.
pub(super) fn request(resource: &[(&str, &str)], spans: &[Finished]) -> Vec<u8> {
    let resource: Vec<_> =
        resource.iter().map(|(key, text)| attribute(key, &json!({"stringValue": text}))).collect();
    let spans: Vec<_> = spans.iter().map(span).collect();
    let scope = json!({"name": "signalbox", "version": env!("CARGO_PKG_VERSION")});
    let request = json!({"resourceSpans": [{
        "resource": {"attributes": resource},
        "scopeSpans": [{"scope": scope, "spans": spans}],
    }]});
    request.to_string().into_bytes()
}

fn span(span: &Finished) -> Value {
    let facts = span.facts.iter().map(|(key, fact)| {
        let value = match fact {
            Fact::Text(text) => json!({"stringValue": text}),
            Fact::Number(number) => json!({"intValue": number.to_string()}),
        };
        attribute(key, &value)
    });
    json!({
        "traceId": span.own.trace_id(),
        "spanId": span.own.span_id(),
        "parentSpanId": span.parent.span_id(),
        "name": span.name,
        "kind": span.kind as u8,
        "startTimeUnixNano": span.begun_ns.to_string(),
        "endTimeUnixNano": span.ended_ns.to_string(),
        "attributes": facts.collect::<Vec<_>>(),
    })
}

fn attribute(key: &str, value: &Value) -> Value {
    json!({"key": key, "value": value})
}
