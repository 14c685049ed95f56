//! A server that behaves like the REST API of Strapi 5, as documented, with one collection,
//! `/api/active-passengers`, and switches for what goes wrong.
//!
//! Filters `$eq $ne $lt $lte $gt $gte $in $notIn $null $and $or`, `sort`, `pagination[page]` and `[pageSize]` (25
//! unless asked for, 100 at most), `documentId`, one error shape, tokens. Not there: drafts, locales,
//! relations, `populate`.

mod collection;
mod faults;
mod query;

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use collection::Collection;
pub use faults::Faults;
use query::Query;

/// Where the collection is.
const PATH: &str = "/api/active-passengers";

/// A request that reached the server.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// GET, POST, PUT, DELETE.
    pub method: String,
    /// The path with the query, decoded.
    pub target: String,
    /// The body's `data`; null if there was none.
    pub data: Value,
}

#[derive(Debug, Default)]
struct Shared {
    collection: Mutex<Collection>,
    faults: Mutex<Faults>,
    seen: Mutex<Vec<Seen>>,
    token: Option<String>,
}

/// A server of the test's own; it ends when this is dropped.
#[derive(Debug)]
pub struct Strapi {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
}

impl Strapi {
    /// Starts a server on a free port of 127.0.0.1 that wants no token.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start() -> Self {
        Self::serve(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), None).await
    }

    /// Starts a server that wants `Authorization: Bearer` and this token.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start_with_token(token: &str) -> Self {
        Self::serve(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), Some(token.to_owned())).await
    }

    /// Starts a server at an address.
    ///
    /// # Panics
    /// When the address is in use.
    pub async fn serve(address: SocketAddr, token: Option<String>) -> Self {
        let listener = TcpListener::bind(address).await.expect("an address to listen on");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared { token, ..Shared::default() });
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        tasks.spawn(accept(listener, Arc::clone(&shared), stop.clone(), tasks.clone()));
        Self { address, shared, stop }
    }

    /// Its URL, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What goes wrong from now on.
    pub fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.shared.faults)
    }

    /// Stores a record as if somebody else had, and tells its `documentId`.
    ///
    /// # Panics
    /// When Strapi would refuse it.
    pub fn insert(&self, data: &Value) -> String {
        let created = lock(&self.shared.collection).create(data).expect("a record as Strapi takes it");
        created["documentId"].as_str().expect("every record has one").to_owned()
    }

    /// Removes whatever holds this passenger, as if somebody else had.
    pub fn remove(&self, passenger_id: &str) {
        lock(&self.shared.collection).retain(|record| record["passenger_id"] != passenger_id);
    }

    /// All records that hold this passenger.
    pub fn records_of(&self, passenger_id: &str) -> Vec<Value> {
        let mut records = self.records();
        records.retain(|record| record["passenger_id"] == passenger_id);
        records
    }

    /// All records, oldest first.
    pub fn records(&self) -> Vec<Value> {
        lock(&self.shared.collection).all()
    }

    /// What was asked since the last call of this.
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *lock(&self.shared.seen))
    }
}

impl Drop for Strapi {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken, tasks: TaskTracker) {
    while let Some(Ok((socket, _))) = stop.run_until_cancelled(listener.accept()).await {
        let (connection, stop) = (connection(socket, Arc::clone(&shared)), stop.clone());
        tasks.spawn(async move { stop.run_until_cancelled(connection).await });
    }
}

/// Serves one connection. A request that is to get no answer ends it.
async fn connection(socket: TcpStream, shared: Arc<Shared>) {
    let hang_up = CancellationToken::new();
    let service = service_fn(|request| {
        let (shared, hang_up) = (Arc::clone(&shared), hang_up.clone());
        async move {
            match answer(&shared, request).await {
                Some(response) => Ok::<_, Infallible>(response),
                None => {
                    hang_up.cancel();
                    std::future::pending().await
                }
            }
        }
    });
    let served = http1::Builder::new().serve_connection(TokioIo::new(socket), service);
    // How a client's connection ends is nothing that this server could tell anybody.
    let _ = hang_up.run_until_cancelled(served).await;
}

