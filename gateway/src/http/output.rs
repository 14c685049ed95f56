//! What handlers answer. Each tells the description of the API about itself.

use axum::Json;
use axum::body::Body;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::Serialize;

use super::document::Draft;
use super::problem::Problem;
use super::table::Output;

/// A list, or a page of one.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}List")]
pub(super) struct List<T> {
    pub(super) items: Vec<T>,
    /// Ask again with it for the next page; `null` on the last one.
    pub(super) cursor: Option<String>,
}

/// 201, with what was made.
#[derive(Debug)]
pub(super) struct Created<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response<Body> {
        (StatusCode::CREATED, Json(self.0)).into_response()
    }
}

/// 202, with what has begun.
#[derive(Debug)]
pub(super) struct Accepted<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Accepted<T> {
    fn into_response(self) -> Response<Body> {
        (StatusCode::ACCEPTED, Json(self.0)).into_response()
    }
}

/// 204.
#[derive(Debug)]
pub(super) struct NoContent;

impl IntoResponse for NoContent {
    fn into_response(self) -> Response<Body> {
        StatusCode::NO_CONTENT.into_response()
    }
}

impl<T: JsonSchema> Output for Json<T> {
    fn describe(draft: &mut Draft<'_>) {
        draft.answers_json::<T>(200, "What was asked for.");
    }
}

impl<T: JsonSchema> Output for Created<T> {
    fn describe(draft: &mut Draft<'_>) {
        draft.answers_json::<T>(201, "What was made.");
    }
}

impl<T: JsonSchema> Output for Accepted<T> {
    fn describe(draft: &mut Draft<'_>) {
        draft.answers_json::<T>(202, "It has begun.");
    }
}

impl Output for NoContent {
    fn describe(draft: &mut Draft<'_>) {
        draft.answers(204, "Done.");
    }
}

impl Output for &'static str {
    fn describe(draft: &mut Draft<'_>) {
        draft.answers_text(200, "Some words.", "text/plain");
    }
}

/// The table says what it is.
impl Output for Response<Body> {
    fn describe(_: &mut Draft<'_>) {}
}

impl<T: Output> Output for Result<T, Problem> {
    fn describe(draft: &mut Draft<'_>) {
        T::describe(draft);
        draft.refuses(408, "The request took too long to arrive or to answer.");
        draft.refuses(500, "A fault of the node.");
        draft.refuses(503, "The node can't do it now, and nothing was done.");
        draft.refuses(504, "The answer was lost: it may or may not have been done.");
    }
}
