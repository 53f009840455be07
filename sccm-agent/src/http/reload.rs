//! `POST /-/reload`: the one request that changes something.

use crate::policies::{Policies, Reload};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use std::sync::Arc;

/// The route; `reloads` is what it reloads, if it may.
pub fn reload(reloads: Option<Arc<Policies>>) -> Router {
    Router::new()
        .route("/-/reload", post(answer))
        .with_state(reloads)
}

async fn answer(State(reloads): State<Option<Arc<Policies>>>) -> Response {
    let Some(policies) = reloads else {
        let hint = "start the agent with --enable-reload, or run `sccm-agent reload`\n";
        return (StatusCode::FORBIDDEN, hint).into_response();
    };
    match policies.reload(Reload::default()).await {
        Ok(outcome) => {
            tracing::info!("POST /-/reload: {outcome}");
            format!("{outcome}\n").into_response()
        }
        Err(error) => {
            tracing::error!("POST /-/reload: {error:#}");
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")).into_response()
        }
    }
}
