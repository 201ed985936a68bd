//! Argument types, and nothing that acts on them.
//!
//! Commands are flat. The newer spellings of the Python product (`provider list`, `connections
//! inspect`, `proxy run`, `auth login`, ...) are hidden groups that turn into the flat command, so
//! that scripts written for it keep working.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use authsome_proto::request::Unmatched;
use authsome_proto::{ConnectionName, LoginId, ProviderName, RunId, VariableName, WebhookName};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Parses arguments, the program's name first.
pub(crate) fn parse(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    // the Python product prints its version for a lone `-v`
    if matches!(arguments, [_, flag] if flag == "-v") {
        return Ok(Cli {
            output: Output::default(),
            verb: Verb::Version,
        });
    }
    Cli::try_parse_from(arguments).map(|mut cli| {
        cli.verb = cli.verb.flat();
        cli
    })
}

/// Whether the arguments ask for `run`, as far as that can be told before they are parsed: its
/// exit codes differ even when they do not parse.
pub(crate) fn is_run(arguments: &[OsString]) -> bool {
    let mut words = arguments
        .iter()
        .skip(1)
        .filter(|word| !word.as_encoded_bytes().starts_with(b"-"));
    match words.next().map(OsString::as_os_str) {
        Some(word) if word == "run" => true,
        Some(word) if word == "proxy" => {
            words.next().map(OsString::as_os_str) == Some(OsStr::new("run"))
        }
        _ => false,
    }
}

/// Let programs call APIs without holding the key
#[derive(Debug, Parser)]
#[command(
    name = "authsome",
    version,
    max_term_width = 100,
    arg_required_else_help = true
)]
#[command(after_help = "Examples:
  authsome login intercom              log in with an API key
  authsome run -- python my_agent.py   run a program; it never sees the key
  authsome list --all                  show every provider")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// How results are shown.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch on the command line"
)]
#[derive(Debug, Clone, Copy, Default, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Output {
    /// Print JSON for programs
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print no notes and no warnings
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Print without color
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// Say what is being done
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Log in to a provider
    Login(Login),
    /// Run a command; its requests get the credentials, it does not
    Run(Run),
    /// List connections, or all providers
    List(List),
    /// Show the daemon, the vault and the runs
    Status,
    /// Show a connection; its secret stays hidden
    Get(Get),
    /// Print a provider's definition, ready to be saved as an override
    Inspect(OfProvider),
    /// Print real values for programs that cannot run behind the proxy
    Export(Export),
    /// Delete a credential here
    Logout(Logout),
    /// Delete a credential here, and revoke it where the provider offers that
    Revoke(Logout),
    /// Forget everything about a provider: connections, override, state
    Remove(Remove),
    /// Add a provider's definition from a file
    Register(Register),
    /// List connections, choose defaults
    #[command(alias = "connection")]
    Connections(Connections),
    /// Find keys in `.env` files and the environment
    Scan(Scan),
    /// Show what would become of a request, and why
    Explain(Explain),
    /// Show the audit log
    #[command(alias = "audit")]
    Log(Log),
    /// Let only signed webhooks reach a local program
    #[command(alias = "webhooks")]
    Webhook(Webhook),
    /// List living runs, stop one
    Runs(Runs),
    /// Show who asks, and in which run
    Whoami,
    /// Check everything, and say what to do
    Doctor,
    /// Start, stop or look at the daemon
    Daemon(Daemon),
    /// Open the file store with its passphrase
    Unlock(Unlock),
    /// Print shell completions
    Completions(Completions),
    /// Print versions
    Version,
    #[command(hide = true)]
    Init,
    #[command(hide = true, alias = "providers")]
    Provider(ProviderGroup),
    #[command(hide = true)]
    Auth(AuthGroup),
    #[command(hide = true)]
    Proxy(ProxyGroup),
}

