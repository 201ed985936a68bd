//! The daemon of authsome: keeps credentials and runs the injecting proxy.
//!
//! `main` parses arguments and calls [`daemon`]; everything else is a library so that tests reach
//! it. `docs/architecture.md` says where each thing lives.

pub mod audit;
pub mod broker;
pub mod config;
pub mod connections;
pub mod daemon;
pub mod errors;
pub mod files;
pub mod ipc;
pub mod keys;
pub mod lock;
pub mod logging;
pub mod login;
pub mod oauth;
pub mod policy;
pub mod providers;
pub mod proxy;
pub mod routing;
pub mod runs;
pub mod service;
mod small_server;
pub mod sys;
pub mod toml_file;
pub mod vault;
pub mod webhooks;
