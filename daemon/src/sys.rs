//! The one home of `unsafe`: what the operating system offers and no safe crate wraps.
//!
//! Each file wraps one facility behind a safe function or type and says why its `unsafe` is sound.

pub mod clock;
pub mod harden;
pub mod locked;
#[expect(
    unsafe_code,
    reason = "passed sockets are numbers until somebody owns them"
)]
pub mod passed;
#[expect(
    unsafe_code,
    reason = "`SO_PEERPIDFD` and `pidfd_open` have no safe wrapper"
)]
pub mod pidfd;
pub mod port_holder;
pub mod processes;
pub mod sock_diag;
