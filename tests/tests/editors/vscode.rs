//! The extension of VS Code (`client/editors/vscode`): its types, its tests, its package.
//!
//! 1. A copy of it is made in a folder of the build; nothing is written where it lies. Its packages are installed
//!    once and again when `package-lock.json` changes.
//! 2. Its own tests run under Node with a fake editor, against the real daemon, client and stand-in server
//!    (`client/editors/vscode/test`). They look for the key in all that was shown and written.
//! 3. It is packaged, and the package looked into (`scripts/check-package.mjs`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use authsome_tests::binaries::{self, on_path};
use authsome_tests::stage;

/// Oldest Node that the tests and the packager run on, Debian 12's: later `vsce`, and `cheerio` in its tree, want a
/// newer one, so `package.json` pins both. The extension itself runs on the editor's own.
const NODE_OLDEST: u32 = 18;

/// What the package is made of, besides the folders.
const FILES: [&str; 9] = [
    ".vscodeignore",
    "CHANGELOG.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "package-lock.json",
    "package.json",
    "tsconfig.json",
    "tsconfig.test.json",
];

const FOLDERS: [&str; 4] = ["media", "scripts", "src", "test"];

/// Fewest tests that have to pass: a run that finds none of its files would pass none, and no fewer.
const TESTS_FEWEST: u32 = 50;

#[test]
fn the_extension_logs_in_runs_and_follows_and_its_package_is_whole() {
    require_node();
    let programs = binaries::folder();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let sources = root.join("client/editors/vscode");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("editors");
    let _lock = stage::lock(&folder);
    let copy = staged(&sources, &folder.join("vscode"));

    let told = npm(&copy, "test", &|command| {
        command
            .env("AUTHSOME_TEST_PROGRAMS", &programs)
            .env("AUTHSOME_TEST_GOLDEN", root.join("proto/golden/v1"));
    });
    let passed = told
        .lines()
        .find_map(|line| {
            line.trim_start_matches(['#', 'ℹ', ' '])
                .strip_prefix("pass ")
        })
        .and_then(|count| count.trim().parse::<u32>().ok());
    assert!(passed >= Some(TESTS_FEWEST), "too few tests ran\n{told}");

    npm(&copy, "package", &|_| {});
    assert!(copy.join("authsome-0.1.0.vsix").is_file());
}

/// The two licences that go into the package are those of the project.
#[test]
fn the_packaged_licences_are_the_projects() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for name in ["LICENSE-APACHE", "LICENSE-MIT"] {
        let ours = fs::read(root.join(name)).expect("the project has it");
        let packaged = fs::read(root.join("client/editors/vscode").join(name));
        assert_eq!(packaged.expect("the extension has it"), ours, "{name}");
    }
}

fn require_node() {
    for (program, package) in [("node", "nodejs"), ("npm", "npm")] {
        assert!(
            on_path(program).is_some(),
            "`{program}` is missing (package {package}); `sh tests/run.sh` installs it"
        );
    }
    let output = Command::new("node")
        .arg("--version")
        .output()
        .expect("node can be started");
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let major = version
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    assert!(
        major >= Some(NODE_OLDEST),
        "node {version} is too old for the extension's tests: Node {NODE_OLDEST} or newer is needed"
    );
}

/// A copy of the sources beside their installed packages.
fn staged(sources: &Path, stage: &Path) -> PathBuf {
    let made_of = fs::read_to_string(sources.join("package-lock.json")).expect("it is committed");
    assert!(
        !made_of.contains("\"resolved\""),
        "package-lock.json names a registry: npm has the option omit-lockfile-registry-resolved"
    );
    stage::make(stage, &made_of, || {
        for name in ["package.json", "package-lock.json"] {
            fs::copy(sources.join(name), stage.join(name)).expect("a copy is made");
        }
        stage::run(
            Command::new("npm")
                .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
                .current_dir(stage),
        );
    });
    for name in FOLDERS.iter().chain(&["build", "dist"]) {
        let old = stage.join(name);
        if old.exists() {
            fs::remove_dir_all(old).expect("an older copy can be removed");
        }
    }
    for name in FOLDERS {
        copy_folder(&sources.join(name), &stage.join(name));
    }
    for name in FILES {
        fs::copy(sources.join(name), stage.join(name)).expect("a copy is made");
    }
    stage.to_owned()
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the folder can be written");
    for entry in fs::read_dir(from).expect("it is part of the extension") {
        let entry = entry.expect("it can be read");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copy is made");
        }
    }
}

/// Runs a script of the package; panics with all it printed unless it succeeds.
#[track_caller]
fn npm(folder: &Path, script: &str, with: &dyn Fn(&mut Command)) -> String {
    let mut command = Command::new("npm");
    command.args(["run", script]).current_dir(folder);
    with(&mut command);
    let output = command.output().expect("npm can be started");
    let told = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "`npm run {script}` failed\n{told}");
    told
}
