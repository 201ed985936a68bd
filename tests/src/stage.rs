//! Programs that a test downloads or compiles, made once and kept in a folder of the build.
//!
//! A stage is made again when what it is made of changes; removing it fetches the newest versions.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::binaries::on_path;

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

/// Makes `stage` a folder with `programs` for Node out of `sources`, and the packages that are named
/// in `package.json` there and in `more`.
pub fn node(stage: &Path, sources: &Path, programs: &[&str], more: &[&str]) {
    for (program, package) in [("node", "nodejs"), ("npm", "npm")] {
        assert!(
            on_path(program).is_some(),
            "`{program}` is missing (package {package}); `sh tests/run.sh` installs it"
        );
    }
    let packages = sources.join("package.json");
    let made_of = fs::read_to_string(&packages).expect("it is part of the tests") + &more.concat();
    make(stage, &made_of, || {
        fs::copy(&packages, stage.join("package.json")).expect("a copy is made");
        run(Command::new("npm")
            .args(["install", "--no-audit", "--no-fund", "--no-save"])
            .args(more)
            .current_dir(stage));
    });
    for name in programs {
        let text = fs::read(sources.join(name)).expect("it is part of the tests");
        let staged = stage.join(name);
        if fs::read(&staged).is_ok_and(|known| known == text) {
            continue;
        }
        // another test may be reading the older one: it is replaced, not written over
        let new = stage.join(format!("{name}.new"));
        fs::write(&new, text).expect("the folder can be written");
        fs::rename(new, staged).expect("the folder can be written");
    }
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
