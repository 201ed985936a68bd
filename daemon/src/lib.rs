//! The daemon of authsome.
