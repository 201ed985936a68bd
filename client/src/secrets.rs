//! Reading secrets: from standard input, from a variable, from a file; always into memory that is
//! wiped.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use authsome_proto::Secret;
use authsome_proto::secret::SECRET_MAX;
use nix::fcntl::OFlag;
use zeroize::Zeroizing;

use crate::error::Failure;

/// Keeps other processes of this user from reading our memory and the system from writing it to a
/// core file, from here on. Best effort: where it is refused, the secret is as safe as before.
pub(crate) fn conceal() {
    #[cfg(target_os = "linux")]
    let _best_effort = nix::sys::prctl::set_dumpable(false);
}

/// Reads a secret to the end of `from`. One line end at the end is not part of it, everything
/// else is, also blanks.
pub(crate) fn read(from: &mut impl Read, what: &str) -> Result<Secret, Failure> {
    conceal();
    // room for one more byte and a line end, so that the buffer never moves and leaves a copy
    let mut bytes = Zeroizing::new(vec![0; SECRET_MAX + 3]);
    let mut len = 0;
    loop {
        let rest = bytes.get_mut(len..).unwrap_or_default();
        if rest.is_empty() {
            break;
        }
        match from.read(rest) {
            Ok(0) => break,
            Ok(n) => len += n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(Failure::failed(format!("cannot read {what}")).because(&error));
            }
        }
    }
    let read = bytes.get(..len).unwrap_or_default();
    let line = read
        .strip_suffix(b"\n")
        .map_or(read, |line| line.strip_suffix(b"\r").unwrap_or(line));
    checked(line, what)
}

/// Takes a secret from a variable of our environment, exactly as it is.
pub(crate) fn from_variable(name: &str) -> Result<Secret, Failure> {
    use std::os::unix::ffi::OsStringExt as _;
    conceal();
    let value = std::env::var_os(name).ok_or_else(|| {
        Failure::failed(format!("`{name}` is not set")).hint(format!(
            "`export {name}` makes a shell variable visible to this command"
        ))
    })?;
    let bytes = Zeroizing::new(value.into_vec());
    checked(&bytes, &format!("the value of `{name}`"))
}

/// Reads a secret from a file, as [`read`] does.
pub(crate) fn from_file(path: &Path) -> Result<Secret, Failure> {
    let what = format!("`{}`", path.display());
    let cannot = || Failure::failed(format!("cannot read {what}"));
    // not blocking: a pipe that nobody writes to would hold us for ever
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)
        .map_err(|error| cannot().because(&error))?;
    let meta = file.metadata().map_err(|error| cannot().because(&error))?;
    if !meta.is_file() {
        return Err(cannot()
            .cause("it is not a file")
            .hint("`--stdin` reads from a pipe"));
    }
    read(&mut file, &what)
}

fn checked(bytes: &[u8], what: &str) -> Result<Secret, Failure> {
    if bytes.is_empty() {
        return Err(Failure::failed(format!("{what} is empty")));
    }
    if bytes.len() > SECRET_MAX {
        return Err(Failure::failed(format!(
            "{what} is longer than {SECRET_MAX} bytes"
        )));
    }
    // the error of a failed conversion would hold the bytes; it is not kept
    str::from_utf8(bytes)
        .map(|text| Secret::new(text.to_owned()))
        .map_err(|_| Failure::failed(format!("{what} is not UTF-8 text")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &[u8]) -> Result<String, Failure> {
        read(&mut &*text, "the key").map(|secret| secret.expose().to_owned())
    }

    #[test]
    fn one_line_end_is_stripped_and_nothing_else() {
        for (text, expected) in [
            (&b"key"[..], "key"),
            (b"key\n", "key"),
            (b"key\r\n", "key"),
            (b"key\n\n", "key\n"),
            (b" key \n", " key "),
        ] {
            assert_eq!(read_text(text).unwrap(), expected);
        }
    }

    #[test]
    fn empty_and_endless_input_is_refused_without_an_echo() {
        assert_eq!(read_text(b"\n").unwrap_err().message, "the key is empty");
        let failure = read_text(&vec![b'x'; SECRET_MAX + 1]).unwrap_err();
        assert_eq!(failure.message, "the key is longer than 65536 bytes");
        let failure = read_text(b"canary\xff").unwrap_err();
        assert!(!format!("{failure:?}").contains("canary"));
        assert_eq!(
            read_text(&vec![b'x'; SECRET_MAX]).unwrap().len(),
            SECRET_MAX
        );
    }
    #[test]
    fn a_file_is_read_once_and_nothing_else_than_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        #[expect(clippy::disallowed_methods, reason = "a test's own file")]
        std::fs::write(path("key.json"), "{}\n").unwrap();
        assert_eq!(from_file(&path("key.json")).unwrap().expose(), "{}");
        std::os::unix::fs::symlink(path("key.json"), path("link")).unwrap();
        assert_eq!(from_file(&path("link")).unwrap().expose(), "{}");
        std::os::unix::fs::symlink(path("loop"), path("loop")).unwrap();
        nix::unistd::mkfifo(&path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for (name, why) in [
            ("missing", "No such file"),
            ("loop", "symbolic links"),
            ("pipe", "not a file"),
            ("", "not a file"),
        ] {
            let failure = from_file(&path(name)).unwrap_err();
            assert!(failure.causes.concat().contains(why), "{failure:?}");
        }
    }
}