impl Verb {
    /// The flat command that a hidden group stands for.
    fn flat(self) -> Self {
        match self {
            Self::Provider(group) => match group.verb {
                ProviderVerb::Inspect(of) => Self::Inspect(of),
                ProviderVerb::List => Self::List(List { all: true }),
                ProviderVerb::Register(register) => Self::Register(register),
                ProviderVerb::Remove(remove) => Self::Remove(remove),
                ProviderVerb::Revoke(of) => Self::Revoke(Logout {
                    provider: of.provider,
                    connection: None,
                    all: true,
                }),
            },
            Self::Auth(group) => match group.verb {
                AuthVerb::Export(export) => Self::Export(export),
                AuthVerb::List(list) => Self::List(list),
                AuthVerb::Login(login) => Self::Login(login),
                AuthVerb::Logout(logout) => Self::Logout(logout),
                AuthVerb::Revoke(logout) => Self::Revoke(logout),
                AuthVerb::Status => Self::Status,
            },
            Self::Proxy(group) => {
                let ProxyVerb::Run(run) = group.verb;
                Self::Run(run)
            }
            Self::Connections(Connections {
                verb: Some(ConnectionsVerb::Inspect(get)),
            }) => Self::Get(get),
            Self::Init => Self::Whoami,
            other => other,
        }
    }
}

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
  authsome login intercom --no-wait                    print the link and return")]
pub(crate) struct Login {
    /// Provider to log in to, as in `authsome list --all`
    #[arg(required_unless_present = "resume")]
    pub(crate) provider: Option<ProviderName>,
    /// Name of the connection to make or replace
    #[arg(long, value_name = "NAME")]
    pub(crate) connection: Option<ConnectionName>,
    /// Replace an existing credential
    #[arg(long)]
    pub(crate) force: bool,
    /// Ask on the terminal instead of in a browser
    #[arg(long, conflicts_with_all = ["stdin", "from_env", "no_wait", "resume"])]
    pub(crate) no_browser: bool,
    /// Read the key from standard input
    #[arg(long, conflicts_with_all = ["from_env", "no_wait", "resume"])]
    pub(crate) stdin: bool,
    /// Take the key from a variable of the environment
    #[arg(long, value_name = "VAR", conflicts_with_all = ["no_wait", "resume"])]
    pub(crate) from_env: Option<String>,
    /// Print session and link, and return at once
    #[arg(long, conflicts_with = "resume")]
    pub(crate) no_wait: bool,
    /// Wait for a login begun with `--no-wait`
    #[arg(long, value_name = "SESSION")]
    pub(crate) resume: Option<LoginId>,
    /// Send the key to this region's hosts only, where the provider has regions
    #[arg(long)]
    pub(crate) region: Option<String>,
    /// Choose how to authenticate (OAuth providers)
    #[arg(long)]
    pub(crate) flow: Option<String>,
    /// Ask for these permissions (OAuth providers)
    #[arg(long, value_delimiter = ',')]
    pub(crate) scopes: Vec<String>,
    /// Use another server of the provider (OAuth providers)
    #[arg(long, value_name = "URL")]
    pub(crate) base_url: Option<String>,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  authsome run -- python my_agent.py
  authsome run --connection intercom=team -- ./sync.sh
  authsome run --only intercom,github -- npm start
  authsome run --env TEAM_KEY=intercom/team -- python sync_two_workspaces.py
  authsome run --unmatched deny -- curl https://api.intercom.io/me
  authsome run --for 2h -- python my_agent.py
  authsome run --keep 8h -- tmux

Exit codes: the command's own; 127 not found, 126 not executable, 125 failed before it started")]
pub(crate) struct Run {
    /// Use this connection instead of the provider's default; may be repeated
    #[arg(long = "connection", value_name = "PROVIDER=NAME", value_parser = parse_choice)]
    pub(crate) connections: Vec<(ProviderName, ConnectionName)>,
    /// Grant only these providers
    #[arg(long, value_name = "PROVIDERS", value_delimiter = ',')]
    pub(crate) only: Vec<ProviderName>,
    /// Grant this connection too, to requests that carry what VAR holds; may be repeated
    #[arg(long = "env", value_name = "VAR=PROVIDER[/NAME]", value_parser = parse_variable)]
    pub(crate) variables: Vec<(VariableName, ProviderName, Option<ConnectionName>)>,
    /// Choose what happens to other hosts
    #[arg(long, value_name = "HOW")]
    pub(crate) unmatched: Option<UnmatchedChoice>,
    /// End the run after this time at the latest, as in `90s`, `30m`, `1h30m` or `2d`
    #[arg(long = "for", value_name = "TIME", value_parser = crate::times::parse_duration)]
    pub(crate) at_most: Option<Duration>,
    /// Go on until the last process of the command is gone, and after this time at the latest: for
    /// commands that return at once, such as `code .`
    #[arg(
        long,
        value_name = "TIME",
        conflicts_with = "at_most",
        value_parser = crate::times::parse_duration
    )]
    pub(crate) keep: Option<Duration>,
    /// Command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
