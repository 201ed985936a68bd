//! Programs that a test downloads or compiles, made once and kept in a folder of the build.
//!
//! A stage is made again when what it is made of changes; removing it fetches the newest versions.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Keeps other test processes, such as of another terminal, out of `folder` until it is dropped.
pub fn lock(folder: &Path) -> fs::File {
    fs::create_dir_all(folder).expect("the build folder can be written");
    let lock = fs::File::create(folder.join("lock")).expect("the folder can be written");
    lock.lock().expect("the file can be locked");
    lock
}

/// Makes the folder `stage` unless it was made of exactly that already.
pub fn make(stage: &Path, made_of: &str, steps: impl FnOnce()) {
    let stamp = stage.join("made-of");
    if fs::read_to_string(&stamp).is_ok_and(|stamped| stamped == made_of) {
        return;
    }
    if stage.exists() {
        fs::remove_dir_all(stage).expect("an older stage can be removed");
    }
    fs::create_dir_all(stage).expect("the folder can be written");
    steps();
    fs::write(stamp, made_of).expect("the folder can be written");
}

/// Runs a step in the caller's environment: downloads need its proxies and registries.
pub fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
