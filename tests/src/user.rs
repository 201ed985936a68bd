//! Somebody who is not root.
//!
//! In CI the tests run as root. What has to be seen from a plain user's side (the keyring, the
//! peer checks) then runs under `setpriv`; elsewhere the caller is the plain user.

use std::os::unix::fs::chown;
use std::path::Path;

use nix::unistd::Uid;

/// A user other than root, and what it takes to become one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainUser {
    uid: u32,
    gid: u32,
    change: bool,
}

impl PlainUser {
    /// A plain user to be: `nobody` when we are root, else whoever we are.
    pub fn any() -> Self {
        if is_root() {
            Self::named("nobody").expect("every Debian has the user `nobody`")
        } else {
            Self {
                uid: Uid::effective().as_raw(),
                gid: nix::unistd::getegid().as_raw(),
                change: false,
            }
        }
    }

    /// Another one than [`PlainUser::any`]. `None` when we are not root and cannot become anybody.
    pub fn other() -> Option<Self> {
        is_root().then(|| Self::named("games").expect("every Debian has the user `games`"))
    }

    /// The user of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let user = nix::unistd::User::from_name(name).ok()??;
        Some(Self {
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
            change: true,
        })
    }

    /// The numeric user id.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The words to put before a command so that it runs as this user; none when we are it.
    pub fn prefix(&self) -> Vec<String> {
        if !self.change {
            return Vec::new();
        }
        vec![
            "setpriv".to_owned(),
            format!("--reuid={}", self.uid),
            format!("--regid={}", self.gid),
            "--clear-groups".to_owned(),
            "--inh-caps=-all".to_owned(),
        ]
    }

    /// Gives a file or folder (and nothing below it) to this user.
    pub fn own(&self, path: &Path) {
        if self.change {
            chown(path, Some(self.uid), Some(self.gid))
                .unwrap_or_else(|error| panic!("cannot give {} away: {error}", path.display()));
        }
    }
}

/// Whether the tests run as root.
pub fn is_root() -> bool {
    Uid::effective().is_root()
}
