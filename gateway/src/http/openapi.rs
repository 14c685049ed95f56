//! The API described: as an OpenAPI document for programs, and as a page for people.

use std::sync::OnceLock;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, Response, header};
use serde_json::Value;

use super::table::{GET, Table};

const PAGE: &str = include_str!("openapi.html");
/// The page may run its own script and ask its own node, and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
    connect-src 'self'; frame-ancestors 'none'; base-uri 'none'";

pub(super) fn routes(table: Table) -> Table {
    table
        .group("description", "What you are reading.")
        .on(GET, "/api/openapi.json", document, "This document")
        .answers(200, "An OpenAPI 3.1 document.", Some("application/json"))
        .on(GET, "/api/docs", page, "This document as a page")
        .answers(200, "A page that needs nothing from elsewhere.", Some("text/html"))
}

/// The description of every path that the node answers.
pub fn describe() -> Value {
    super::table().into_document()
}

async fn document() -> Response<Body> {
    static DOCUMENT: OnceLock<Bytes> = OnceLock::new();
    let document = DOCUMENT.get_or_init(|| describe().to_string().into());
    of_type("application/json", document.clone())
}

async fn page() -> Response<Body> {
    let mut response = of_type("text/html; charset=utf-8", Bytes::from_static(PAGE.as_bytes()));
    let policy = HeaderName::from_static("content-security-policy");
    response.headers_mut().insert(policy, HeaderValue::from_static(POLICY));
    response
}

fn of_type(media_type: &'static str, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
