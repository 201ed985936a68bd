//! Arguments of `login`: whom to log in to, in which way, and where what is asked for comes from.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

use authsome_proto::request::OAuthFlow;
use authsome_proto::{ConnectionName, LoginId, ProviderName};
use clap::{Args, ValueEnum};

/// Arguments of `login`.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch on the command line"
)]
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  authsome login intercom                              form in the browser, or hidden prompt
  authsome login intercom --connection team            a second key beside the first
  authsome login intercom --force                      replace the key
  authsome login intercom --region eu                  keep it from the other regions' hosts
  authsome login intercom --stdin < key.txt            read the key from a pipe or file
  authsome login intercom --from-env INTERCOM_TOKEN    take it from a variable
  authsome login intercom --no-wait                    print the link and return
  authsome login github --scopes repo,read:user        OAuth, with these permissions
  authsome login github --flow device                  OAuth, with a code for another device
  authsome login github --no-browser                   OAuth, with the browser elsewhere
  authsome login google --flow jwt-bearer --key-file service-account.json
  authsome login https://mcp.example.com/mcp           a server by its address")]
pub(crate) struct Login {
    /// Provider to log in to, as in `authsome list --all`, or the https address of a server
    #[arg(required_unless_present = "resume")]
    pub(crate) provider: Option<Whom>,
    /// Name of the connection to make or replace
    #[arg(long, value_name = "NAME")]
    pub(crate) connection: Option<ConnectionName>,
    /// Replace an existing credential
    #[arg(long)]
    pub(crate) force: bool,
    /// Ask on the terminal, and open no browser
    #[arg(long)]
    pub(crate) no_browser: bool,
    /// Read the key, or what is asked for instead, from standard input
    #[arg(long, conflicts_with = "from_env")]
    pub(crate) stdin: bool,
    /// Take it from a variable of the environment
    #[arg(long, value_name = "VAR", conflicts_with = "resume")]
    pub(crate) from_env: Option<String>,
    /// Print session and link, and return at once
    #[arg(long, conflicts_with = "resume")]
    pub(crate) no_wait: bool,
    /// Wait for a login begun with `--no-wait`; with `--stdin` read the address that its browser
    /// ended at
    #[arg(
        long,
        value_name = "SESSION",
        conflicts_with_all = [
            "provider", "connection", "force", "region", "flow", "scopes", "base_url", "client_id",
            "key_file"
        ]
    )]
    pub(crate) resume: Option<LoginId>,
    /// Send the key to this region's hosts only, where the provider has regions
    #[arg(long)]
    pub(crate) region: Option<String>,
    /// Choose how to log in
    #[arg(long, help_heading = "OAuth")]
    pub(crate) flow: Option<FlowChoice>,
    /// Ask for these permissions instead of the usual ones; may be repeated
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "SCOPES",
        help_heading = "OAuth"
    )]
    scopes: Vec<String>,
    /// Use your own server of the provider
    #[arg(long, value_name = "URL", help_heading = "OAuth")]
    pub(crate) base_url: Option<String>,
    /// Be this OAuth client; its secret is asked for, or read with `--stdin`
    #[arg(long, value_name = "ID", help_heading = "OAuth")]
    pub(crate) client_id: Option<String>,
    /// Read the JSON key of a service account from a file
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["stdin", "from_env"],
        help_heading = "OAuth"
    )]
    pub(crate) key_file: Option<PathBuf>,
    /// Not taken, only recognised: its value is dropped unread
    #[arg(
        long,
        hide = true,
        num_args = 0..=1,
        default_missing_value = "",
        value_parser = forget
    )]
    pub(crate) client_secret: Option<()>,
}

impl Login {
    /// The scopes, also where they were written with blanks between them, as providers do.
    pub(crate) fn scopes(&self) -> Vec<String> {
        self.scopes
            .iter()
            .flat_map(|scopes| scopes.split_whitespace())
            .map(str::to_owned)
            .collect()
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of a parser")]
fn forget(_value: &str) -> Result<(), Infallible> {
    Ok(())
}

/// Whom to log in to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whom {
    /// One of the definitions.
    Provider(ProviderName),
    /// A server by its address.
    Server(String),
}

impl FromStr for Whom {
    type Err = String;

