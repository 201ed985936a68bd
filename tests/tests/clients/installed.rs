//! What the client test runs, put in place: checked, downloaded or compiled, once.
//!
//! System programs come from packages, and a missing one is named together with its package. The
//! rest lies in a folder of the build (`target/tmp/clients`) and is made again when what it is made
//! of changes; removing the folder fetches the newest versions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use authsome_tests::binaries::on_path;
use authsome_tests::stage::{self, make, run};

/// Versions of Node that come as npm packages: before `NODE_USE_ENV_PROXY`, and with it.
pub(crate) const NODE_VERSIONS: [&str; 3] = ["18", "20", "24"];

/// Programs, and the Debian packages they are in.
const PROGRAMS: [(&str, &str); 12] = [
    ("cc", "build-essential"),
    ("curl", "curl"),
    ("git", "git"),
    ("go", "golang-go"),
    ("java", "default-jdk-headless"),
    ("javac", "default-jdk-headless"),
    ("npm", "npm"),
    ("php", "php-cli php-curl"),
    ("pkg-config", "pkg-config libssl-dev"),
    ("python3", "python3-venv"),
    ("ruby", "ruby"),
    ("wget", "wget"),
];

/// Where everything is.
#[derive(Debug)]
pub(crate) struct Installed {
    /// Python of the virtual environment.
    pub(crate) python: PathBuf,
    /// Folder of the Node programs, with their packages.
    pub(crate) node: PathBuf,
    /// Class path of the Java program.
    pub(crate) java: PathBuf,
    /// The Go program.
    pub(crate) go: PathBuf,
    /// The Rust program.
    pub(crate) rust: PathBuf,
    /// The sources, for programs that need no build.
    pub(crate) sources: PathBuf,
}

impl Installed {
    /// Puts everything in place; panics with what is missing or what failed.
    pub(crate) fn now() -> Self {
        let missing: Vec<_> = PROGRAMS
            .iter()
            .filter(|(program, _)| on_path(program).is_none())
            .map(|(program, package)| format!("`{program}` (package {package})"))
            .collect();
        assert!(
            missing.is_empty(),
            "missing: {}; `sh tests/run.sh` installs them",
            missing.join(", ")
        );
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
        let lock = stage::lock(&folder);
        let installed = Self {
            python: python(&sources, &folder),
            node: node(&sources, &folder),
            java: java(&sources, &folder),
            go: go(&sources, &folder),
            rust: rust(&sources, &folder),
            sources,
        };
        drop(lock);
        installed
    }

    /// A Node of one of [`NODE_VERSIONS`].
    pub(crate) fn node_program(&self, version: &str) -> PathBuf {
        self.node
            .join(format!("node_modules/node{version}/bin/node"))
    }
}

fn python(sources: &Path, folder: &Path) -> PathBuf {
    let requirements = sources.join("python/requirements.txt");
    let made_of = read(&requirements) + &said("python3", &["--version"]);
    let stage = folder.join("python");
    let python = stage.join("bin/python");
    make(&stage, &made_of, || {
        run(Command::new("python3").args(["-m", "venv"]).arg(&stage));
        run(Command::new(&python)
            .args(["-m", "pip", "install", "-q", "-r"])
            .arg(&requirements));
    });
    python
}

fn node(sources: &Path, folder: &Path) -> PathBuf {
    let programs = ["package.json", "get.cjs", "get.mjs"];
    let made_of: String = programs
        .map(|name| read(&sources.join("node").join(name)))
        .concat();
    let stage = folder.join("node");
    make(&stage, &made_of, || {
        for name in programs {
            fs::copy(sources.join("node").join(name), stage.join(name)).expect("a copy is made");
        }
        let machine = match std::env::consts::ARCH {
            "aarch64" => "arm64",
            _ => "x64",
        };
        let nodes = NODE_VERSIONS.map(|v| format!("node{v}@npm:node-linux-{machine}@{v}"));
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--no-save"])
            .args(nodes);
        run(npm.current_dir(&stage));
    });
    stage
}

fn java(sources: &Path, folder: &Path) -> PathBuf {
    let source = sources.join("java/Get.java");
    let stage = folder.join("java");
    let made_of = read(&source) + &said("javac", &["-version"]);
    make(&stage, &made_of, || {
        run(Command::new("javac").arg("-d").arg(&stage).arg(&source));
    });
    stage
}

fn go(sources: &Path, folder: &Path) -> PathBuf {
    let source = sources.join("go");
    let stage = folder.join("go");
    let program = stage.join("get");
    let made_of = read(&source.join("get.go")) + &said("go", &["version"]);
    make(&stage, &made_of, || {
        run(Command::new("go")
            // no look at the repository: git refuses one that belongs to somebody else
            .args(["build", "-buildvcs=false"])
            .arg("-o")
            .arg(&program)
            .arg(".")
            .current_dir(&source));
    });
    program
}

fn rust(sources: &Path, folder: &Path) -> PathBuf {
    let source = sources.join("rust");
    // cargo knows itself what has changed
    let stage = folder.join("rust");
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--locked", "--manifest-path"])
        .arg(source.join("Cargo.toml"));
    run(cargo.arg("--target-dir").arg(&stage));
    stage.join("debug/get")
}

/// What a program prints.
pub(crate) fn said(program: impl AsRef<std::ffi::OsStr>, words: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(words);
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    // `java -version` speaks on the other one
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
