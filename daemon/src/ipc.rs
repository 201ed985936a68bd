//! The control socket: who may connect, how a session goes, what each request does.
//!
//! `listen` binds and accepts, `peer` says who is calling, `seats` how many may be there, `frames`
//! cuts what they send into frames, `session` speaks the protocol, and `handlers` has a file per
//! group of requests. What a request may do to a caller inside a run is decided in `rights`.

pub mod frames;
pub mod handlers;
pub mod listen;
pub mod peer;
pub mod rights;
pub mod seats;
pub mod session;
