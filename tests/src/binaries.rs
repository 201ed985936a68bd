//! Where the programs under test are.
//!
//! `tests` is a package of its own, so cargo does not hand it the binaries of the others: they lie
//! one folder above the test executable (`target/debug/deps/x` → `target/debug`).

use std::path::{Path, PathBuf};

/// The folder that holds `authsome` and `authsomed`.
///
/// Panics when one of them is missing, with the command that builds them.
pub fn folder() -> PathBuf {
    let own = std::env::current_exe().expect("the test executable has a path");
    let own = own.parent().expect("the test executable is in a folder");
    let folder = if own.ends_with("deps") {
        own.parent().expect("deps is in a folder")
    } else {
        own
    };
    for name in ["authsome", "authsomed"] {
        assert!(
            folder.join(name).is_file(),
            "`{name}` is not in {}: run `cargo build --workspace --bins`",
            folder.display()
        );
    }
    folder.to_owned()
}

/// One of the programs, by name.
pub fn path(name: &str) -> PathBuf {
    folder().join(name)
}

/// Looks for a program on the caller's `PATH`.
pub fn on_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// Whether everybody may enter every folder on the way to `path`.
pub fn open_to_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.ancestors().all(|part| {
        std::fs::metadata(part).is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0)
    })
}
