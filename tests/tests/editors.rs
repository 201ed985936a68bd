//! The editor plugins, in the editors themselves, with the real daemon.

#[path = "editors/nvim.rs"]
mod nvim;