    /// The daemon judges the address; here only what must not be sent to it, and what would be taken
    /// for a misspelt provider.
    fn from_str(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return match text.parse() {
                Ok(provider) => Ok(Self::Provider(provider)),
                Err(_) if text.contains('/') => {
                    Err("a server's address is written with its `https://`".into())
                }
                Err(error) => Err(error.to_string()),
            };
        };
        if scheme.eq_ignore_ascii_case("http") {
            return Err(
                "over http:// everybody on the way could read the token; only https:// is taken"
                    .into(),
            );
        }
        if !scheme.eq_ignore_ascii_case("https") {
            return Err(format!("`{scheme}://` is not https://"));
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err("an address with a user or a password in it is not taken".into());
        }
        if authority.is_empty() || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("it is not the address of a server".into());
        }
        Ok(Self::Server(text.to_owned()))
    }
}

/// Ways to log in. The spellings of the wire and of definitions are taken, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FlowChoice {
    /// With a key; what happens anyway where there is nothing else
    #[value(alias = "api_key", hide = true)]
    ApiKey,
    /// In the browser
    Pkce,
    /// In the browser, as a client that registers itself
    #[value(aliases = ["dcr_pkce", "dcr-pkce"])]
    Dcr,
    /// With a code that is typed on any device
    #[value(aliases = ["device_code", "device-code"])]
    Device,
    /// As a program, without a person
    #[value(alias = "client_credentials")]
    ClientCredentials,
    /// As a service account
    #[value(alias = "jwt_bearer")]
    JwtBearer,
}

impl FlowChoice {
    /// The OAuth flow, if it is one.
    pub(crate) fn oauth(self) -> Option<OAuthFlow> {
        match self {
            Self::ApiKey => None,
            Self::ClientCredentials => Some(OAuthFlow::ClientCredentials),
            Self::Dcr => Some(OAuthFlow::DcrPkce),
            Self::Device => Some(OAuthFlow::DeviceCode),
            Self::JwtBearer => Some(OAuthFlow::JwtBearer),
            Self::Pkce => Some(OAuthFlow::Pkce),
        }
    }
}

/// A flow in the word that `--flow` takes.
pub(crate) fn flow_word(flow: OAuthFlow) -> &'static str {
    match flow {
        OAuthFlow::ClientCredentials => "client-credentials",
        OAuthFlow::DcrPkce => "dcr",
        OAuthFlow::DeviceCode => "device",
        OAuthFlow::JwtBearer => "jwt-bearer",
        OAuthFlow::Pkce => "pkce",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_to_log_in_to_is_a_provider_or_an_https_address() {
        assert_eq!(
            "github".parse(),
            Ok(Whom::Provider("github".parse().unwrap()))
        );
        for address in [
            "https://mcp.example.com/mcp",
            "HTTPS://mcp.example.com:8443",
        ] {
            assert_eq!(address.parse(), Ok(Whom::Server(address.into())));
        }
        for (bad, why) in [
            ("http://mcp.example.com/mcp", "only https:// is taken"),
            ("HTTP://mcp.example.com/mcp", "only https:// is taken"),
            ("ftp://mcp.example.com", "`ftp://` is not https://"),
            ("mcp.example.com/mcp", "with its `https://`"),
            ("https://", "not the address"),
            ("https:///mcp", "not the address"),
            ("https://mcp.example.com/a b", "not the address"),
            ("https://mcp.example.com/\u{1b}[2J", "not the address"),
            (
                "https://user:password@mcp.example.com/",
                "a user or a password",
            ),
            (
                "https://mcp.example.com@evil.example",
                "a user or a password",
            ),
            ("git hub", ""),
        ] {
            let error = Whom::from_str(bad).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
            assert!(!error.contains("password@"), "{error}");
        }
        assert!("https://mcp.example.com/@me".parse::<Whom>().is_ok());
    }

    #[test]
    fn every_flow_has_its_word_and_its_spelling_on_the_wire() {
        for choice in FlowChoice::value_variants() {
            let Some(flow) = choice.oauth() else { continue };
            for word in [flow_word(flow), flow.as_str()] {
                assert_eq!(
                    FlowChoice::from_str(word, false).as_ref(),
                    Ok(choice),
                    "{word}"
                );
            }
        }
    }
}
