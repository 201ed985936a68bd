//! Which store holds the secrets: asked for by the configuration, decided once, remembered.
//!
//! `vault/store` holds one word, written when the first secret has been stored (V1). From then on
//! it decides; the configuration may repeat it or say `auto`, and anything else is an error.

use std::fmt;
use std::path::Path;

use super::error::VaultError;
use crate::files::{read_private, write_atomic};

/// What the configuration asks for: `store` in `[vault]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StoreChoice {
    /// The keyring where there is one, else files.
    #[default]
    Auto,
    /// Files, whatever else there is.
    File,
    /// The keyring, or nothing.
    Keyring,
}

impl fmt::Display for StoreChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::File => "file",
            Self::Keyring => "keyring",
        })
    }
}

/// A store that holds secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// Encrypted files under `vault/`.
    File,
    /// The operating system's keyring.
    Keyring,
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::Keyring => "keyring",
        })
    }
}

/// More than the longest word in the file, by far.
const RECORD_MAX: u64 = 64;

/// The recorded store, `None` before the first secret was stored; an error if the configuration
/// asks for another.
pub(super) fn recorded(
    folder: &Path,
    configured: StoreChoice,
) -> Result<Option<StoreKind>, VaultError> {
    let Some(recorded) = read(folder)? else {
        return Ok(None);
    };
    match (configured, recorded) {
        (StoreChoice::Auto, _)
        | (StoreChoice::File, StoreKind::File)
        | (StoreChoice::Keyring, StoreKind::Keyring) => Ok(Some(recorded)),
        (StoreChoice::File, StoreKind::Keyring) | (StoreChoice::Keyring, StoreKind::File) => {
            Err(VaultError::ChoiceConflict {
                recorded,
                configured,
            })
        }
    }
}

/// The recorded store, whatever the configuration says.
pub(super) fn read(folder: &Path) -> Result<Option<StoreKind>, VaultError> {
    let path = folder.join("store");
    let Some(text) = read_private(&path, RECORD_MAX).map_err(VaultError::Read)? else {
        return Ok(None);
    };
    match text.trim_ascii_end() {
        b"file" => Ok(Some(StoreKind::File)),
        b"keyring" => Ok(Some(StoreKind::Keyring)),
        _ => Err(VaultError::Corrupt {
            what: format!("`{}`", path.display()),
            reason: "it must hold the word `keyring` or `file`".to_owned(),
        }),
    }
}

/// Records `kind`, durably.
pub(super) fn record(folder: &Path, kind: StoreKind) -> Result<(), VaultError> {
    write_atomic(&folder.join("store"), format!("{kind}\n").as_bytes()).map_err(VaultError::Write)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_decides_and_a_contradiction_names_both() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(recorded(home.path(), StoreChoice::Keyring).unwrap(), None);
        for (kind, other) in [
            (StoreKind::File, StoreChoice::Keyring),
            (StoreKind::Keyring, StoreChoice::File),
        ] {
            record(home.path(), kind).unwrap();
            assert_eq!(
                recorded(home.path(), StoreChoice::Auto).unwrap(),
                Some(kind)
            );
            let error = recorded(home.path(), other).unwrap_err();
            assert!(error.to_string().contains("`keyring`"), "{error}");
            assert!(error.to_string().contains("`file`"), "{error}");
            assert!(
                error
                    .hint()
                    .unwrap()
                    .contains(&format!("store = \"{kind}\""))
            );
        }
    }

    /// S7: a damaged record is refused and stays as it is.
    #[test]
    fn every_flipped_bit_of_the_record_is_refused() {
        let home = tempfile::tempdir().unwrap();
        for at in 0.."keyring".len() {
            for bit in 0..8 {
                let mut damaged = b"keyring\n".to_vec();
                damaged[at] ^= 1 << bit;
                write_atomic(&home.path().join("store"), &damaged).unwrap();
                let error = recorded(home.path(), StoreChoice::Auto).unwrap_err();
                assert!(matches!(error, VaultError::Corrupt { .. }), "{error}");
            }
        }
    }
}
