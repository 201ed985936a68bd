//! The providers' own libraries, installed once into the build folder.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use authsome_tests::binaries::on_path;

/// Where the libraries are.
#[derive(Debug)]
pub(crate) struct Signers {
    folder: PathBuf,
}

impl Signers {
    /// Installs them, unless that was done; panics with what is missing or what failed.
    pub(crate) fn now() -> Self {
        for program in ["node", "npm"] {
            assert!(
                on_path(program).is_some(),
                "`{program}` is missing; `sh tests/run.sh` installs it"
            );
        }
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/webhooks");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("webhook-signers");
        fs::create_dir_all(&folder).expect("the build folder can be written");
        // two test processes must not install into the same folder
        let lock = fs::File::create(folder.join("lock")).expect("the folder can be written");
        lock.lock().expect("the file can be locked");
        let files = ["package.json", "sign.mjs"];
        let read = |name: &str| fs::read_to_string(sources.join(name)).expect("it is a source");
        let made_of: String = files.map(read).concat();
        let stamp = folder.join("made-of");
        if fs::read_to_string(&stamp).unwrap_or_default() != made_of {
            for name in files {
                fs::copy(sources.join(name), folder.join(name)).expect("a copy is made");
            }
            let output = Command::new("npm")
                .args(["install", "--no-audit", "--no-fund", "--no-save"])
                .current_dir(&folder)
                .output()
                .expect("npm can be started");
            assert!(
                output.status.success(),
                "npm install failed\n{}",
                String::from_utf8_lossy(&output.stderr)
            );
            fs::write(&stamp, made_of).expect("the folder can be written");
        }
        Self { folder }
    }

    /// The headers that `library` makes for a body.
    pub(crate) fn sign(
        &self,
        library: &str,
        secret: &str,
        time: i64,
        id: &str,
        body: &str,
    ) -> Vec<(String, String)> {
        let mut command = self.command(library, secret, time, id);
        let (code, text) = said(&mut command, body);
        assert_eq!(code, Some(0), "{library}: {text}");
        let headers: BTreeMap<String, String> = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{library}: {error}: {text}"));
        headers.into_iter().collect()
    }

    /// Whether `library` takes headers for good.
    pub(crate) fn accepts(
        &self,
        library: &str,
        secret: &str,
        headers: &[(String, String)],
        body: &str,
    ) -> bool {
        let headers: BTreeMap<_, _> = headers.iter().cloned().collect();
        let mut command = self.command(library, secret, 0, "-");
        command.arg("verify").env(
            "HEADERS",
            serde_json::to_string(&headers).expect("text is JSON"),
        );
        said(&mut command, body).0 == Some(0)
    }

    fn command(&self, library: &str, secret: &str, time: i64, id: &str) -> Command {
        let mut command = Command::new("node");
        command
            .arg("sign.mjs")
            .args([library, &time.to_string(), id])
            .env("SECRET", secret)
            .current_dir(&self.folder);
        command
    }
}

fn said(command: &mut Command, body: &str) -> (Option<i32>, String) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("node can be started");
    let mut stdin = child.stdin.take().expect("it is a pipe");
    stdin.write_all(body.as_bytes()).expect("node reads");
    drop(stdin);
    let output = child.wait_with_output().expect("node ends");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}
