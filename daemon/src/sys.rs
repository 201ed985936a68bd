//! The one home of `unsafe`: what the operating system offers and no safe crate wraps.
//!
//! Each file wraps one facility behind a safe function or type and says why its `unsafe` is sound.

pub mod harden;
pub mod locked;
pub mod pidfd;
pub mod sock_diag;
