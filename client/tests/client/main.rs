//! The client as a whole binary, against a daemon in miniature that speaks the real frames.
//!
//! The daemon in the test records what it was asked, so that "the secret was sent exactly" and
//! "nothing was asked" can be asserted. Tests with the real daemon are in the workspace's `tests`.
#![cfg(test)]

mod fake;
mod login;
mod oauth;
mod revoke;
mod run;
mod show;
mod start;
mod terminal;