#[command(
    override_usage = "authsome explain [OPTIONS] [METHOD] <URL>",
    after_help = "Examples:
  authsome explain https://api.intercom.io/contacts
  authsome explain POST https://api.intercom.io/fin/start
  authsome explain --run ID DELETE https://api.intercom.io/contacts/1"
)]
pub(crate) struct Explain {
    /// Method (GET if left out) and URL
    #[arg(required = true, num_args = 1..=2, value_name = "METHOD URL")]
    words: Vec<String>,
    /// As in `run`: use this connection instead of the provider's default
    #[arg(long = "connection", value_name = "PROVIDER=NAME", value_parser = parse_choice, conflicts_with = "run")]
    pub(crate) connections: Vec<(ProviderName, ConnectionName)>,
    /// Ask about a living run instead of one that would be started here and now
    #[arg(long, value_name = "ID")]
    pub(crate) run: Option<RunId>,
}

impl Explain {
    /// The method and the URL.
    pub(crate) fn request(&self) -> (String, String) {
        match self.words.as_slice() {
            [url] => ("GET".to_owned(), url.clone()),
            [method, url, ..] => (method.to_ascii_uppercase(), url.clone()),
            [] => (String::new(), String::new()),
        }
    }
}

/// What happens to hosts without a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum UnmatchedChoice {
    /// Pass them on untouched
    Tunnel,
    /// Refuse them
    Deny,
}

impl From<UnmatchedChoice> for Unmatched {
    fn from(choice: UnmatchedChoice) -> Self {
        match choice {
            UnmatchedChoice::Deny => Self::Deny,
            UnmatchedChoice::Tunnel => Self::Tunnel,
        }
    }
}

fn parse_choice(text: &str) -> Result<(ProviderName, ConnectionName), String> {
    let (provider, connection) = text
        .split_once('=')
        .ok_or("write it as PROVIDER=NAME, for instance intercom=team")?;
    Ok((
        provider
            .parse::<ProviderName>()
            .map_err(|error| error.to_string())?,
        connection
            .parse::<ConnectionName>()
            .map_err(|error| error.to_string())?,
    ))
}

fn parse_variable(
    text: &str,
) -> Result<(VariableName, ProviderName, Option<ConnectionName>), String> {
    let (variable, chosen) = text
        .split_once('=')
        .ok_or("write it as VAR=PROVIDER or VAR=PROVIDER/NAME, for instance KEY=intercom/team")?;
    let (provider, connection) = match chosen.split_once('/') {
        Some((provider, connection)) => (provider, Some(connection)),
        None => (chosen, None),
    };
    Ok((
        variable
            .parse::<VariableName>()
            .map_err(|error| error.to_string())?,
        provider
            .parse::<ProviderName>()
            .map_err(|error| error.to_string())?,
        connection
            .map(str::parse::<ConnectionName>)
            .transpose()
            .map_err(|error| error.to_string())?,
    ))
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// List every provider, also without a connection
    #[arg(long, short)]
    pub(crate) all: bool,
}

/// Arguments of `get`.
#[derive(Debug, Args)]
pub(crate) struct Get {
    /// Provider of the connection
    pub(crate) provider: ProviderName,
    /// Name of the connection; the default if absent
    #[arg(long, value_name = "NAME")]
    pub(crate) connection: Option<ConnectionName>,
    /// Print only this field, for instance `status`
    #[arg(long, value_name = "FIELD")]
    pub(crate) field: Option<String>,
    /// Print the secret, after asking
    #[arg(long)]
    pub(crate) show_secret: bool,
    /// Do not ask
    #[arg(long, short, requires = "show_secret")]
    pub(crate) yes: bool,
}

/// A provider and nothing else.
#[derive(Debug, Args)]
pub(crate) struct OfProvider {
    /// Provider
    pub(crate) provider: ProviderName,
}

