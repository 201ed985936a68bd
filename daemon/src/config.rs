//! `config.toml`: file → checked [`Config`].
//!
//! Every key is in the README. Unknown keys and bad values are errors that name the file, the
//! line, the key and what was probably meant; nothing is guessed and nothing has a silent
//! fallback. A missing file is the same as an empty one.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use authsome_proto::request::Unmatched;
use serde::Deserialize;

use crate::policy::{self, RawTables, Tables};
use crate::proxy::UpstreamProxy;
use crate::routing::Authority;
use crate::toml_file::{self, Known, TomlError};
use crate::vault::{PassphraseWish, StoreChoice};

/// Shortest `idle_exit`. Shorter, and the daemon would go between two commands of a script.
const IDLE_EXIT_MIN: Duration = Duration::from_secs(1);

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// `[vault] store`.
    pub store: StoreChoice,
    /// `[vault] passphrase`: protect the file store's identity with a passphrase.
    pub passphrase: PassphraseWish,
    /// `[proxy] unmatched`.
    pub unmatched: Unmatched,
    /// `[proxy] upstream_proxy`: every outgoing connection goes through it.
    pub upstream_proxy: Option<UpstreamProxy>,
    /// `[proxy] placeholder_in_body`: what happens to a body with a placeholder in it.
    pub placeholder_in_body: PlaceholderInBody,
    /// `[upstream] extra_ca`: PEM files added to the system's roots.
    pub extra_ca: Vec<PathBuf>,
    /// `[upstream.resolve]`: where a host and port are dialled instead.
    pub resolve: HashMap<String, SocketAddr>,
    /// `[login] port`.
    pub login_port: u16,
    /// `[daemon] idle_exit`: the daemon ends when nobody needed it for so long.
    pub idle_exit: Option<Duration>,
    /// `[connections]`: rules and rate limits.
    pub connections: Tables,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            store: StoreChoice::Auto,
            passphrase: PassphraseWish::None,
            unmatched: Unmatched::Tunnel,
            upstream_proxy: None,
            placeholder_in_body: PlaceholderInBody::Refuse,
            extra_ca: Vec::new(),
            resolve: HashMap::new(),
            login_port: 7998,
            idle_exit: None,
            connections: Tables::default(),
        }
    }
}

/// What happens to a request with a placeholder in its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlaceholderInBody {
    /// It goes on: bodies are not looked through.
    Pass,
    /// It is broken off.
    #[default]
    Refuse,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadConfigError {
    /// The file exists and cannot be read.
    #[error("cannot read `{}`", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The text is not a configuration.
    #[error("`{}`, line {line}: {message}", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
}

impl LoadConfigError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } => Some("make the file readable for you, or remove it".into()),
            Self::Content { hint, .. } => hint.clone(),
        }
    }
}

