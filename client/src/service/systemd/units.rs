//! What units say, written and read back.
//!
//! The units in this crate are those of a package; a user's differ in the daemon's path, the name and
//! the home.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::error::Failure;

/// The packaged units.
pub(super) const SOCKET: &str = include_str!("../authsome.socket");
pub(super) const SERVICE: &str = include_str!("../authsome.service");

/// What the packaged service starts.
const PACKAGED_EXEC: &str = "ExecStart=/usr/bin/authsomed\n";

/// The port in a drop-in of ours.
pub(super) fn port_in(text: &str) -> Option<u16> {
    text.lines()
        .find_map(|line| line.strip_prefix("ListenStream=127.0.0.1:"))?
        .parse()
        .ok()
}

/// What a service starts, undone from its quotes.
pub(super) fn executable_in(text: &str) -> Option<PathBuf> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="))?;
    let path = match value.strip_prefix('"') {
        Some(rest) => {
            let mut path = String::new();
            let mut letters = rest.chars();
            loop {
                match letters.next()? {
                    '"' => break path,
                    '\\' => path.push(letters.next()?),
                    letter => path.push(letter),
                }
            }
        }
        None => value.split_ascii_whitespace().next()?.to_owned(),
    };
    Some(PathBuf::from(path.replace("%%", "%")))
}

pub(super) fn socket_text(name: &str) -> String {
    SOCKET
        .replace("%t/authsome/", &format!("%t/{name}/"))
        .replace("authsome.socket", &format!("{name}.socket"))
}

pub(super) fn service_text(
    name: &str,
    daemon: &Path,
    home: Option<&Path>,
) -> Result<String, Failure> {
    let mut start = format!("ExecStart={}\n", quoted(daemon.as_os_str(), Where::Exec)?);
    if let Some(home) = home {
        let mut pair = std::ffi::OsString::from("AUTHSOME_HOME=");
        pair.push(home);
        start = format!("Environment={}\n{start}", quoted(&pair, Where::Variable)?);
    }
    Ok(SERVICE
        .replace("authsome.socket", &format!("{name}.socket"))
        .replace(PACKAGED_EXEC, &start))
}

pub(super) fn drop_in_text(port: u16) -> String {
    format!(
        "# the proxy's port: chosen once, so that living runs find it again\n\
         [Socket]\n\
         ListenStream=127.0.0.1:{port}\n"
    )
}

/// Where a word stands: systemd takes no program whose path has quotes or backslashes, escaped or not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    Exec,
    Variable,
}

/// A word as systemd reads it back: in quotes, with `%` doubled.
fn quoted(word: &OsStr, place: Where) -> Result<String, Failure> {
    let text = word
        .to_str()
        .filter(|text| !text.contains(char::is_control))
        .filter(|text| place == Where::Variable || !text.contains(['"', '\'', '\\']))
        .ok_or_else(|| {
            Failure::failed(format!(
                "a unit cannot name `{}`",
                crate::ui::printable(&word.to_string_lossy())
            ))
            .hint("use a path in UTF-8 without quotes, backslashes and control characters")
        })?;
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            '%' => out.push_str("%%"),
            letter => out.push(letter),
        }
    }
    out.push('"');
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_units_of_another_home_bear_its_name_and_its_home() {
        let socket = socket_text("authsome-0a");
        assert!(socket.contains("\nListenStream=%t/authsome-0a/control.sock\n"));
        assert_eq!(socket_text("authsome"), SOCKET);
        let service = service_text(
            "authsome-0a",
            Path::new("/b/authsomed"),
            Some(Path::new("/a b%c")),
        )
        .unwrap();
        for line in [
            "Environment=\"AUTHSOME_HOME=/a b%%c\"",
            "ExecStart=\"/b/authsomed\"",
            "Requires=authsome-0a.socket",
            "After=authsome-0a.socket dbus.socket",
            "Also=authsome-0a.socket",
        ] {
            assert!(service.lines().any(|it| it == line), "{line}\n{service}");
        }
        assert!(!service.contains("authsome.socket"), "{service}");
    }

    #[test]
    fn a_path_in_a_unit_is_read_back_as_it_was() {
        for path in ["/usr/bin/authsomed", "/a b/%h/$HOME/d", "/é/authsomed"] {
            let text = service_text("authsome", Path::new(path), None).unwrap();
            assert_eq!(executable_in(&text), Some(path.into()), "{text}");
        }
        assert_eq!(executable_in(SERVICE), Some("/usr/bin/authsomed".into()));
        // systemd would refuse the unit
        for path in ["/a\nExecStart=/b", "/it's/d", "/a\"b/d", "/a\\b/d"] {
            let failure = service_text("authsome", Path::new(path), None).unwrap_err();
            assert!(
                failure.message.contains("a unit cannot name"),
                "{failure:?}"
            );
        }
        let home = Path::new("/it's \"a\\b\"");
        let text = service_text("authsome", Path::new("/b"), Some(home)).unwrap();
        let line = "Environment=\"AUTHSOME_HOME=/it's \\\"a\\\\b\\\"\"\n";
        assert!(text.contains(line), "{text}");
    }
}
