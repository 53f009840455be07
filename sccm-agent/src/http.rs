//! The agent's HTTP server: metrics and health. Read-only, unless the agent was
//! told to reload over HTTP, too.

use crate::control::Reload;
use crate::enforce::Policies;
use crate::metrics::Source;
use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Reserves the address, before anything is attached.
///
/// # Errors
/// The address is taken, or not this machine's.
pub async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address} for metrics: choose another with --metrics-listen")
    })
}

/// Serves until the process ends; `reloads` is what a POST to `/-/reload` reloads,
/// if it may.
///
/// # Errors
/// The listener fails.
pub async fn serve(
    listener: TcpListener,
    source: Arc<Source>,
    reloads: Option<Arc<Policies>>,
) -> Result<()> {
    let router = Router::new()
        .route("/", get(index))
        .route("/metrics", get(metrics))
        .route("/-/healthy", get(|| async { "healthy\n" }))
        .route("/-/ready", get(ready))
        .with_state(source)
        .merge(
            Router::new()
                .route("/-/reload", post(reload))
                .with_state(reloads),
        );
    axum::serve(listener, router)
        .await
        .context("serving metrics")
}

async fn index() -> &'static str {
    "sccm-agent\n\n/metrics    for Prometheus\n/-/healthy  the agent runs\n/-/ready    every interface is attached\n"
}

async fn metrics(State(source): State<Arc<Source>>) -> Response {
    match source.render().await {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => failure(&error),
    }
}

async fn ready(State(source): State<Arc<Source>>) -> Response {
    let present = match source.netlink.interfaces().await {
        Ok(present) => present,
        Err(error) => return failure(&error),
    };
    match crate::state::interfaces(&source.pins, &crate::state::lock(&source.maps), &present) {
        Ok(states) if states.iter().any(|state| state.state.is_attached()) => {
            let lost: Vec<String> = states
                .iter()
                .filter(|state| {
                    !state.state.is_attached() && state.state != crate::state::State::Detached
                })
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

async fn reload(State(reloads): State<Option<Arc<Policies>>>) -> Response {
    let Some(policies) = reloads else {
        let hint = "start the agent with --enable-reload, or run `sccm-agent reload`\n";
        return (StatusCode::FORBIDDEN, hint).into_response();
    };
    match policies.reload(Reload::default()).await {
        Ok(outcome) => {
            tracing::info!("POST /-/reload: {outcome}");
            format!("{outcome}\n").into_response()
        }
        Err(error) => failure(&error),
    }
}

fn failure(error: &anyhow::Error) -> Response {
    tracing::error!("answering an HTTP request: {error:#}");
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")).into_response()
}
