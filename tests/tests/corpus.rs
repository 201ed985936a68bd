//! The saved inputs of the fuzz targets, replayed (threats D4, D5, L9, L12, O3, O4).
//!
//! `tests/fuzz` has the targets and says how they are run; the properties are the same code.

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

#[path = "../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "the fuzz targets use it as a library")]
mod fuzz;

/// Holds every saved input of a target against its properties, and those files.
fn replay(target: &str, check: fn(&[u8]), files: &[PathBuf]) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = here.join("fuzz/corpus").join(format!("{target}.txt"));
    let mut inputs = fuzz::corpus::inputs(&std::fs::read_to_string(&list).unwrap());
    inputs.extend(files.iter().map(|file| std::fs::read(file).unwrap()));
    assert!(!inputs.is_empty(), "{target} has no saved inputs");
    let mut failed = Vec::new();
    for input in &inputs {
        // the panic says which property; this says for which input
        if catch_unwind(|| check(input)).is_err() {
            failed.push(input.escape_ascii().to_string());
        }
    }
    assert!(failed.is_empty(), "{target} does not hold for {failed:#?}");
}

/// The files of a folder of the project.
fn files(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let entries = std::fs::read_dir(root.join(folder)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{folder} is empty");
    files
}

/// D4
#[test]
fn authority() {
    replay("authority", fuzz::authority::check, &[]);
}

/// O3, O4
#[test]
fn callback_query() {
    replay("callback_query", fuzz::callback_query::check, &[]);
}

/// D5
#[test]
fn path_scope() {
    replay("path_scope", fuzz::path_scope::check, &[]);
}

/// L9
#[test]
fn ipc_frame() {
    replay(
        "ipc_frame",
        fuzz::ipc_frame::check,
        &files("proto/golden/v1"),
    );
}

/// L12
#[test]
fn provider_json() {
    replay(
        "provider_json",
        fuzz::provider_json::check,
        &files("daemon/providers"),
    );
}

/// Deliveries of a sender, and what only looks like one.
#[test]
fn webhook_header() {
    replay("webhook_header", fuzz::webhook_header::check, &[]);
}

#[test]
fn saved_inputs_are_the_bytes_that_were_found() {
    let list = "# a comment\n\nplain /a?b=c\n\\x00\\xff\\x5c\\x23x41\n";
    let expected: [&[u8]; 2] = [b"plain /a?b=c", b"\x00\xff\\#x41"];
    assert_eq!(fuzz::corpus::inputs(list), expected);
}