/// Arguments of `export`.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Provider; all if absent
    pub(crate) provider: Option<ProviderName>,
    /// Name of the connection; the default if absent
    #[arg(long, value_name = "NAME", requires = "provider")]
    pub(crate) connection: Option<ConnectionName>,
    /// Choose the form of the output
    #[arg(long, value_name = "FORMAT", default_value = "env")]
    pub(crate) format: ExportFormat,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// Forms of `export`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// Lines for a `.env` file
    Env,
    /// Commands for a POSIX shell
    Shell,
    /// One JSON object
    Json,
}

/// Arguments of `logout` and `revoke`.
#[derive(Debug, Args)]
pub(crate) struct Logout {
    /// Provider of the connection
    pub(crate) provider: ProviderName,
    /// Name of the connection; the default if absent
    #[arg(long, value_name = "NAME")]
    pub(crate) connection: Option<ConnectionName>,
    /// Take every connection of the provider
    #[arg(long, conflicts_with = "connection")]
    pub(crate) all: bool,
}

/// Arguments of `remove`.
#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// Provider to forget
    pub(crate) provider: ProviderName,
}

/// Arguments of `register`.
#[derive(Debug, Args)]
pub(crate) struct Register {
    /// File with the definition; `-` is standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Replace a custom definition of the same name
    #[arg(long)]
    pub(crate) force: bool,
    /// Accepted for older scripts; `register` does not ask
    #[arg(long, hide = true)]
    pub(crate) yes: bool,
}

/// Arguments of `connections`.
#[derive(Debug, Args)]
pub(crate) struct Connections {
    #[command(subcommand)]
    pub(crate) verb: Option<ConnectionsVerb>,
}

/// Commands of `connections`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConnectionsVerb {
    /// List connections
    List,
    /// Make a connection its provider's default
    SetDefault(SetDefault),
    #[command(hide = true, alias = "get")]
    Inspect(Get),
}

/// Arguments of `connections set-default`.
#[derive(Debug, Args)]
pub(crate) struct SetDefault {
    /// Provider of the connection
    pub(crate) provider: ProviderName,
    /// Name of the connection
    pub(crate) connection: ConnectionName,
}

/// Arguments of `scan`.
#[derive(Debug, Args)]
pub(crate) struct Scan {
    /// Files or folders to look at; this folder and its parents up to the repository if absent
    pub(crate) paths: Vec<PathBuf>,
    /// Log in with what was found, after asking
    #[arg(long)]
    pub(crate) import: bool,
    /// Look only for keys of this provider
    #[arg(long)]
    pub(crate) provider: Option<ProviderName>,
    /// Name of the connections to make
    #[arg(long, value_name = "NAME")]
    pub(crate) connection: Option<ConnectionName>,
    /// Do not ask
    #[arg(long, short, requires = "import")]
    pub(crate) yes: bool,
}

/// Arguments of `log`.
#[derive(Debug, Args)]
pub(crate) struct Log {
    /// Show this many records
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 50)]
    pub(crate) lines: u32,
    /// Go on with new records as they come
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Show only this provider
    #[arg(long)]
    pub(crate) provider: Option<ProviderName>,
    /// Show only this run
    #[arg(long)]
    pub(crate) run: Option<RunId>,
    /// Check that no record was changed or removed
    #[arg(long, conflicts_with_all = ["follow", "provider", "run"])]
    pub(crate) verify: bool,
}

/// Arguments of `runs`.
#[derive(Debug, Args)]
pub(crate) struct Runs {
    #[command(subcommand)]
    pub(crate) verb: Option<RunsVerb>,
}

/// Commands of `runs`.
#[derive(Debug, Subcommand)]
pub(crate) enum RunsVerb {
    /// List living runs
    List,
    /// End a run: its token is dead at once
    Stop(RunsStop),
}

/// Arguments of `runs stop`.
#[derive(Debug, Args)]
pub(crate) struct RunsStop {
    /// Run to stop, as in `authsome runs`
    pub(crate) run: RunId,
}

/// Arguments of `webhook`.
#[derive(Debug, Args)]
pub(crate) struct Webhook {
    #[command(subcommand)]
    pub(crate) verb: Option<WebhookVerb>,
}

