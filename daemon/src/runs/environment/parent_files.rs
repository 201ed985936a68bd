//! Trust files that the parent's own variables name.
//!
//! A variable such as `SSL_CERT_FILE` takes the place of a client's roots, so a company's CA often
//! stands only there. What these files hold is carried into the run. A file that cannot be read is
//! a warning: without the run it would have broken only the client that reads that variable.
//!
//! The names come from whoever starts the run, the reader is the daemon: only regular files of a
//! sane size are read, and opening never waits (a FIFO would).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Largest file that is read. The system's whole bundle has 0.2 MiB; a person's file beyond this is
/// not one of certificates.
const FILE_MAX: u64 = 4 << 20;

/// How many files of a directory of certificates are read (`REQUESTS_CA_BUNDLE` may name one).
/// Directories that `c_rehash` made have two names for each of some 150 certificates.
const DIRECTORY_MAX: usize = 1000;

/// The content of a file, or of all certificate files of a directory.
pub(super) fn read_certificates(path: &Path) -> io::Result<Vec<u8>> {
    if !path.is_dir() {
        return read(path);
    }
    let mut files: Vec<PathBuf> = fs::read_dir(path)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|file| holds_certificates(file))
        .take(DIRECTORY_MAX)
        .collect();
    files.sort();
    let mut text = Vec::new();
    for file in files {
        // one unreadable file does not take the others away; the client that would read the
        // directory skips it as well
        if let Ok(content) = read(&file) {
            text.extend_from_slice(&content);
            text.push(b'\n');
        }
    }
    Ok(text)
}

/// The content of a regular file.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file: File = OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ));
    }
    if metadata.len() > FILE_MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "too large for a trust file",
        ));
    }
    let mut content = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    file.take(FILE_MAX).read_to_end(&mut content)?;
    Ok(content)
}

/// `*.pem`, `*.crt`, `*.cer`, and the hash names of `c_rehash`, such as `5ad8a5d6.0`.
fn holds_certificates(file: &Path) -> bool {
    file.extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| {
            matches!(extension, "pem" | "crt" | "cer")
                || extension.bytes().all(|b| b.is_ascii_digit())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifo_a_device_and_a_huge_file_are_refused_without_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let huge = folder.path().join("huge.pem");
        File::create(&huge).unwrap().set_len(FILE_MAX + 1).unwrap();
        for path in [
            &fifo,
            &huge,
            Path::new("/dev/zero"),
            &folder.path().join("absent"),
        ] {
            assert!(read_certificates(path).is_err(), "{}", path.display());
        }
    }

    #[test]
    fn a_directory_gives_its_certificate_files() {
        use std::io::Write as _;
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.pem", "b.crt", "0123abcd.0", "README"] {
            File::create(folder.path().join(name))
                .unwrap()
                .write_all(name.as_bytes())
                .unwrap();
        }
        assert_eq!(
            read_certificates(folder.path()).unwrap(),
            b"0123abcd.0\na.pem\nb.crt\n"
        );
    }
}
