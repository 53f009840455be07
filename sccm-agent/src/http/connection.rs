//! Connections: accepted, encrypted, read as HTTP/1, and ended in time.
//!
//! Each has a permit among [`LIMITS`], a limit for its handshake, for each request's header
//! and for its whole life, and a small buffer. It ends with the first request that is refused.

use super::current::CurrentWebConfig;
use super::patience::Patient;
use super::permits::{Limits, Peer, Permit, Permits};
use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::Request;
use axum::http::header::{self, HeaderValue};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::io::{Error, ErrorKind};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;

/// A few Prometheus servers, a few pages, and room.
const LIMITS: Limits = Limits {
    all: 128,
    of_peer: 32,
    kept: 16,
};

/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a request's header may take, and the wait for the next request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection lives; then its client makes a new one.
const MAX_AGE: Duration = Duration::from_secs(600);

/// How long the last answer of a connection may then take.
const LAST_ANSWER: Duration = Duration::from_secs(10);

/// The longest header of a request, in bytes: browsers send their cookies along.
const MAX_HEADER: usize = 16 * 1024;

/// What is read ahead of a connection or not yet written to it, in bytes.
const MAX_BUFFER: usize = 2 * MAX_HEADER;

/// How long an answer may take that is under way while somebody else waits for the permit.
const LAST_WORD: Duration = Duration::from_secs(1);

/// How long to wait when the machine can accept no more (no file descriptors left).
const RECOVERY: Duration = Duration::from_secs(1);

/// The address of this machine that a client has reached: in every request's extensions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Local(pub(super) IpAddr);

/// When the connection is asked to end: in every request's extensions, as its permit is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends(pub(super) Instant);

/// Accepts until the process ends.
pub(super) async fn serve(
    listener: TcpListener,
    web: &CurrentWebConfig,
    router: Router,
) -> Infallible {
    let permits = Permits::new(LIMITS);
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Some(permit) = permits.enter(Peer::from(peer.ip())).await else {
                    continue;
                };
                let permit = Arc::new(permit);
                let tls = web.tls().map(TlsAcceptor::from);
                tokio::spawn(host(stream, tls, router.clone(), permit));
            }
            Err(error) if is_of_the_client(&error) => {}
            Err(error) => {
                tracing::warn!("accepting HTTP connections: {error}");
                sleep(RECOVERY).await;
            }
        }
    }
}

fn is_of_the_client(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}

/// Serves a connection until it ends or another one needs its permit.
async fn host(stream: TcpStream, tls: Option<TlsAcceptor>, router: Router, permit: Arc<Permit>) {
    let served = async {
        let local = Local(stream.local_addr()?.ip().to_canonical());
        let stream = Patient::new(stream, Arc::clone(&permit));
        match tls {
            Some(tls) => {
                let shaken = timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await;
                let stream = shaken.context("the TLS handshake took too long")??;
                if stream.get_ref().1.peer_certificates().is_some() {
                    permit.is_known();
                }
                converse(stream, local, router, Arc::clone(&permit)).await
            }
            None => converse(stream, local, router, Arc::clone(&permit)).await,
        }
    };
    // Whoever made the connection sees its end; only a developer wants to know why.
    tokio::select! {
        served = served => if let Err(error) = served {
            tracing::debug!("an HTTP connection: {error:#}");
        },
        () = permit.wanted() => tracing::debug!("closed an HTTP connection to make room for another"),
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    local: Local,
    router: Router,
    permit: Arc<Permit>,
) -> Result<()> {
    let router = TowerToHyperService::new(router);
    let ends = Instant::now() + MAX_AGE;
    let holder = Arc::clone(&permit);
    let service = service_fn(move |mut request: Request<Incoming>| {
        permit.work();
        request.extensions_mut().insert(local);
        request.extensions_mut().insert(Ends(ends));
        request.extensions_mut().insert(Arc::clone(&permit));
        let (answer, permit) = (router.call(request), Arc::clone(&permit));
        async move {
            let mut answer = answer.await;
            permit.wait();
            if let Ok(answer) = &mut answer
                && answer.status().is_client_error()
            {
                let headers = answer.headers_mut();
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            answer
        }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_header_size(MAX_HEADER)
            .max_buf_size(MAX_BUFFER)
            .serve_connection(TokioIo::new(stream), service)
    );
    let left = tokio::select! {
        ended = connection.as_mut() => return Ok(ended?),
        () = sleep_until(ends) => LAST_ANSWER,
        () = holder.wanted_next() => LAST_WORD,
    };
    connection.as_mut().graceful_shutdown();
    let ended = timeout(left, connection).await;
    Ok(ended.context("the last answer took too long")??)
}
