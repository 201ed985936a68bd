//! From errors inside the daemon to errors on the wire: the one place that chooses their codes.

use authsome_proto::{ErrorCode, WireError};

use crate::vault::VaultError;

/// An error that can tell a client what it means.
pub trait Explain {
    /// This error as what kept us from `doing`, for instance "read `github` from the vault".
    fn explain(&self, doing: &str) -> WireError;
}

impl Explain for VaultError {
    fn explain(&self, doing: &str) -> WireError {
        let code = match self {
            Self::Locked => ErrorCode::VaultLocked,
            Self::PassphraseNeeded { new: false } => ErrorCode::PassphraseNeeded,
            Self::PassphraseNeeded { new: true } => ErrorCode::PassphraseWanted,
            Self::WrongPassphrase => ErrorCode::WrongPassphrase,
            Self::TimedOut => ErrorCode::VaultTimedOut,
            Self::Absent { .. } => ErrorCode::VaultAbsent,
            _ => ErrorCode::VaultFailed,
        };
        let error = WireError::new(code, format!("cannot {doing}")).because(self);
        match self.hint() {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

/// A failure of our own files.
pub fn storage(doing: &str, error: &dyn std::error::Error) -> WireError {
    WireError::new(ErrorCode::Storage, format!("cannot {doing}"))
        .because(error)
        .hint("check free space and permissions of the home; `authsome doctor` shows it")
}

/// Text of others in a message: without what a terminal would act on.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
