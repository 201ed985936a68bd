//! The daemon of authsome: keeps credentials and runs the injecting proxy.
//!
//! `main` parses arguments and calls [`daemon::run`]; everything else is a library so that tests
//! reach it. `docs/architecture.md` says where each thing lives.

pub mod audit;
pub mod connections;
pub mod files;
pub mod login;
pub mod providers;
pub mod proxy;
pub mod routing;
pub mod runs;
pub mod sys;
pub mod vault;