/// Commands of `webhook`.
#[derive(Debug, Subcommand)]
pub(crate) enum WebhookVerb {
    /// Add an endpoint: a loopback port that passes on what is signed
    Add(WebhookAdd),
    /// List endpoints
    List,
    /// Replace an endpoint's secret
    Rotate(WebhookRotate),
    /// Remove an endpoint and its secrets
    Remove(OfWebhook),
    /// Check a body's signature; exit code 1 if it is bad
    Verify(WebhookVerify),
    /// Sign a body as the sender would, and print the headers
    Sign(WebhookSign),
}

/// Arguments of `webhook add`.
#[derive(Debug, Args)]
#[command(
    after_help = "Schemes: github, intercom, intercom-fin, slack, standard-webhooks, stripe

Examples:
  authsome webhook add fin --scheme intercom-fin --forward http://127.0.0.1:3000/hooks
  authsome webhook add pay --scheme stripe --forward http://127.0.0.1:3000/pay --stdin < secret.txt
  authsome webhook add acme --scheme-file acme.json --forward http://127.0.0.1:3000/acme"
)]
pub(crate) struct WebhookAdd {
    /// Name of the endpoint
    pub(crate) name: WebhookName,
    /// How the sender signs
    #[arg(long, required_unless_present = "scheme_file")]
    pub(crate) scheme: Option<WebhookName>,
    /// File that describes how the sender signs
    #[arg(long, value_name = "FILE")]
    pub(crate) scheme_file: Option<PathBuf>,
    /// Local program that gets what is signed
    #[arg(long, value_name = "URL")]
    pub(crate) forward: String,
    /// Port to listen on; a free one if absent
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,
    /// Longest body in bytes [default: 1048576]
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_body: Option<u64>,
    /// How long a sender waits for the program [default: 4]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) wait: Option<u32>,
    #[command(flatten)]
    pub(crate) secret: SecretSource,
}

/// Where a secret comes from.
#[derive(Debug, Args)]
pub(crate) struct SecretSource {
    /// Ask on the terminal instead of in a browser
    #[arg(long, conflicts_with_all = ["stdin", "from_env"])]
    pub(crate) no_browser: bool,
    /// Read the secret from standard input
    #[arg(long, conflicts_with = "from_env")]
    pub(crate) stdin: bool,
    /// Take the secret from a variable of the environment
    #[arg(long, value_name = "VAR")]
    pub(crate) from_env: Option<String>,
}

/// Arguments of `webhook rotate`.
#[derive(Debug, Args)]
pub(crate) struct WebhookRotate {
    /// Name of the endpoint
    pub(crate) name: WebhookName,
    /// Keep the secrets before it good for this long, for instance `24h` [default: not at all]
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "24h", require_equals = false, value_parser = parse_seconds)]
    pub(crate) keep_old: Option<u64>,
    #[command(flatten)]
    pub(crate) secret: SecretSource,
}

/// A webhook's endpoint and nothing else.
#[derive(Debug, Args)]
pub(crate) struct OfWebhook {
    /// Name of the endpoint
    pub(crate) name: WebhookName,
}

/// Arguments of `webhook verify`.
#[derive(Debug, Args)]
#[command(after_help = "The body is read from standard input, byte for byte.

Example:
  authsome webhook verify fin --signature \"$SIGNATURE\" < body.json")]
pub(crate) struct WebhookVerify {
    /// Name of the endpoint
    pub(crate) name: WebhookName,
    /// Header of the request; may be repeated
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = parse_header)]
    pub(crate) headers: Vec<(String, String)>,
    /// Value of the signature's header
    #[arg(long)]
    pub(crate) signature: Option<String>,
    /// Value of the timestamp's header
    #[arg(long)]
    pub(crate) timestamp: Option<String>,
    /// Value of the id's header
    #[arg(long)]
    pub(crate) id: Option<String>,
}

/// Arguments of `webhook sign`.
#[derive(Debug, Args)]
#[command(after_help = "The body is read from standard input, byte for byte.

Example:
  authsome webhook sign fin < body.json | curl -H @- --data-binary @body.json http://127.0.0.1:PORT/")]
pub(crate) struct WebhookSign {
    /// Name of the endpoint
    pub(crate) name: WebhookName,
    /// Unix time to sign with; now if absent
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timestamp: Option<i64>,
    /// Id to sign with; a random one if absent
    #[arg(long)]
    pub(crate) id: Option<String>,
}

