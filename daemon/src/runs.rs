//! (to be written)
pub mod environment;
