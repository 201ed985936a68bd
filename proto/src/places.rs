//! Where things are: home, runtime folder, socket, lock. For both ends.
//!
//! | what | where |
//! | --- | --- |
//! | home | `$AUTHSOME_HOME`, else `~/.authsome` |
//! | runtime | `$XDG_RUNTIME_DIR/authsome`; for another home `authsome-HASH` beside it; variable unset: the same under `/run/user/UID` if that is ours, else `home/run` |
//! | socket | `runtime/control.sock` |
//! | lock | `home/daemon.lock`: held by the daemon (flock); its text names pid and socket |
//!
//! Nothing is created here. A client asks the lock first, because a daemon that was started with
//! another environment (a desktop session against cron) listens elsewhere.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Longest path of a socket address on the smallest platform (macOS: 104 with the final zero).
pub const SOCKET_PATH_MAX: usize = 103;

/// Name of a project's file, looked for upwards from the working directory.
pub const PROJECT_FILE: &str = "authsome.toml";

/// Most bytes of a project's file. Rules of a project are a page or two; more would only slow down
/// a start.
pub const PROJECT_LEN_MAX: usize = 64 * 1024;

/// The places of one home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Configuration, definitions, vault, audit, logs.
    pub home: PathBuf,
    /// Socket and run records; gone after a reboot.
    pub runtime: PathBuf,
    /// Whether `home` is the user's ordinary one.
    pub ordinary: bool,
}

/// Why there are no places.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlacesError {
    /// Neither variable is set.
    #[error("neither `AUTHSOME_HOME` nor `HOME` is set")]
    NoHome,
    /// The path depends on the working directory.
    #[error("`{variable}` must be an absolute path, not `{}`", .path.display())]
    Relative {
        /// The variable.
        variable: &'static str,
        /// Its value.
        path: PathBuf,
    },
    /// The socket's path does not fit an address.
    #[error("the socket path `{}` has {len} bytes, more than the {SOCKET_PATH_MAX} a socket address holds", .path.display())]
    TooLong {
        /// The path.
        path: PathBuf,
        /// Its length in bytes.
        len: usize,
    },
}

impl Places {
    /// The places of this process' environment.
    pub fn of_process() -> Result<Self, PlacesError> {
        Self::from_variables(|name| std::env::var_os(name), Path::new("/run/user"))
    }

    /// The places that `variable` describes; `run_user` is where the system keeps runtime folders.
    pub fn from_variables(
        variable: impl Fn(&str) -> Option<OsString>,
        run_user: &Path,
    ) -> Result<Self, PlacesError> {
        let set = |name: &'static str| -> Result<Option<PathBuf>, PlacesError> {
            match variable(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
            {
                Some(path) if path.is_absolute() => Ok(Some(path)),
                Some(path) => Err(PlacesError::Relative {
                    variable: name,
                    path,
                }),
                None => Ok(None),
            }
        };
        let ordinary = set("HOME")?.map(|home| home.join(".authsome"));
        let home = set("AUTHSOME_HOME")?
            .or_else(|| ordinary.clone())
            .ok_or(PlacesError::NoHome)?;
        let is_ordinary = ordinary.as_ref() == Some(&home);
        let uid = nix::unistd::getuid().as_raw();
        let base = set("XDG_RUNTIME_DIR")?.or_else(|| {
            let path = run_user.join(uid.to_string());
            std::fs::symlink_metadata(&path)
                .is_ok_and(|meta| meta.is_dir() && meta.uid() == uid)
                .then_some(path)
        });
        let runtime = match base {
            Some(base) if is_ordinary => base.join("authsome"),
            Some(base) => base.join(format!("authsome-{}", home_id(&home))),
            None => home.join("run"),
        };
        let places = Self {
            home,
            runtime,
            ordinary: is_ordinary,
        };
        let socket = places.socket();
        match socket.as_os_str().len() {
            len if len > SOCKET_PATH_MAX => Err(PlacesError::TooLong { path: socket, len }),
            _ => Ok(places),
        }
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.runtime.join("control.sock")
    }

    /// The lock that decides which daemon serves this home.
    pub fn lock(&self) -> PathBuf {
        self.home.join("daemon.lock")
    }