fn parse_header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once(':')
        .ok_or("write it as `NAME: VALUE`, for instance `X-Hub-Signature: sha1=...`")?;
    // as it would come over the wire: one blank behind the colon is not part of the value
    let value = value.strip_prefix(' ').unwrap_or(value);
    Ok((name.to_owned(), value.to_owned()))
}

fn parse_seconds(text: &str) -> Result<u64, String> {
    let wrong = || "write a time such as `90m` or `24h`".to_owned();
    let time: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    u64::try_from(time.as_secs()).map_err(|_| wrong())
}

/// Arguments of `daemon`.
#[derive(Debug, Args)]
pub(crate) struct Daemon {
    #[command(subcommand)]
    pub(crate) verb: DaemonVerb,
}

/// Commands of `daemon`.
#[derive(Debug, Subcommand)]
pub(crate) enum DaemonVerb {
    /// Start the daemon, unless it runs
    Start,
    /// Stop the daemon
    Stop,
    /// Stop the daemon and start it again
    Restart,
    /// Show the daemon; exit code 3 if there is none
    Status,
    /// Show the daemon's log
    Logs(DaemonLogs),
    #[command(hide = true)]
    Serve,
}

/// Arguments of `daemon logs`.
#[derive(Debug, Args)]
pub(crate) struct DaemonLogs {
    /// Show this many lines
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 50)]
    pub(crate) lines: usize,
    /// Go on with new lines as they come
    #[arg(long, short)]
    pub(crate) follow: bool,
}

/// Arguments of `unlock`.
#[derive(Debug, Args)]
pub(crate) struct Unlock {
    /// Read the passphrase from standard input
    #[arg(long)]
    pub(crate) stdin: bool,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// Shell to complete for
    pub(crate) shell: clap_complete::Shell,
}

/// `provider ...` of the Python product.
#[derive(Debug, Args)]
pub(crate) struct ProviderGroup {
    #[command(subcommand)]
    verb: ProviderVerb,
}

#[derive(Debug, Subcommand)]
enum ProviderVerb {
    #[command(alias = "get", alias = "show")]
    Inspect(OfProvider),
    List,
    Register(Register),
    Remove(Remove),
    Revoke(OfProvider),
}

/// `auth ...` of the Python product.
#[derive(Debug, Args)]
pub(crate) struct AuthGroup {
    #[command(subcommand)]
    verb: AuthVerb,
}

#[derive(Debug, Subcommand)]
enum AuthVerb {
    Export(Export),
    List(List),
    Login(Login),
    Logout(Logout),
    Revoke(Logout),
    Status,
}

/// `proxy ...` of the Python product.
#[derive(Debug, Args)]
pub(crate) struct ProxyGroup {
    #[command(subcommand)]
    verb: ProxyVerb,
}

