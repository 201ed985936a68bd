//! Errors of the keyring library become ours here, and their secrets end here (V4).
//!
//! `BadEncoding` and `BadDataFormat` *contain the stored bytes* and derive `Debug`; they are wiped.

use keyring_core::Error;
use zeroize::Zeroize as _;

use super::error::VaultError;
use super::item::{ItemKey, corrupt};

/// What `error` means for the item under `key`. "No such item" is not for here: it is an answer.
pub(super) fn convert(key: &ItemKey, error: Error) -> VaultError {
    match error {
        Error::PlatformFailure(cause) => VaultError::Platform(cause),
        // asked for before, so it was locked in between
        Error::NoStorageAccess(_) => VaultError::Locked,
        Error::BadEncoding(mut bytes) => {
            bytes.zeroize();
            corrupt(key, "it is not text")
        }
        Error::BadDataFormat(mut bytes, _) => {
            bytes.zeroize();
            corrupt(key, "the keyring cannot read it")
        }
        Error::Ambiguous(_) => VaultError::Duplicate {
            what: format!("`{key}`"),
        },
        Error::NoEntry => VaultError::Platform("the item vanished while it was used".into()),
        Error::BadStoreFormat(_)
        | Error::TooLong(..)
        | Error::Invalid(..)
        | Error::NoDefaultStore
        | Error::NotSupportedByStore(_) => VaultError::Platform(Box::new(error)),
        // variants of later versions: their texts are not known to be free of secrets
        _ => VaultError::Platform("an error that this version does not know".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_that_contain_the_secret_lose_it() {
        let secret = b"hunter2".to_vec();
        for error in [
            Error::BadEncoding(secret.clone()),
            Error::BadDataFormat(secret.clone(), "hunter2".into()),
        ] {
            let shown = format!("{error:?}");
            assert!(
                shown.contains("104, 117, 110"),
                "the library changed: {shown}"
            );
            let ours = convert(&ItemKey::Install, error);
            let shown = format!("{ours:?} {ours}");
            assert!(
                !shown.contains("hunter") && !shown.contains("104, 117"),
                "{shown}"
            );
        }
    }
}
