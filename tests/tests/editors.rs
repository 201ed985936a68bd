//! Plugins of editors, each with its own tests, against the programs under test.

#[path = "editors/nvim.rs"]
mod nvim;

#[path = "editors/vscode.rs"]
mod vscode;
