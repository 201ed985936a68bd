//! The Node preload: the file that `NODE_OPTIONS` requires, outside every run's own folder.
//!
//! Node does not start when a required file is gone, and a program left in the background outlives
//! its run. So the file lives in a folder that stays, under a name made of its content: another
//! version of ours writes another file and never changes one that a living program will load again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::write_private;

/// The preload itself; its first lines say what it does.
const PRELOAD: &str = include_str!("node-preload.cjs");

/// What the file's name begins with; so an outer run's option is recognised.
const NAME_PREFIX: &str = "authsome-node-";

/// Puts the preload into `folder`, unless it is there, and returns its path.
pub(super) fn install(folder: &Path) -> io::Result<PathBuf> {
    let path = folder.join(name());
    // compared, not only looked for: a half-written file would break every Node program
    if fs::read(&path).is_ok_and(|content| content == PRELOAD.as_bytes()) {
        return Ok(path);
    }
    // written aside and renamed, since another run may be starting Node with it just now
    let aside = tempfile::Builder::new()
        .prefix(NAME_PREFIX)
        .tempfile_in(folder)?;
    fs::remove_file(aside.path())?;
    write_private(aside.path(), PRELOAD.as_bytes())?;
    fs::rename(aside.path(), &path)?;
    // its guard would remove the name that has become the preload's no more
    drop(aside.into_temp_path().keep());
    Ok(path)
}

/// The option that loads it.
pub(super) fn option(preload: &str) -> String {
    format!("--require={preload}")
}

/// Whether an option of `NODE_OPTIONS` was put there by a run.
pub(super) fn is_ours(option: &str) -> bool {
    let file = option
        .strip_prefix("--require=")
        .and_then(|path| path.rsplit('/').next());
    file.is_some_and(|file| file.starts_with(NAME_PREFIX))
}

fn name() -> String {
    let hash = Sha256::digest(PRELOAD.as_bytes());
    // 12 characters tell versions of ours apart; nobody else writes here
    let short = URL_SAFE_NO_PAD.encode(hash.as_slice().get(..9).unwrap_or_default());
    format!("{NAME_PREFIX}{short}.cjs")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_preload_is_written_once_and_repaired_when_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = install(folder.path()).unwrap();
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        assert_eq!(install(folder.path()).unwrap(), path);
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
        fs::File::create(&path)
            .unwrap()
            .write_all(b"broken")
            .unwrap();
        assert_eq!(install(folder.path()).unwrap(), path);
        assert_eq!(fs::read(&path).unwrap(), PRELOAD.as_bytes());
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(is_ours(&option(path.to_str().unwrap())));
        assert!(!is_ours("--require=/home/a/other.cjs"));
    }
}
