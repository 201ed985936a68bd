//! What is published: the Debian package, the Homebrew formula, the Nix expression, the crates.
//!
//! The package is made by the script that a release uses, of the programs under test instead of
//! optimised ones. `client/package/README.md` says what else a release checks by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use authsome_tests::binaries;
use serde_json::{Value, json};

/// What the Debian package must have, and with which rights.
const FILES: &[(&str, &str)] = &[
    ("usr/bin/authsome", "-rwxr-xr-x"),
    ("usr/bin/authsomed", "-rwxr-xr-x"),
    ("usr/lib/systemd/user/authsome.service", "-rw-r--r--"),
    ("usr/lib/systemd/user/authsome.socket", "-rw-r--r--"),
    ("usr/share/man/man1/authsome.1.gz", "-rw-r--r--"),
    ("usr/share/man/man5/authsome-config.5.gz", "-rw-r--r--"),
    ("usr/share/man/man8/authsomed.8.gz", "-rw-r--r--"),
    (
        "usr/share/bash-completion/completions/authsome",
        "-rw-r--r--",
    ),
    ("usr/share/zsh/vendor-completions/_authsome", "-rw-r--r--"),
    (
        "usr/share/fish/vendor_completions.d/authsome.fish",
        "-rw-r--r--",
    ),
    (
        "usr/share/nvim/site/pack/dist/opt/authsome/plugin/authsome.lua",
        "-rw-r--r--",
    ),
    ("usr/share/doc/authsome/copyright", "-rw-r--r--"),
    ("usr/share/doc/authsome/changelog.gz", "-rw-r--r--"),
    ("usr/share/doc/authsome/THIRD-PARTY.gz", "-rw-r--r--"),
    ("usr/share/doc/authsome/docs/threat-model.md", "-rw-r--r--"),
];

/// Where its files may lie.
const FOLDERS: &[&str] = &["usr/"];

/// The folder of the project.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Runs a command in the project's folder and returns what it printed; it must succeed.
fn said(command: &mut Command) -> String {
    let output = command.current_dir(root()).output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    String::from_utf8(output.stdout).unwrap()
}

fn json_said(command: &mut Command) -> Value {
    serde_json::from_str(&said(command)).unwrap()
}

/// The release script from end to end: sources, Debian package, programs, checksums, formula. One
/// test, because all of it is made of one package.
#[test]
fn a_release_is_whole() {
    said(
        Command::new("client/package/release.sh")
            .args(["--draft", "--programs"])
            .arg(binaries::folder())
            .arg("https://example.org/v0")
            // the content counts here, not its size
            .env("XZ_DEFAULTS", "-0"),
    );
    let out = root().join("target/package");
    let one = |start: &str, end: &str| -> PathBuf {
        let names = std::fs::read_dir(&out)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let fits = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with(start) && name.ends_with(end)
        };
        let found: Vec<PathBuf> = names.filter(fits).collect();
        assert_eq!(found.len(), 1, "{start}…{end}: {found:?}");
        found.into_iter().next().unwrap()
    };
    let deb = one("authsome_", ".deb");

    // nothing that lintian has to say, warnings included
    said(
        Command::new("lintian")
            .args(["--allow-root", "--fail-on", "error,warning"])
            .arg(&deb),
    );

    let listed = said(Command::new("dpkg-deb").arg("--contents").arg(&deb));
    let contents: BTreeMap<&str, &str> = listed.lines().map(entry).collect();
    for (path, rights) in FILES {
        let shown = contents.get(path).copied();
        assert_eq!(shown, Some(*rights), "{path} in\n{listed}");
    }
    let foreign = |path: &&&str| !FOLDERS.iter().any(|folder| path.starts_with(folder));
    let foreign: Vec<_> = contents.keys().filter(foreign).collect();
    assert!(foreign.is_empty(), "{foreign:?} belong elsewhere");
    let control = said(Command::new("dpkg-deb").arg("--field").arg(&deb));
    for line in [
        "Package: authsome",
        "Section: utils",
        "Recommends: gnome-keyring | keepassxc | kwalletmanager",
    ] {
        assert!(control.lines().any(|one| one == line), "{line}\n{control}");
    }
    assert!(control.contains("\nDepends: libc6 "), "{control}");
    let inside = said(
        Command::new("sh")
            .args(["-c", "dpkg-deb --ctrl-tarfile \"$1\" | tar -t", "-"])
            .arg(&deb),
    );
    // no maintainer scripts: what the package does to a system is what dpkg does
    let inside: BTreeSet<&str> = inside
        .lines()
        .map(|name| name.trim_start_matches("./"))
        .collect();
    assert!(
        inside.contains("control") && inside.is_subset(&BTreeSet::from(["", "control", "md5sums"])),
        "{inside:?}"
    );

    // the sources are whole, and nothing but the sources
    let version = env!("CARGO_PKG_VERSION");
    let source = format!("authsome-{version}.tar.gz");
    let names = said(Command::new("tar").arg("-tzf").arg(out.join(&source)));
    let top = format!("authsome-{version}/");
    let names: BTreeSet<&str> = names
        .lines()
        .map(|name| name.strip_prefix(&top).unwrap())
        .collect();
    for file in [
        "Cargo.lock",
        "LICENSE-MIT",
        "client/package/deb.sh",
        "daemon/providers/intercom.json",
    ] {
        assert!(names.contains(file), "{file} is not in {source}");
    }
    assert!(!names.iter().any(|name| name.starts_with("target/")));

    let programs = one(&format!("authsome-{version}-"), ".tar.gz");
    let names = said(Command::new("tar").arg("-tzf").arg(&programs));
    for file in [
        "bin/authsome",
        "bin/authsomed",
        "share/man/man1/authsome.1.gz",
        "LICENSE-MIT",
    ] {
        assert!(
            names
                .lines()
                .any(|name| name.ends_with(&format!("/{file}"))),
            "{file} is not among\n{names}"
        );
    }

    // the formula names this very archive
    said(Command::new("sh").args([
        "-c",
        "cd target/package && sha256sum --check --strict SHA256SUMS",
    ]));
    let sums = std::fs::read_to_string(out.join("SHA256SUMS")).unwrap();
    let formula = json_said(
        Command::new("ruby")
            .arg("tests/tests/packages/formula.rb")
            .arg(out.join("authsome.rb")),
    );
    let sum = formula["declared"]["sha256"].as_str().unwrap();
    assert!(
        sums.lines().any(|line| line == format!("{sum}  {source}")),
        "{sum} is not in\n{sums}"
    );
    assert_eq!(
        formula["declared"]["url"],
        format!("https://example.org/v0/{source}")
    );
}