    /// What this home's service is called: as its runtime folder, so that two homes never meet.
    pub fn service_name(&self) -> String {
        if self.ordinary {
            "authsome".into()
        } else {
            format!("authsome-{}", home_id(&self.home))
        }
    }

    /// A short name of this home that is the same on every start: it keeps the items of two homes
    /// in one keyring apart.
    pub fn id(&self) -> String {
        if self.ordinary {
            "default".into()
        } else {
            home_id(&self.home)
        }
    }
}

/// What the lock file says about the daemon that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockNote {
    /// The daemon's process id.
    pub pid: u32,
    /// Its control socket.
    pub socket: PathBuf,
}

impl LockNote {
    /// The lock file's text.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let _infallible = writeln!(text, "pid {}\nsocket {}", self.pid, self.socket.display());
        text
    }

    /// Reads the lock file's text; `None` where it is empty or cut short.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let pid = lines.next()?.strip_prefix("pid ")?.parse().ok()?;
        let socket = lines.next()?.strip_prefix("socket ")?.into();
        text.ends_with('\n').then_some(Self { pid, socket })
    }
}

/// FNV-1a over the path, in hex: a name, not a protection.
fn home_id(home: &Path) -> String {
    let hash = home
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(vars: &[(&str, &str)]) -> Result<Places, PlacesError> {
        let vars: Vec<(String, String)> = vars
            .iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect();
        Places::from_variables(
            |name| vars.iter().find(|(k, _)| k == name).map(|(_, v)| v.into()),
            Path::new("/nonexistent"),
        )
    }

    #[test]
    fn the_ordinary_home_has_the_ordinary_runtime_folder() {
        let places = places(&[("HOME", "/home/u"), ("XDG_RUNTIME_DIR", "/run/user/7")]).unwrap();
        assert_eq!(places.home, Path::new("/home/u/.authsome"));
        assert_eq!(
            places.socket(),
            Path::new("/run/user/7/authsome/control.sock")
        );
        assert_eq!(places.id(), "default");
    }

    #[test]
    fn two_homes_never_meet() {
        let of = |home| places(&[("AUTHSOME_HOME", home), ("XDG_RUNTIME_DIR", "/r")]).unwrap();
        assert_ne!(of("/a").runtime, of("/b").runtime);
        assert_ne!(of("/a").id(), of("/b").id());
        assert_ne!(of("/a").service_name(), of("/b").service_name());
    }

    #[test]
    fn a_service_is_called_as_its_runtime_folder() {
        for home in ["/home/u/.authsome", "/a"] {
            let vars = [
                ("HOME", "/home/u"),
                ("AUTHSOME_HOME", home),
                ("XDG_RUNTIME_DIR", "/r"),
            ];
            let places = places(&vars).unwrap();
            assert_eq!(places.runtime, Path::new("/r").join(places.service_name()));
        }
    }

    #[test]
    fn without_a_runtime_folder_the_home_holds_it() {
        let places = places(&[("HOME", "/home/u")]).unwrap();
        assert_eq!(places.runtime, Path::new("/home/u/.authsome/run"));
    }

    #[test]
    fn an_empty_variable_counts_as_unset_and_a_relative_one_is_refused() {
        assert_eq!(places(&[("HOME", "")]), Err(PlacesError::NoHome));
        assert!(matches!(
            places(&[("HOME", "u")]),
            Err(PlacesError::Relative { .. })
        ));
    }

    #[test]
    fn a_socket_path_that_does_not_fit_is_its_own_error() {
        let long = format!("/{}", "x".repeat(100));
        assert!(matches!(
            places(&[("HOME", &long)]),
            Err(PlacesError::TooLong { .. })
        ));
    }

    #[test]
    fn a_lock_note_round_trips_and_a_torn_one_is_none() {
        let note = LockNote {
            pid: 42,
            socket: "/run/a b/c.sock".into(),
        };
        assert_eq!(LockNote::parse(&note.to_text()), Some(note.clone()));
        let text = note.to_text();
        assert_eq!(LockNote::parse(&text[..text.len() - 1]), None);
        assert_eq!(LockNote::parse(""), None);
    }
}
