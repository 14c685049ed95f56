//! One table from which both the router and its description are built, so that neither can know a path that the
//! other doesn't.

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, on};
use serde_json::{Value, json};

use super::document::{Document, Draft, refusal};
use crate::node::Node;

/// A handler whose types describe it.
pub(super) trait Described<T> {
    /// Tells its parameters, its body and its answers.
    fn describe(draft: &mut Draft<'_>);
}

/// What a handler takes.
pub(super) trait Input {
    /// Tells where it comes from, and the refusals if it can't be had.
    fn describe(draft: &mut Draft<'_>);
}

/// What a handler answers.
pub(super) trait Output {
    /// Tells the answers.
    fn describe(draft: &mut Draft<'_>);
}

macro_rules! described {
    ($($input:ident),*) => {
        impl<F, Fut, M, R, $($input),*> Described<(M, $($input,)*)> for F
        where
            F: FnOnce($($input),*) -> Fut,
            Fut: Future<Output = R>,
            R: Output,
            $($input: Input,)*
        {
            fn describe(draft: &mut Draft<'_>) {
                $($input::describe(draft);)*
                R::describe(draft);
            }
        }
    };
}

described!();
described!(A);
described!(A, B);
described!(A, B, C);
described!(A, B, C, D);
described!(A, B, C, D, E);

/// A method of HTTP.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verb {
    filter: MethodFilter,
    name: &'static str,
}

/// GET, and HEAD.
pub(super) const GET: Verb = Verb { filter: MethodFilter::GET, name: "get" };
/// POST.
pub(super) const POST: Verb = Verb { filter: MethodFilter::POST, name: "post" };
/// PUT.
pub(super) const PUT: Verb = Verb { filter: MethodFilter::PUT, name: "put" };
/// PATCH.
pub(super) const PATCH: Verb = Verb { filter: MethodFilter::PATCH, name: "patch" };
/// DELETE.
pub(super) const DELETE: Verb = Verb { filter: MethodFilter::DELETE, name: "delete" };

/// The routes, and what is said of them.
#[derive(Debug)]
pub(super) struct Table {
    router: Router<Arc<Node>>,
    document: Document,
    /// Method and path of the operation added last.
    latest: (&'static str, &'static str),
}

impl Table {
    /// No route yet.
    pub(super) fn new() -> Self {
        Self { router: Router::new(), document: Document::new(), latest: ("", "") }
    }

    /// What follows belongs together.
    pub(super) fn group(mut self, name: &str, description: &str) -> Self {
        self.document.tag(name, description);
        self
    }

    /// Answers `verb` at `path` by `handler`; `summary` says what for.
    pub(super) fn on<H, T>(mut self, verb: Verb, path: &'static str, handler: H, summary: &str) -> Self
    where
        H: Handler<T, Arc<Node>> + Described<T>,
        T: 'static,
    {
        self.document.add(verb.name, path, summary, H::describe);
        self.router = self.router.route(path, on(verb.filter, handler));
        self.latest = (verb.name, path);
        self
    }

    /// A status that the latest operation refuses with, and when.
    pub(super) fn refuses(mut self, status: u16, when: &str) -> Self {
        let (method, path) = self.latest;
        let problem = json!({"$ref": "#/components/schemas/Problem"});
        self.document.amend(method, path, |operation| {
            operation["responses"][status.to_string()] = refusal(when, &problem);
        });
        self
    }

    /// A body for the latest operation, as an example.
    pub(super) fn example(mut self, body: Value) -> Self {
        let (method, path) = self.latest;
        self.document.amend(method, path, |operation| {
            operation["requestBody"]["content"]["application/json"]["example"] = body;
        });
        self
    }

    /// What the types of the latest operation do not say.
    pub(super) fn answers(mut self, status: u16, description: &str, media_type: Option<&str>) -> Self {
        let (method, path) = self.latest;
        self.document.amend(method, path, |operation| {
            let mut answer = json!({ "description": description });
            if let Some(media_type) = media_type {
                let kind = if media_type == "application/json" { "object" } else { "string" };
                answer["content"] = json!({media_type: {"schema": {"type": kind}}});
            }
            operation["responses"][status.to_string()] = answer;
        });
        self
    }

    /// The routes.
    pub(super) fn into_router(self) -> Router<Arc<Node>> {
        self.router
    }

    /// What was said of them.
    pub(super) fn into_document(self) -> Value {
        self.document.finish()
    }
}