impl Config {
    /// Reads `path`; a missing file gives the defaults.
    pub fn load(path: &Path) -> Result<Self, LoadConfigError> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(LoadConfigError::Read {
                path: path.into(),
                source,
            }),
        }
    }

    /// Checks `text`, which was read from `path`.
    pub fn parse(text: &str, path: &Path) -> Result<Self, LoadConfigError> {
        let file: File = toml_file::read(text, KNOWN).map_err(|error| wrong(error, path))?;
        let bad = |key: &str, message: String| LoadConfigError::Content {
            path: path.into(),
            line: line_of(text, key),
            message,
            hint: None,
        };
        let upstream_proxy = match file.proxy.upstream_proxy.as_str() {
            "" => None,
            // the value may hold a password: it is never repeated in an error
            value => Some(
                UpstreamProxy::parse(value).map_err(|e| bad("upstream_proxy", e.to_string()))?,
            ),
        };
        let mut resolve = HashMap::new();
        for (name, address) in &file.upstream.resolve {
            let authority = Authority::parse(name, None)
                .map_err(|error| bad(name, format!("`{name}` is not a host and port: {error}")))?;
            let address = address.parse().map_err(|_| {
                bad(
                    name,
                    format!("`{address}` is not an address and port like `127.0.0.1:8443`"),
                )
            })?;
            resolve.insert(authority.to_string(), address);
        }
        let idle_exit = match file.daemon.idle_exit.as_deref() {
            None => None,
            Some(text) => Some(
                policy::rate::parse_duration(text)
                    .ok()
                    .filter(|limit| *limit >= IDLE_EXIT_MIN)
                    .ok_or_else(|| bad("idle_exit", format!("`{text}` is not a time like `30min` or `2h`, of one second at least")))?,
            ),
        };
        for ca in &file.upstream.extra_ca {
            if !ca.is_absolute() {
                let why = format!("`{}` must be an absolute path", ca.display());
                return Err(bad("extra_ca", why));
            }
        }
        let connections = Tables::check(file.connections, text, &path.display().to_string())
            .map_err(|error| wrong(error, path))?;
        Ok(Self {
            store: match file.vault.store {
                Store::Auto => StoreChoice::Auto,
                Store::File => StoreChoice::File,
                Store::Keyring => StoreChoice::Keyring,
            },
            passphrase: if file.vault.passphrase {
                PassphraseWish::Wanted
            } else {
                PassphraseWish::None
            },
            unmatched: file.proxy.unmatched,
            upstream_proxy,
            placeholder_in_body: file.proxy.placeholder_in_body,
            extra_ca: file.upstream.extra_ca,
            resolve,
            login_port: file.login.port.unwrap_or(7998),
            idle_exit,
            connections,
        })
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    vault: VaultTable,
    proxy: ProxyTable,
    upstream: UpstreamTable,
    login: LoginTable,
    daemon: DaemonTable,
    connections: RawTables,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct VaultTable {
    store: Store,
    passphrase: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Store {
    #[default]
    Auto,
    File,
    Keyring,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ProxyTable {
    unmatched: Unmatched,
    upstream_proxy: String,
    placeholder_in_body: PlaceholderInBody,
}

impl Default for ProxyTable {
    fn default() -> Self {
        Self {
            unmatched: Unmatched::Tunnel,
            upstream_proxy: String::new(),
            placeholder_in_body: PlaceholderInBody::default(),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct UpstreamTable {
    extra_ca: Vec<PathBuf>,
    resolve: HashMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LoginTable {
    port: Option<u16>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DaemonTable {
    idle_exit: Option<String>,
}

/// Every table with its keys, and every value that is a word, for suggestions.
const KNOWN: &Known = &[
    ("vault", &["store", "passphrase"]),
    (
        "proxy",
        &["unmatched", "upstream_proxy", "placeholder_in_body"],
    ),
    ("upstream", &["extra_ca", "resolve"]),
    ("login", &["port"]),
    ("daemon", &["idle_exit"]),
    ("connections", &[]),
    ("connections.PROVIDER", policy::file::KEYS),
    (
        "",
        &[
            "auto", "keyring", "file", "tunnel", "deny", "refuse", "pass",
        ],
    ),
];

fn wrong(error: TomlError, path: &Path) -> LoadConfigError {
    let TomlError {
        line,
        message,
        hint,
    } = error;
    LoadConfigError::Content {
        path: path.into(),
        line,
        message,
        hint,
    }
}

fn line_of(text: &str, key: &str) -> usize {
    text.lines()
        .position(|line| line.contains(key))
        .map_or(1, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, LoadConfigError> {
        Config::parse(text, Path::new("config.toml"))
    }

    #[test]
    fn an_empty_file_is_the_defaults_and_every_key_is_read() {
        assert_eq!(parse("").unwrap().login_port, Config::default().login_port);
        assert_eq!(parse("").unwrap().unmatched, Unmatched::Tunnel);
        let config = parse(
            r#"
            [vault]
            store = "file"
            passphrase = true
            [proxy]
            unmatched = "deny"
            upstream_proxy = "http://user:pw@corp:3128"
            placeholder_in_body = "pass"
            [upstream]
            extra_ca = ["/etc/company-ca.pem"]
            [upstream.resolve]
            "api.intercom.io:443" = "127.0.0.1:8443"
            [login]
            port = 7000
            [daemon]
            idle_exit = "30min"
            [connections.intercom]
            allow = ["GET /contacts"]
            rate = "100/min"
            "#,
        )
        .unwrap();
        assert_eq!(config.unmatched, Unmatched::Deny);
        assert_eq!(config.placeholder_in_body, PlaceholderInBody::Pass);
        assert_eq!(
            Config::default().placeholder_in_body,
            PlaceholderInBody::Refuse
        );
        assert_eq!(config.store, StoreChoice::File);
        assert_eq!(config.login_port, 7000);
        assert_eq!(config.idle_exit, Some(Duration::from_secs(1800)));
        for wrong in ["0s", "500ms", "soon", "", "5"] {
            let text = format!("[daemon]\nidle_exit = \"{wrong}\"\n");
            let error = parse(&text).unwrap_err().to_string();
            assert!(error.contains("line 2") && error.contains(wrong), "{error}");
        }
        let (intercom, default) = ("intercom".parse().unwrap(), "default".parse().unwrap());
        let table = config.connections.applying(&intercom, &default).next();
        assert_eq!(table.unwrap().rate.unwrap().count, 100);
        assert_eq!(&*table.unwrap().rules.source, "config.toml");
        assert_eq!(
            config.resolve["api.intercom.io:443"],
            "127.0.0.1:8443".parse().unwrap()
        );
    }

    #[test]
    fn an_unknown_key_names_file_line_table_and_what_was_meant() {
        let error = parse("[vault]\nstore = \"auto\"\n[proxy]\nunmached = \"deny\"\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`config.toml`, line 4: unknown key `unmached` in `[proxy]`"
        );
        assert_eq!(error.hint().as_deref(), Some("did you mean `unmatched`?"));
        let error = parse("[vault]\nstore = \"keyrin\"\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`config.toml`, line 2: unknown value `keyrin` in `[vault]`"
        );
        assert_eq!(error.hint().as_deref(), Some("did you mean `keyring`?"));
        let error = parse("[connections.intercom]\n\nallow = [\"GET contacts\"]\n").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("`config.toml`, line 3: `allow` in `[connections.intercom]`"),
            "{error}"
        );
        let error = parse("port = 1\n").unwrap_err();
        assert_eq!(error.hint().as_deref(), Some("it belongs to `[login]`"));
    }

    #[test]
    fn bad_values_name_their_line_and_never_a_password() {
        for (text, line) in [
            ("[login]\nport = 70000", 2),
            ("[upstream.resolve]\n\"a.example\" = \"127.0.0.1:1\"", 2),
            ("[upstream.resolve]\n\"a.example:443\" = \"nowhere\"", 2),
            ("[upstream]\nextra_ca = [\"ca.pem\"]", 2),
            ("[proxy]\n\nupstream_proxy = \"ftp://u:hunter2@x\"", 3),
            ("[proxy\n", 1),
        ] {
            let text_of = parse(text).unwrap_err().to_string();
            assert!(text_of.contains(&format!("line {line}:")), "{text_of}");
            assert!(!text_of.contains("hunter2"));
        }
    }
}
