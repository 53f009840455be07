//! What every request must pass, and every answer carries.
//!
//! In this order: the name by which the server is called (400, 421), the page that
//! asks (403), the token (401). A page of another origin is refused whatever it
//! asks for; who may read metrics from elsewhere sends no `Origin`: Prometheus,
//! curl, a browser that follows a link.

use super::connection::Local;
use super::current::CurrentWebConfig;
use super::hosts::{Hosts, is_own_page};
use super::permits::Permit;
use super::token::Token;
use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::uri::Authority;
use axum::http::{StatusCode, Uri};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long an answer may take to begin. A scrape takes milliseconds.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// On every answer, not only on pages: an error may be shown as one. The status page
/// brings a content security policy of its own.
const HEADERS: [(HeaderName, HeaderValue); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// Whom the server lets in.
#[derive(Debug)]
pub(super) struct Guard {
    /// Its names.
    pub(super) hosts: Hosts,
    /// Says what requests must carry, if anything.
    pub(super) web: Arc<CurrentWebConfig>,
}

/// These routes behind the guard. What is no route is 404, also only behind it.
pub(super) fn protect(routes: Router, guard: Arc<Guard>) -> Router {
    routes
        .fallback(|| async { (StatusCode::NOT_FOUND, "there is no such path\n") })
        .layer(from_fn(in_time))
        .layer(from_fn_with_state(guard, admit))
        .layer(from_fn(with_headers))
}

async fn with_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

async fn in_time(request: Request, next: Next) -> Response {
    match timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "this took too long\n").into_response(),
    }
}

async fn admit(
    State(guard): State<Arc<Guard>>,
    Extension(Local(local)): Extension<Local>,
    Extension(permit): Extension<Arc<Permit>>,
    request: Request,
    next: Next,
) -> Response {
    match guard.check(request.uri(), request.headers(), local) {
        Ok(()) => {
            if guard.web.asks_for_token() {
                permit.is_known();
            }
            next.run(request).await
        }
        Err(refusal) => refusal,
    }
}

impl Guard {
    #[expect(
        clippy::result_large_err,
        reason = "the refusal is the answer, made once a request"
    )]
    fn check(&self, uri: &Uri, headers: &HeaderMap, local: IpAddr) -> Result<(), Response> {
        let called = called(uri, headers).ok_or_else(|| {
            (StatusCode::BAD_REQUEST, "one Host header is needed\n").into_response()
        })?;
        if !self.hosts.know(&called, local) {
            let remedy = "this server does not answer to that name: --http-host adds one\n";
            return Err((StatusCode::MISDIRECTED_REQUEST, remedy).into_response());
        }
        let own = |origin: &HeaderValue| {
            origin
                .to_str()
                .is_ok_and(|origin| is_own_page(origin, &called))
        };
        if !headers.get_all(header::ORIGIN).iter().all(own) {
            let refusal = "pages of other origins may not ask\n";
            return Err((StatusCode::FORBIDDEN, refusal).into_response());
        }
        let sent = only(headers, header::AUTHORIZATION);
        let enough = |token: &Token| sent.is_some_and(|sent| token.is_in(sent.as_bytes()));
        if !self.web.admits(enough) {
            let challenge = [(header::WWW_AUTHENTICATE, "Bearer realm=\"sccm-agent\"")];
            let refusal = "a bearer token is needed\n";
            return Err((StatusCode::UNAUTHORIZED, challenge, refusal).into_response());
        }
        Ok(())
    }
}

/// By which name the client calls the server; none if it is unclear.
fn called(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    let host = only(headers, header::HOST)?.to_str().ok()?;
    let host: Authority = host.parse().ok()?;
    // `user@host` is for URIs; and a target with a host of its own must say the same.
    let clear = !host.as_str().contains('@') && uri.authority().is_none_or(|one| *one == host);
    clear.then_some(host)
}

/// A header that may occur once.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).into_iter();
    values.next().filter(|_| values.next().is_none())
}