/// The answer; `None` hangs up.
async fn answer(shared: &Shared, request: Request<Incoming>) -> Option<Response<Full<Bytes>>> {
    let delay = lock(&shared.faults).delay();
    if delay > Duration::ZERO {
        tokio::time::sleep(delay).await;
    }
    let (head, body) = request.into_parts();
    let body = body.collect().await.ok()?.to_bytes();
    let data = serde_json::from_slice(&body).map_or(Value::Null, |body: Value| body["data"].clone());
    let target = query::decode(head.uri.path_and_query().map_or("", |target| target.as_str()));
    let seen = Seen { method: head.method.to_string(), target, data: data.clone() };
    lock(&shared.seen).push(seen);
    if lock(&shared.faults).hangs_up() {
        return None;
    }
    let allowed = shared.token.as_ref().is_none_or(|token| {
        head.headers
            .get("authorization")
            .is_some_and(|given| given.as_bytes() == format!("Bearer {token}").as_bytes())
    });
    let answer = match allowed {
        true => carry_out(shared, &head.method, head.uri.path(), head.uri.query().unwrap_or_default(), &data),
        false => Err(Refused::new(401, "UnauthorizedError", "Missing or invalid credentials")),
    };
    let is_write = head.method != Method::GET;
    if is_write && lock(&shared.faults).loses_answer() {
        return None;
    }
    Some(response(answer))
}

fn carry_out(
    shared: &Shared,
    method: &Method,
    path: &str,
    query: &str,
    data: &Value,
) -> Result<Value, Refused> {
    lock(&shared.faults).refusal(method, data)?;
    let mut collection = lock(&shared.collection);
    let document = match path.strip_prefix(PATH) {
        Some("") => None,
        Some(rest) => rest.strip_prefix('/'),
        None => return Err(Refused::new(404, "NotFoundError", "Not Found")),
    };
    let wrapped = |data: Value| json!({"data": data, "meta": {}});
    match (method.as_str(), document) {
        ("GET", None) => Ok(collection.list(&Query::parse(query)?)),
        ("GET", Some(id)) => collection.get(id).map(wrapped),
        ("POST", None) => collection.create(data).map(wrapped),
        ("PUT", Some(id)) => collection.update(id, data).map(wrapped),
        ("DELETE", Some(id)) => collection.delete(id).map(|()| Value::Null),
        _ => Err(Refused::new(405, "MethodNotAllowedError", "Method Not Allowed")),
    }
    .map(|body| if method == Method::POST { json!({"created": body}) } else { body })
}

fn response(answer: Result<Value, Refused>) -> Response<Full<Bytes>> {
    let (status, body) = match answer {
        Ok(Value::Null) => (204, Value::Null),
        Ok(mut body) => match body.get_mut("created") {
            Some(created) => (201, created.take()),
            None => (200, body),
        },
        Err(refused) => (refused.status, refused.body()),
    };
    let bytes = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    Response::builder()
        .status(status)
        .header("content-type", "application/json; charset=utf-8")
        .body(Full::new(bytes))
        .expect("a status and a fixed header make a response")
}

/// An error as Strapi tells it.
#[derive(Debug, Clone, PartialEq)]
struct Refused {
    status: u16,
    name: &'static str,
    message: String,
    details: Value,
}

impl Refused {
    fn new(status: u16, name: &'static str, message: impl Into<String>) -> Self {
        Self { status, name, message: message.into(), details: json!({}) }
    }

    /// A `ValidationError` about one attribute.
    fn of_attribute(attribute: &str, message: &str) -> Self {
        let error = json!({"path": [attribute], "message": message, "name": "ValidationError"});
        Self { details: json!({"errors": [error]}), ..Self::new(400, "ValidationError", message) }
    }

    fn body(&self) -> Value {
        let Self { status, name, message, details } = self;
        json!({"data": null, "error": {"status": status, "name": name, "message": message, "details": details}})
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
