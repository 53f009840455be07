//! What the server answers: metrics, health, and the status page.

use super::events::{Feed, events};
use super::page::Page;
use super::reader::Reader;
use super::scrapes::Scrapes;
use crate::metrics::{Format, Metrics};
use crate::policies::Policies;
use crate::record::{Part, Record};
use crate::state::{Machine, State as InterfaceIs};
use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::convert::Infallible;
use std::sync::Arc;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

struct Told {
    machine: Arc<Machine>,
    metrics: Arc<Metrics>,
    text: Scrapes<Bytes>,
    open_metrics: Scrapes<Bytes>,
    ready: Scrapes<Readiness>,
}

/// Everything that is only read. A wrong method is 405.
pub fn routes(machine: Arc<Machine>, metrics: Arc<Metrics>) -> Router {
    let told = Told {
        machine,
        metrics,
        text: Scrapes::default(),
        open_metrics: Scrapes::default(),
        ready: Scrapes::default(),
    };
    Router::new()
        .route("/metrics", get(scrape))
        .route("/-/healthy", get(|| async { "healthy\n" }))
        .route("/-/ready", get(ready))
        .with_state(Arc::new(told))
}

/// The status page, and what runs while it is served. A wrong method is 405.
///
/// # Errors
/// The embedded catalog is broken.
pub fn page(
    machine: Arc<Machine>,
    policies: Arc<Policies>,
    record: Arc<Record>,
) -> Result<(Router, impl Future<Output = Infallible> + Send + 'static)> {
    let page = Page::new()?;
    let document = || async move {
        let headers = [
            (header::CONTENT_TYPE, HTML),
            (header::CONTENT_SECURITY_POLICY, page.policy),
        ];
        (headers, page.document)
    };
    let feed = Feed::new();
    let router = Router::new()
        .route("/", get(document))
        .route("/events", get(events))
        .with_state(Arc::clone(&feed));
    let mut reader = Reader::new(machine, policies, record);
    // What is counted from here on, pages tell of.
    reader.look();
    Ok((router, async move { feed.run(reader).await }))
}

async fn scrape(State(told): State<Arc<Told>>, headers: HeaderMap) -> Response {
    let format = Format::accepted(headers.get_all(header::ACCEPT).iter());
    let scrapes = match format {
        Format::Text => &told.text,
        Format::OpenMetrics => &told.open_metrics,
    };
    let read = async { Ok(Bytes::from(told.metrics.render(format).await?)) };
    match scrapes.share(read).await {
        Ok(text) => ([(header::CONTENT_TYPE, format.content_type())], text).into_response(),
        Err(error) => {
            told.metrics.record.errors.count(Part::Metrics);
            failure(&error)
        }
    }
}

async fn ready(State(told): State<Arc<Told>>) -> Response {
    match told.ready.share(readiness(&told.machine)).await {
        Ok(readiness) => readiness.into_response(),
        Err(error) => failure(&error),
    }
}

/// Whether every interface has its programs, and which has not.
type Readiness = (StatusCode, String);

async fn readiness(machine: &Machine) -> Result<Readiness> {
    let present = machine.netlink.interfaces().await?;
    let states = machine.states(&present)?;
    if !states.iter().any(|state| state.state.is_attached()) {
        let nothing = "no interface is attached\n".to_owned();
        return Ok((StatusCode::SERVICE_UNAVAILABLE, nothing));
    }
    let lost: String = states
        .iter()
        .filter(|state| !state.state.is_attached() && state.state != InterfaceIs::Detached)
        .map(|state| format!("{} is {}\n", state.interface, state.state.label()))
        .collect();
    Ok(match lost.is_empty() {
        true => (StatusCode::OK, "ready\n".to_owned()),
        false => (StatusCode::SERVICE_UNAVAILABLE, lost),
    })
}

/// What went wrong is the operator's business, not every client's.
fn failure(error: &anyhow::Error) -> Response {
    tracing::error!("answering an HTTP request: {error:#}");
    let text = "internal error: see the agent's log\n";
    (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
}
