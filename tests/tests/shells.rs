//! Shells: completion, manual pages, `authsome env` and direnv, in the real shells on a terminal of
//! their own.

#[path = "shells/bound.rs"]
mod bound;
#[path = "shells/completion.rs"]
mod completion;
#[path = "shells/direnv.rs"]
mod direnv;
#[path = "shells/env.rs"]
mod env;
#[path = "shells/manual.rs"]
mod manual;

use std::time::{Duration, Instant};

use authsome_tests::raw::Proxy;
use authsome_tests::{Home, Running, StandIn, wait_for, wait_until};

const HOST: &str = "api.intercom.io";

/// How long what happens at once may take to be seen.
const SOON: Duration = Duration::from_secs(30);

/// What every shell here prints when it waits for a line.
const PROMPT: &str = "ready>";

fn world() -> (StandIn, Home) {
    let stand_in = StandIn::start(&[HOST]);
    let home = Home::with(&stand_in);
    home.login("intercom");
    (stand_in, home)
}

#[track_caller]
fn wait_until_no_run(home: &Home) {
    wait_until("the end of all runs", SOON, || home.runs().is_empty());
}

/// Bash, fish and zsh as a person has them, without files of the person's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shell {
    Bash,
    /// With the package bash-completion.
    BashCompletion,
    Fish,
    Zsh,
}

impl Shell {
    const ALL: [Self; 4] = [Self::Bash, Self::BashCompletion, Self::Fish, Self::Zsh];
    /// Each program once.
    const PROGRAMS: [Self; 3] = [Self::Bash, Self::Fish, Self::Zsh];

    /// How it is started for a terminal.
    fn line(self) -> &'static str {
        match self {
            Self::Bash | Self::BashCompletion => "bash --noprofile --norc -i",
            Self::Fish => "fish -i -C 'function fish_prompt; echo \"ready> \"; end'",
            Self::Zsh => "zsh -f -i",
        }
    }

    /// What turns completion on.
    fn completion(self) -> &'static str {
        match self {
            Self::Bash => "source <(authsome completions bash)",
            Self::BashCompletion => {
                "source /usr/share/bash-completion/bash_completion; \
                 source <(authsome completions bash)"
            }
            Self::Fish => "authsome completions fish | source",
            Self::Zsh => "autoload -Uz compinit; compinit -D; source <(authsome completions zsh)",
        }
    }

    /// What puts the variables of `authsome env` into the shell.
    fn take(self, options: &str) -> String {
        match self {
            Self::Fish => format!("authsome env {options} | source"),
            _ => format!("eval \"$(authsome env {options})\""),
        }
    }
}

/// A shell on a terminal.
struct Terminal {
    shell: Running,
    asked: usize,
}

impl Terminal {
    #[track_caller]
    fn open(home: &Home, shell: Shell) -> Self {
        let line = format!("stty rows 50 cols 200; exec {}", shell.line());
        let terminal = home
            .command("script")
            .args(["-qefc", &line, "/dev/null"])
            .env("TERM", "xterm")
            .env("PS1", format!("{PROMPT} "))
            .env("SHELL", "/bin/sh")
            .interactive()
            .spawn();
        terminal.wait_for_stdout(PROMPT);
        Self {
            shell: terminal,
            asked: 0,
        }
    }

    /// Types keys.
    #[track_caller]
    fn keys(&self, keys: &str) {
        self.shell.say(keys);
    }

    /// Runs a line and gives what it printed.
    #[track_caller]
    fn run(&mut self, line: &str) -> String {
        self.asked += 1;
        let (begin, end) = (format!("<{}<", self.asked), format!(">{}>", self.asked));
        // what is typed must not look like what is printed
        let (number, line) = (self.asked, line);
        self.keys(&format!(
            "printf '<%d<' {number}; {line}; printf '>%d>' {number}\r"
        ));
        wait_for(&format!("an answer to {line}"), SOON, || {
            let all = self.shell.stdout_so_far();
            let (_, rest) = all.split_once(&begin)?;
            let (answer, _) = rest.split_once(&end)?;
            Some(answer.replace('\r', "").trim().to_owned())
        })
    }

    /// Types a line with TABs in it, and gives the words that the shell has then.
    #[track_caller]
    fn completed(&mut self, line: &str) -> Vec<String> {
        self.asked += 1;
        let (begin, end) = (format!("<{}<", self.asked), format!(">{}>", self.asked));
        let number = self.asked;
        // to the beginning of the line: what was completed becomes arguments
        self.keys(&format!(
            "{line}\u{1}printf '<%d<' {number}; printf '%s|' \u{5}; printf '>%d>' {number}\r"
        ));
        wait_for(&format!("the completion of {line:?}"), SOON, || {
            let all = self.shell.stdout_so_far();
            let (_, rest) = all.split_once(&begin)?;
            let (words, _) = rest.split_once(&end)?;
            let words = words.trim_end_matches('|').split('|');
            Some(words.map(str::to_owned).collect())
        })
    }

    /// Completes `line` to `whole`. Like a person it presses TAB again where nothing came: a busy
    /// daemon is not waited for.
    #[track_caller]
    fn completes(&mut self, line: &str, whole: &str) {
        let begun = Instant::now();
        loop {
            let words = self.completed(line).join(" ");
            if words == whole {
                return;
            }
            assert!(begun.elapsed() < SOON, "{line:?} became {words:?}");
        }
    }

    /// Waits until the screen shows `text` behind what is there now.
    #[track_caller]
    fn shows(&self, before: usize, text: &str) {
        wait_until(&format!("{text:?} on the screen"), SOON, || {
            self.shell.stdout_so_far()[before..].contains(text)
        });
    }

    /// Waits for `text`, and presses `key` about once a second until it is there.
    #[track_caller]
    fn shows_pressing(&self, before: usize, text: &str, key: &str) {
        let mut pressed = None;
        wait_until(&format!("{text:?} on the screen"), SOON, || {
            if self.shell.stdout_so_far()[before..].contains(text) {
                return true;
            }
            if pressed.is_none_or(|at: Instant| at.elapsed() > Duration::from_secs(1)) {
                self.keys(key);
                pressed = Some(Instant::now());
            }
            false
        });
    }

    fn screen_len(&self) -> usize {
        self.shell.stdout_so_far().len()
    }

    /// The proxy that the shell's variables lead to.
    #[track_caller]
    fn proxy(&mut self) -> Proxy {
        let url = self.run("printenv HTTPS_PROXY");
        let bundle = self.run("printenv SSL_CERT_FILE");
        let (credentials, address) = url
            .strip_prefix("http://")
            .and_then(|rest| rest.split_once('@'))
            .unwrap_or_else(|| panic!("{url}"));
        Proxy {
            address: address.parse().unwrap(),
            credentials: Some(credentials.to_owned()),
            bundle: std::fs::read(bundle).unwrap(),
        }
    }

    /// Ends the shell as a person does.
    fn exit(self) {
        self.keys("exit\r");
        self.shell.wait();
    }
}
