//! The harness of the end-to-end tests: the real `authsome` and `authsomed` in a throw-away home.
//!
//! * [`Home`] is one user's world: a home folder, a runtime folder, a clean environment, the daemon
//!   that lives in it. Dropping it stops what it started and then searches everything for canaries.
//! * [`StandIn`] is an HTTPS server in miniature with a CA of its own. It records what it saw, so
//!   that a test can say "the secret was not sent".
//! * [`Canary`] is a secret made for one test, and the search for it in every encoding it could
//!   have leaked in.
//! * [`control`] speaks to the daemon's socket as no client of ours would.
//! * [`Keyring`] is a message bus and a real gnome-keyring of its own.
//! * [`LiveRun`] is a run that stays, with its environment in the test's hands; [`raw`] speaks to its
//!   proxy byte by byte.
//! * [`Authority`] is a real authorization server with a test's hands on it; [`authority`] has what
//!   belongs to it: a resource server, an MCP server, servers that are broken, and a [`Browser`].
//! * [`UserManager`] is a user made for one test, with a real `systemd --user`.
//! * [`PlainUser`] is somebody who is not root, for tests that run as root (CI does).
//!
//! Rules that every fixture keeps: nothing is found by name and killed, only by pid; every wait has
//! a deadline and says what it waited for; nothing needs the internet; nothing of the caller's
//! environment reaches a child.

pub mod authority;
pub mod binaries;
pub mod canary;
pub mod control;
pub mod home;
pub mod keyring;
pub mod live_run;
pub mod process;
pub mod raw;
pub mod stage;
pub mod stand_in;
pub mod user;
pub mod user_manager;
pub mod wait;

pub use authority::{Api, Authority, Browser, Faults, Mcp, MockServer};
pub use canary::Canary;
pub use home::{Home, HomeBuilder, Store};
pub use keyring::Keyring;
pub use live_run::LiveRun;
pub use process::{Invocation, Output, Running};
pub use stand_in::{Certificate, Intercom, Recorded, StandIn};
pub use user::PlainUser;
pub use user_manager::UserManager;
pub use wait::{wait_for, wait_until};
