//! A headless Chromium, driven over its own protocol for tools by `puppeteer-core` from npm.
//!
//! It finds the sites it is told of and loopback, and takes any certificate: what is tested with it are
//! pages. It ends with the test, however the test ends, because it listens to a pipe of ours.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::program::Program;
use super::{Site, read};
use crate::binaries::on_path;

/// What the browser shows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Page {
    /// The address.
    pub url: String,
    /// The title.
    pub title: String,
    /// The text as a person sees it.
    pub text: String,
}

/// The browser, with one page. Selectors are CSS; what they name is waited for. Dropping it ends it.
#[derive(Debug)]
pub struct Browser {
    program: Program,
    pid: u32,
    _profile: TempDir,
}

impl Browser {
    /// Starts it; the names of `sites` lead to them on port 443.
    #[track_caller]
    pub fn start(sites: &[&dyn Site]) -> Self {
        let chromium = on_path("chromium").unwrap_or_else(|| {
            panic!("`chromium` is missing (package chromium); `sh tests/run.sh` installs it")
        });
        let rules: Vec<_> = sites
            .iter()
            .flat_map(|site| {
                let address = site.address();
                let names = site.names().iter();
                names.map(move |name| format!("MAP {name}:443 {address}"))
            })
            .collect();
        let profile = tempfile::Builder::new()
            .prefix("as-chromium-")
            .tempdir()
            .expect("the folder for temporary files can be written");
        let program = Program::start("browser.mjs", &[("HOME", profile.path())]);
        let start = json!({
            "program": chromium,
            "profile": profile.path().join("profile"),
            "rules": rules.join(","),
            "width": 1024,
            "height": 768,
        });
        let pid = program.ask("start", start)["pid"].as_u64();
        Self {
            program,
            pid: u32::try_from(pid.expect("it runs")).expect("process ids are small"),
            _profile: profile,
        }
    }

    /// Opens an address, and gives the page that it led to.
    #[track_caller]
    pub fn open(&self, url: &str) -> Page {
        read(self.program.ask("open", json!({ "url": url })))
    }

    /// The page as it is when nothing moves any more.
    #[track_caller]
    pub fn page(&self) -> Page {
        read(self.program.ask("look", json!({})))
    }

    /// Writes a text into a field, in place of what is there.
    #[track_caller]
    pub fn fill(&self, selector: &str, text: &str) {
        let fill = json!({ "selector": selector, "text": text });
        self.program.ask("fill", fill);
    }

    /// Clicks, and gives the page that it led to.
    #[track_caller]
    pub fn click(&self, selector: &str) -> Page {
        read(self.program.ask("click", json!({ "selector": selector })))
    }

    /// Waits until the page shows `text`.
    #[track_caller]
    pub fn wait_for_text(&self, text: &str) -> Page {
        read(self.program.ask("wait", json!({ "text": text })))
    }

    /// Waits until the address begins with `url`.
    #[track_caller]
    pub fn wait_for_url(&self, url: &str) -> Page {
        read(self.program.ask("wait", json!({ "url": url })))
    }

    /// Opens an authorization address of an [`super::Authority`], allows it, and gives the page that
    /// the person is sent back to.
    #[track_caller]
    pub fn approve(&self, authorization_url: &str) -> Page {
        self.open(authorization_url);
        self.click("#allow")
    }

    /// The same for a device's code, entered at `verification_uri`.
    #[track_caller]
    pub fn approve_device(&self, verification_uri: &str, user_code: &str) -> Page {
        self.open(verification_uri);
        self.fill("input[name=user_code]", user_code);
        self.click("#continue");
        self.click("#continue");
        self.click("#allow")
    }

    /// The page's source as it is now.
    #[track_caller]
    pub fn html(&self) -> String {
        read(self.program.ask("html", json!({})))
    }

    /// The value of an expression of JavaScript in the page.
    #[track_caller]
    pub fn evaluate(&self, script: &str) -> Value {
        self.program.ask("evaluate", json!({ "script": script }))
    }

    /// Takes a picture, PNG, of the whole page.
    #[track_caller]
    pub fn screenshot(&self, path: &Path) {
        self.program.ask("screenshot", json!({ "path": path }));
    }

    /// Makes the window so large.
    #[track_caller]
    pub fn resize(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height });
        self.program.ask("resize", size);
    }

    /// The addresses that the back button leads to, oldest first, the page's own among them.
    #[track_caller]
    pub fn history(&self) -> Vec<String> {
        read(self.program.ask("history", json!({})))
    }

    /// Every request so far, as `METHOD URL`.
    #[track_caller]
    pub fn visited(&self) -> Vec<String> {
        read(self.program.ask("visited", json!({})))
    }

    /// What pages wrote to the console, errors included.
    #[track_caller]
    pub fn said(&self) -> Vec<String> {
        read(self.program.ask("said", json!({})))
    }

    /// Forgets cookies, requests, and what was said.
    #[track_caller]
    pub fn clear(&self) {
        self.program.ask("clear", json!({}));
    }

    /// Process id of Chromium.
    pub fn pid(&self) -> u32 {
        self.pid
    }
}
