//! What the server answers: metrics and health.

use super::scrapes::Scrapes;
use crate::metrics::{Format, Source};
use crate::state;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::Arc;

const INDEX: &str = "\
sccm-agent

/metrics    for Prometheus
/-/healthy  the agent runs
/-/ready    every interface is attached
";

struct Told {
    source: Arc<Source>,
    text: Scrapes,
    open_metrics: Scrapes,
}

/// Everything that is only read. A wrong method is 405.
pub fn routes(source: Arc<Source>) -> Router {
    let told = Told {
        source,
        text: Scrapes::default(),
        open_metrics: Scrapes::default(),
    };
    Router::new()
        .route("/", get(|| async { INDEX }))
        .route("/metrics", get(metrics))
        .route("/-/healthy", get(|| async { "healthy\n" }))
        .route("/-/ready", get(ready))
        .with_state(Arc::new(told))
}

async fn metrics(State(told): State<Arc<Told>>, headers: HeaderMap) -> Response {
    let format = Format::accepted(headers.get_all(header::ACCEPT).iter());
    let scrapes = match format {
        Format::Text => &told.text,
        Format::OpenMetrics => &told.open_metrics,
    };
    match scrapes.share(told.source.render(format)).await {
        Ok(text) => ([(header::CONTENT_TYPE, format.content_type())], text).into_response(),
        Err(error) => failure(&error),
    }
}

async fn ready(State(told): State<Arc<Told>>) -> Response {
    let source = &told.source;
    let present = match source.netlink.interfaces().await {
        Ok(present) => present,
        Err(error) => return failure(&error),
    };
    match state::interfaces(&source.pins, &state::lock(&source.maps), &present) {
        Ok(states) if states.iter().any(|state| state.state.is_attached()) => {
            let lost: Vec<String> = states
                .iter()
                .filter(|state| !state.state.is_attached() && state.state != state::State::Detached)
                .map(|state| format!("{} is {}\n", state.interface, state.state.label()))
                .collect();
            if lost.is_empty() {
                "ready\n".into_response()
            } else {
                (StatusCode::SERVICE_UNAVAILABLE, lost.concat()).into_response()
            }
        }
        Ok(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "no interface is attached\n",
        )
            .into_response(),
        Err(error) => failure(&error),
    }
}

/// What went wrong is the operator's business, not every client's.
fn failure(error: &anyhow::Error) -> Response {
    tracing::error!("answering an HTTP request: {error:#}");
    let text = "this went wrong: the agent's log says how\n";
    (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
}
