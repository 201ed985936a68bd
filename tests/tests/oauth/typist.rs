//! A person at a terminal: waits for words on the screen, types answers.

use authsome_tests::process::{Output, Running};
use authsome_tests::{Home, wait_for};

use crate::world::PROVIDER;

/// Does what its input says, line by line: `? WORDS` waits for words on the screen, `> WORDS` types
/// them and Enter. At the end of it, it waits for the program's end.
const SCRIPT: &str = r#"
set timeout 30
log_user 1
eval spawn -noecho authsome login $env(WORDS)
while {[gets stdin line] >= 0} {
    set words [string range $line 2 end]
    if {[string index $line 0] eq "?"} {
        expect -ex $words {} timeout { puts "\nnot seen: $words"; exit 97 } eof { puts "\nended before: $words"; exit 98 }
    } else {
        send -- "$words\r"
    }
}
expect eof
exit [lindex [wait] 3]
"#;

/// `authsome login` on a terminal, without a browser.
pub(crate) struct Typist(Running);

impl Typist {
    /// Logs in to the usual provider.
    pub(crate) fn log_in(home: &Home) -> Self {
        Self::start(home, PROVIDER)
    }

    /// `authsome login` with these words.
    pub(crate) fn start(home: &Home, words: &str) -> Self {
        let script = home.write("typist", SCRIPT);
        let running = home
            .command("expect")
            .arg(script)
            .env("WORDS", words)
            .env("TERM", "xterm")
            .interactive()
            .spawn();
        Self(running)
    }

    /// Waits for words on the screen.
    pub(crate) fn sees(&self, words: &str) -> &Self {
        self.0.say(&format!("? {words}\n"));
        self
    }

    /// Types a line.
    pub(crate) fn types(&self, words: &str) -> &Self {
        self.0.say(&format!("> {words}\n"));
        self
    }

    /// The first address on the screen that begins with `start`.
    pub(crate) fn address(&self, start: &str) -> String {
        let what = format!("an address {start}…");
        wait_for(&what, std::time::Duration::from_secs(20), || {
            let screen = self.0.stdout_so_far();
            let found = &screen[screen.find(start)?..];
            // not while it is still being written
            let end = found.find(char::is_whitespace)?;
            Some(found[..end].to_owned())
        })
    }

    /// Types no more; what was on the screen, and the exit code.
    pub(crate) fn ends(mut self) -> Output {
        self.0.hang_up();
        self.0.wait()
    }
}
