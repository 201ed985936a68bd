//! Secrets made for one test, and the search for them.
//!
//! A canary consists of two random runs of letters and digits joined by characters that every
//! escaping treats specially (`+`, `/`, `=`). The search looks for the whole and for each run by
//! itself, so that a copy whose special characters were escaped in whatever manner is found too.
//!
//! Searched forms: raw, base64 in three alignments and two alphabets, hex, percent, JSON, UTF-16
//! in both byte orders.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Letters and digits of one random run: 16 of them carry 95 bits, so nothing is found by chance.
const RUN_LEN: usize = 16;

/// A secret that must not be seen anywhere but at the good upstream and in the vault.
#[derive(Clone, PartialEq, Eq)]
pub struct Canary {
    secret: String,
    /// Where the runs begin in `secret`.
    runs: Vec<String>,
}

/// A canary where none may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// What was searched: a file, a process, a captured output.
    pub place: String,
    /// The encoding it was found in.
    pub encoding: &'static str,
    /// Offset of the first byte.
    pub offset: usize,
}

impl Canary {
    /// A new canary, shaped like a token: letters, digits, `+`, `/` and a final `=`.
    pub fn new() -> Self {
        Self::with_prefix("")
    }

    /// A new canary that begins with `prefix`, for services that check the shape of their keys.
    pub fn with_prefix(prefix: &str) -> Self {
        let runs = vec![random_run(), random_run()];
        let secret = format!("{prefix}{}+/{}=", runs[0], runs[1]);
        Self { secret, runs }
    }

    /// A new canary of `prefix` and letters and digits only, for the pickiest shapes.
    pub fn alphanumeric(prefix: &str) -> Self {
        let runs = vec![random_run(), random_run()];
        let secret = format!("{prefix}{}{}", runs[0], runs[1]);
        Self { secret, runs }
    }

    /// A secret that somebody else made, such as a token: it is searched for as a whole.
    pub fn of(secret: &str) -> Self {
        assert!(
            secret.len() >= RUN_LEN,
            "too short to be found by chance only"
        );
        Self {
            secret: secret.to_owned(),
            runs: Vec::new(),
        }
    }

    /// The secret itself.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// Every byte string that gives the canary away, with the name of its encoding.
    pub fn forms(&self) -> Vec<(&'static str, Vec<u8>)> {
        let mut forms = Vec::new();
        for part in std::iter::once(&self.secret).chain(&self.runs) {
            let raw = part.as_bytes();
            forms.push(("raw", raw.to_vec()));
            for lead in 0..3 {
                forms.push(("base64", base64_core(raw, lead, Alphabet::Standard)));
                forms.push(("base64url", base64_core(raw, lead, Alphabet::UrlSafe)));
            }
            let hex: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
            forms.push(("hex", hex.to_uppercase().into_bytes()));
            forms.push(("hex", hex.into_bytes()));
            let percent: String = raw.iter().map(|byte| format!("%{byte:02x}")).collect();
            forms.push(("percent", percent.to_uppercase().into_bytes()));
            forms.push(("percent", percent.into_bytes()));
            let json: String = raw
                .iter()
                .map(|byte| format!("\\u{:04x}", u32::from(*byte)))
                .collect();
            forms.push(("json", json.into_bytes()));
            forms.push(("utf-16le", raw.iter().flat_map(|byte| [*byte, 0]).collect()));
            forms.push(("utf-16be", raw.iter().flat_map(|byte| [0, *byte]).collect()));
        }
        forms
    }

    /// Searches one text; at most one hit per encoding is told.
    pub fn search(&self, place: &str, text: &[u8]) -> Vec<Hit> {
        let mut hits: Vec<Hit> = Vec::new();
        for (encoding, form) in self.forms() {
            if hits.iter().any(|hit| hit.encoding == encoding) {
                continue;
            }
            if let Some(offset) = find(text, &form) {
                hits.push(Hit {
                    place: place.to_owned(),
                    encoding,
                    offset,
                });
            }
        }
        hits
    }

