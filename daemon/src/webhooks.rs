//! Signed webhooks: only what its sender signed reaches the local program, which holds no secret.
//!
//! 1. An endpoint is a loopback port, a scheme, a secret in the vault and the address of a local
//!    program ([`store`]). A tunnel or a reverse proxy brings the sender's requests to the port
//!    ([`server`]).
//! 2. The body is read once, hashed as it comes and kept unchanged ([`verify`], [`scheme`]).
//! 3. What is signed, fresh and new ([`replay`]) goes to the program ([`deliver`]); its answer is
//!    the sender's. Everything else is 401 without a body.
//!
//! Invariants:
//! - W1 The scheme comes from the endpoint, never from what a request happens to carry.
//! - W2 What is verified is what is forwarded: the bytes as they came, nothing decoded in between.
//! - W3 A refusal tells the sender nothing; its reason goes to the audit log, without signature,
//!   secret and body.
//! - W4 A delivery that the program did not take with 2xx can be delivered again; one that it took
//!   is not, for as long as it would verify.
//!
//! [`scheme`], [`template`], [`mac`], [`verify`], [`sign`], [`replay`], [`secrets`] and [`forward`]
//! are pure.
//! Not here: adding, rotating, removing (`broker/webhooks.rs`).

pub mod deliver;
pub mod endpoint;
pub mod forward;
pub mod mac;
pub mod replay;
pub mod scheme;
pub mod secrets;
pub mod server;
pub mod sign;
pub mod store;
pub mod template;
pub mod verify;
