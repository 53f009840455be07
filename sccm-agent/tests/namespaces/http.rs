//! The agent's HTTP server: whom it answers, with what, and what it does to those who are slow,
//! huge, many, or not who they say.
//!
//! Requests are written by hand, so that the wrong ones can be sent; TLS is spoken by the
//! `openssl` program, which is not the agent's implementation.

mod certificates;
mod client;
mod floods;
mod formats;
mod limits;
mod listen;
mod page;
mod pki;
mod reload;
mod renewal;
mod requests;
mod tls;
mod together;
mod web_config;