#[derive(Debug, Subcommand)]
enum ProxyVerb {
    Run(Run),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        std::iter::once("authsome")
            .chain(line.split_whitespace())
            .map(OsString::from)
            .collect()
    }

    fn verb(line: &str) -> Verb {
        parse(&words(line))
            .unwrap_or_else(|error| panic!("{line}: {error}"))
            .verb
    }

    #[test]
    fn the_argument_table_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn variables_of_a_run_name_a_provider_and_perhaps_a_connection() {
        let Verb::Run(run) = verb("run --env A=intercom/team --env B=intercom -- true") else {
            panic!("not a run");
        };
        let shown: Vec<_> = run
            .variables
            .iter()
            .map(|(name, provider, connection)| format!("{name} {provider} {connection:?}"))
            .collect();
        assert_eq!(shown, ["A intercom Some(\"team\")", "B intercom None"]);
        for bad in [
            "A",
            "=intercom",
            "1A=intercom",
            "A=",
            "A=intercom/",
            "A=intercom/a/b",
        ] {
            let line = format!("run --env {bad} -- true");
            assert!(parse(&words(&line)).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_command_of_the_seed_parses() {
        for line in [
            "login intercom",
            "get intercom --field status",
            "run -- python my_agent.py",
            "login intercom --connection personal",
            "login intercom --connection team",
            "login intercom --force",
            "logout intercom",
            "remove intercom",
            "revoke intercom",
            "inspect intercom",
            "list",
        ] {
            verb(line);
        }
    }

    #[test]
    fn newer_spellings_mean_the_flat_command() {
        assert!(matches!(
            verb("provider list"),
            Verb::List(List { all: true })
        ));
        assert!(matches!(verb("provider inspect github"), Verb::Inspect(_)));
        assert!(matches!(
            verb("provider register a.json --force --yes"),
            Verb::Register(_)
        ));
        assert!(matches!(verb("provider remove acme"), Verb::Remove(_)));
        assert!(matches!(
            verb("provider revoke acme"),
            Verb::Revoke(Logout { all: true, .. })
        ));
        assert!(matches!(
            verb("connections inspect github --field status"),
            Verb::Get(_)
        ));
        assert!(matches!(
            verb("connections set-default github work"),
            Verb::Connections(Connections {
                verb: Some(ConnectionsVerb::SetDefault(_))
            })
        ));
        assert!(matches!(verb("connection list"), Verb::Connections(_)));
        assert!(matches!(
            verb("auth login github --connection x"),
            Verb::Login(_)
        ));
        assert!(matches!(verb("proxy run -- true"), Verb::Run(_)));
        assert!(matches!(verb("init"), Verb::Whoami));
        assert!(matches!(verb("-v"), Verb::Version));
    }

    #[test]
    fn options_after_the_command_belong_to_the_command() {
        for (line, expected) in [
            ("run curl -v --json x", "curl -v --json x"),
            ("run -- curl --only x", "curl --only x"),
            ("run --only a,b -- sh -c x", "sh -c x"),
            ("run --unmatched deny git log -- path", "git log -- path"),
            ("run -- -odd", "-odd"),
        ] {
            let Verb::Run(run) = verb(line) else {
                panic!("{line}")
            };
            assert_eq!(run.command.join(OsStr::new(" ")), expected, "{line}");
        }
    }

    #[test]
    fn an_unknown_option_before_the_command_is_not_taken_for_the_command() {
        assert!(parse(&words("run --unmatchd deny -- true")).is_err());
        assert!(parse(&words("run")).is_err());
    }

    #[test]
    fn connections_of_a_run_are_pairs() {
        let Verb::Run(run) = verb("run --connection intercom=team --connection github=x true")
        else {
            panic!()
        };
        assert_eq!(run.connections.len(), 2);
        assert!(parse(&words("run --connection team true")).is_err());
    }

    #[test]
    fn run_is_recognised_even_when_it_does_not_parse() {
        for (line, expected) in [
            ("run --nonsense", true),
            ("--quiet run true", true),
            ("proxy run true", true),
            ("login run", false),
            ("", false),
        ] {
            assert_eq!(is_run(&words(line)), expected, "{line}");
        }
    }

    #[test]
    fn a_webhooks_arguments_are_what_they_look_like() {
        let Verb::Webhook(Webhook {
            verb: Some(WebhookVerb::Rotate(rotate)),
        }) = verb("webhook rotate fin --keep-old 90m --stdin")
        else {
            panic!()
        };
        assert_eq!(rotate.keep_old, Some(5400));
        let Verb::Webhook(Webhook {
            verb: Some(WebhookVerb::Rotate(rotate)),
        }) = verb("webhook rotate fin --stdin --keep-old")
        else {
            panic!()
        };
        assert_eq!(rotate.keep_old, Some(86_400));
        for bad in [
            "webhook add fin --scheme github",
            "webhook add fin --forward http://127.0.0.1/",
            "webhook add fin --scheme github --forward http://127.0.0.1/ --port 0",
            "webhook add fin --scheme github --forward http://127.0.0.1/ --secret x",
            "webhook rotate fin --keep-old soon",
            "webhook rotate fin --keep-old -1h",
            "webhook verify fin --header nonsense",
        ] {
            assert!(parse(&words(bad)).is_err(), "{bad}");
        }
        assert_eq!(
            parse_header("X-A:  b: c ").unwrap(),
            ("X-A".into(), " b: c ".into())
        );
    }

    #[test]
    fn a_secret_is_never_an_argument() {
        assert!(parse(&words("login intercom --key abc")).is_err());
        assert!(parse(&words("login intercom abc")).is_err());
    }
}
