//! The proxy against a stand-in upstream with a CA of its own, driven by raw and by real clients.

mod certificates;
mod harness;
mod http2_and_websocket;
mod names;
mod streaming;
mod token;
mod upstreams;