    /// Searches every file below `folder`, and the names of the files; paths for which `exempt` is
    /// true are left out, with all that is below them.
    pub fn search_folder(&self, folder: &Path, exempt: &dyn Fn(&Path) -> bool) -> Vec<Hit> {
        let mut hits = Vec::new();
        let mut pending = vec![folder.to_owned()];
        while let Some(path) = pending.pop() {
            if exempt(&path) {
                continue;
            }
            let name = path.display().to_string();
            hits.extend(self.search(&format!("the name of {name}"), name.as_bytes()));
            let Ok(meta) = path.symlink_metadata() else {
                continue;
            };
            if meta.is_dir() {
                pending.extend(entries(&path));
            } else if meta.is_file() {
                let mut text = Vec::new();
                if let Ok(mut file) = std::fs::File::open(&path) {
                    // what cannot be read to its end (it is being removed) is searched so far
                    let _read = file.read_to_end(&mut text);
                }
                hits.extend(self.search(&name, &text));
            }
        }
        hits
    }

    /// Searches command line and environment of every process that belongs to a test: whose
    /// environment or command line names `mark`, a folder of the test, or that descends from us.
    ///
    /// What the kernel does not let us read, we cannot search: as root that is nothing.
    pub fn search_processes(&self, mark: &Path) -> Vec<Hit> {
        let mark = mark.as_os_str().as_encoded_bytes();
        let mut hits = Vec::new();
        for pid in pids() {
            let read =
                |file: &str| std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            let (command, environment) = (read("cmdline"), read("environ"));
            let ours = find(&command, mark).is_some() || find(&environment, mark).is_some();
            if ours || descends_from_us(pid) {
                hits.extend(self.search(&format!("the command line of process {pid}"), &command));
                hits.extend(
                    self.search(&format!("the environment of process {pid}"), &environment),
                );
            }
        }
        hits
    }
}

impl Default for Canary {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Canary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Canary(..)")
    }
}

impl fmt::Display for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (as {}, at byte {})",
            self.place, self.encoding, self.offset
        )
    }
}

#[derive(Clone, Copy)]
enum Alphabet {
    Standard,
    UrlSafe,
}

/// The characters of base64 that depend on `raw` alone when `lead` unknown bytes stand before it
/// and anything may follow.
fn base64_core(raw: &[u8], lead: usize, alphabet: Alphabet) -> Vec<u8> {
    let mut padded = vec![0; lead];
    padded.extend_from_slice(raw);
    let encoded = match alphabet {
        Alphabet::Standard => STANDARD_NO_PAD.encode(&padded),
        Alphabet::UrlSafe => URL_SAFE_NO_PAD.encode(&padded),
    };
    // a character carries 6 bits: those that share bits with a neighbour's byte are cut off
    let first = (lead * 8).div_ceil(6);
    let last = padded.len() * 8 / 6;
    encoded.as_bytes()[first..last].to_vec()
}

/// First place of `needle` in `text`.
pub fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    let (first, rest) = needle.split_first()?;
    let mut from = 0;
    while let Some(at) = text.get(from..)?.iter().position(|byte| byte == first) {
        let begin = from + at;
        if text.get(begin + 1..)?.starts_with(rest) {
            return Some(begin);
        }
        from = begin + 1;
    }
    None
}

fn random_run() -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut random = [0_u8; RUN_LEN];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut random))
        .expect("the kernel gives random bytes");
    random
        .iter()
        .map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]))
        .collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(read) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    read.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// All process ids.
pub fn pids() -> Vec<u32> {
    entries(Path::new("/proc"))
        .iter()
        .filter_map(|path| path.file_name()?.to_str()?.parse().ok())
        .collect()
}

/// Parent of a process, from `/proc/PID/stat`.
pub fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // the name stands in parentheses and may hold anything: fields are counted behind the last one
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

fn descends_from_us(pid: u32) -> bool {
    let own = std::process::id();
    std::iter::successors(parent_of(pid), |parent| parent_of(*parent)).any(|parent| parent == own)
}
