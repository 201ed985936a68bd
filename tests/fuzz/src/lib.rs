//! What must hold for every input, whatever it is: one module a fuzz target.
//!
//! Each `check` takes the bytes that the fuzzer made and panics if a property does not hold. They use
//! the public interface of the daemon and of `proto` alone. `tests/tests/corpus.rs` includes this file
//! and replays the saved inputs of `corpus/` with the ordinary tests.

pub mod authority;
pub mod callback_query;
pub mod corpus;
pub mod ipc_frame;
pub mod path_scope;
pub mod provider_json;
pub mod routes;
pub mod webhook_header;