/// Of `drwxr-xr-x root/root 0 2026-01-01 00:00 ./usr/`: the path, and the rights.
fn entry(line: &str) -> (&str, &str) {
    let mut words = line.split_whitespace();
    let (rights, owner) = (words.next().unwrap(), words.next().unwrap());
    assert!(matches!(owner, "0/0" | "root/root"), "`{line}`");
    let path = line.split_once(" ./").unwrap().1;
    (path, rights)
}

#[test]
fn the_formula_builds_and_installs_what_there_is() {
    let formula = json_said(Command::new("ruby").args([
        "tests/tests/packages/formula.rb",
        "client/package/homebrew/authsome.rb",
    ]));
    assert_eq!(formula["declared"]["url"], "@URL@", "a release fills it in");
    assert_eq!(formula["declared"]["sha256"], "@SHA256@");
    assert_eq!(formula["declared"]["homepage"], homepage());
    assert_eq!(formula["declared"]["test"], "Proc");
    let install = |path: &str| {
        json!([
            "cargo", "install", "--locked", "--root", "PREFIX", "--path", path
        ])
    };
    let done = formula["done"].as_array().unwrap();
    for step in [
        install("client"),
        install("daemon"),
        json!(["completions", "BIN/authsome", "completions"]),
        json!(["BIN/authsome", "man", "man"]),
    ] {
        assert!(done.contains(&step), "{step} is not among {done:#?}");
    }
}

#[test]
fn the_nix_expression_builds_both_programs_of_this_tree() {
    let package = json_said(
        Command::new("nix-instantiate")
            .args(["--eval", "--strict", "--json", "--store", "dummy://"])
            .arg("tests/tests/packages/package.nix"),
    );
    assert_eq!(package["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        package["cargoBuildFlags"],
        json!(["-p", "authsome", "-p", "authsomed"])
    );
    assert_eq!(
        package["cargoLock"]["lockFile"], true,
        "the lock file is where it says"
    );
    assert_eq!(
        package["src"],
        json!({ "isRoot": true, "leaves": true, "takes": true })
    );
    assert_eq!(package["meta"]["homepage"], homepage());
}

fn homepage() -> Value {
    let packages = json_said(Command::new("cargo").args([
        "metadata",
        "--no-deps",
        "--offline",
        "--format-version",
        "1",
    ]));
    packages["packages"][0]["repository"].clone()
}

/// `cargo install` from the registry sees a crate's own folder and nothing beside it.
#[test]
fn a_crate_holds_every_file_that_its_code_includes() {
    for (name, folder) in [
        ("authsome-proto", "proto"),
        ("authsomed", "daemon"),
        ("authsome", "client"),
    ] {
        let listed = said(Command::new("cargo").args([
            "package",
            "--list",
            "--allow-dirty",
            "--offline",
            "-p",
            name,
        ]));
        let listed: BTreeSet<&str> = listed.lines().collect();
        let mut included = 0;
        for source in listed
            .iter()
            .filter(|path| Path::new(path).extension().is_some_and(|it| it == "rs"))
        {
            let code = std::fs::read_to_string(root().join(folder).join(source)).unwrap();
            for path in includes(&code) {
                let from = Path::new(source).parent().unwrap();
                let wanted = plain(&from.join(path));
                assert!(
                    listed.contains(wanted.to_str().unwrap()),
                    "{name}: {source} includes `{path}`, which is not in the crate"
                );
                included += 1;
            }
        }
        // the definitions and the login page's style are among the daemon's
        assert!(
            name != "authsomed" || included > 90,
            "only {included} found in {name}"
        );
        let foreign: Vec<_> = listed
            .iter()
            .filter(|path| path.starts_with("package/") || path.starts_with("editors/"))
            .collect();
        assert!(foreign.is_empty(), "{name} has {foreign:?}");
    }
}

/// The files that code takes in when it is compiled.
fn includes(code: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for word in ["include_str!(", "include_bytes!("] {
        for (at, _) in code.match_indices(word) {
            let rest = code[at + word.len()..].trim_start();
            if let Some(path) = rest.strip_prefix('"') {
                found.push(path.split('"').next().unwrap());
            }
        }
    }
    found
}

/// Without `.` and `..`, which the list has not.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                assert!(plain.pop(), "{} leaves the crate", path.display());
            }
            std::path::Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}
