//! What must hold for any bytes at all: asked by the coverage-guided fuzzers (`fuzz/`), and by a
//! test that asks it again of every input that they have kept.
//!
//! Each probe panics where something is wrong; what it returns is of no use.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::ops::ControlFlow::{Break, Continue};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use axum::Router;
use axum::http::{HeaderMap, header};
use axum::routing::get;
use sccm_agent::config::{self, Problems};
use sccm_agent::http::{HttpArgs, Server};
use sccm_agent::metrics::Format;
use sccm_agent::policy::{Request, ServiceNames, Surroundings, compile};
use sccm_common::wire::{self, fast, vlan};
use sccm_common::{Cursor as _, Reason, SliceCursor};
use tokio::runtime::Builder;

use crate::netns::Namespace;

/// A policy file of these bytes is read, or refused with places; what is read compiles, or is
/// refused with words. `folder` must hold nothing else.
pub fn policy(folder: &Path, bytes: &[u8]) {
    let path = folder.join("policy.toml");
    fs::write(&path, bytes).expect("writing a file");
    match config::load(&path) {
        Err(error) => {
            let problems = error
                .downcast_ref::<Problems>()
                .expect("every mistake has a place");
            assert!(!problems.list().is_empty(), "refused for nothing");
            assert!(!error.to_string().trim().is_empty());
        }
        Ok(policy) => {
            let request = Request {
                policy: &policy,
                machine: &Surroundings::default(),
                observe: false,
            };
            if let Err(error) = compile(&request, ServiceNames::default()) {
                assert!(!format!("{error:#}").trim().is_empty());
            }
        }
    }
}

/// A frame of these bytes parses within its length, or ends as a drop or an essential. The fast path
/// reads the same packet, if it reads any.
pub fn packet(frame: &[u8]) {
    let mut cursor = SliceCursor::new(frame);
    let parsed = wire::parse(&mut cursor);
    assert!(cursor.position() as usize <= frame.len());
    match &parsed {
        Continue(packet) => assert!(packet.payload_offset as usize <= frame.len()),
        Break(reason) => assert!(*reason as u8 >= Reason::Arp as u8, "{reason:?}"),
    }
    if let Some(packet) = fast::parse(frame) {
        assert_eq!(Continue(packet), parsed);
    }
    if vlan::id(&mut SliceCursor::new(frame)).is_none() {
        assert!(parsed.is_break());
    }
}

/// A server on the loopback of a namespace of its own, which ends with this value.
pub struct Web {
    namespace: Namespace,
    address: SocketAddr,
}

impl Web {
    /// Starts it. It runs as long as the process.
    pub fn start() -> Result<Self> {
        let namespace = Namespace::new("web")?;
        let address = SocketAddr::from(([127, 0, 0, 1], 19470));
        let (ready, is_ready) = channel();
        let routes = || {
            let format = |headers: HeaderMap| async move {
                Format::accepted(headers.get_all(header::ACCEPT).iter()).content_type()
            };
            Router::new()
                .route("/", get(|| async { "" }))
                .route("/metrics", get(format))
        };
        namespace.enter(|| {
            // A thread keeps the namespace of the one that started it.
            thread::spawn(move || {
                let serve = async {
                    let args = HttpArgs {
                        metrics_listen: address,
                        insecure_listen: false,
                        web_config: None,
                        enable_reload: false,
                        http_host: Vec::new(),
                    };
                    let server = Server::prepare(&args, Arc::default()).await;
                    let _ = ready.send(
                        server
                            .as_ref()
                            .map(drop)
                            .map_err(|error| format!("{error:#}")),
                    );
                    if let Ok(server) = server {
                        server.serve(routes()).await;
                    }
                };
                let runtime = Builder::new_current_thread().enable_all().build();
                runtime.expect("a runtime").block_on(serve);
            });
        });
        match is_ready.recv()? {
            Ok(()) => Ok(Self { namespace, address }),
            Err(error) => bail!("{error}"),
        }
    }

    /// Whatever is sent, the answer is HTTP or nothing, in time, and only who calls the server by
    /// its name is let in.
    pub fn probe(&self, bytes: &[u8]) {
        let answer = self.namespace.enter(|| {
            let mut stream = TcpStream::connect(self.address).expect("the server accepts");
            stream
                .set_read_timeout(Some(Duration::from_secs(5)))
                .expect("a limit");
            // It may end the connection before all is sent.
            let _ = stream
                .write_all(bytes)
                .and_then(|()| stream.shutdown(Shutdown::Write));
            let mut answer = Vec::new();
            match stream.read_to_end(&mut answer) {
                Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
                _ => answer,
            }
        });
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1."),
            "{answer}"
        );
        assert!(!answer.starts_with("HTTP/1.1 5"), "{answer}");
        let called = String::from_utf8_lossy(bytes).to_ascii_lowercase();
        let by_name = ["127.0.0.1", "localhost"]
            .iter()
            .any(|name| called.contains(name));
        assert!(
            by_name || !answer.starts_with("HTTP/1.1 2"),
            "{called:?} was let in: {answer}"
        );
    }
}
