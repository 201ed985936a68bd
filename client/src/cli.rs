//! Argument types, and nothing that acts on them.
//!
//! Commands are flat. The newer spellings of the Python product (`provider list`, `connections
//! inspect`, `proxy run`, `auth login`, ...) are hidden groups that turn into the flat command, so
//! that scripts written for it keep working.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use authsome_proto::{ConnectionName, ProviderName, RunId};
use clap::{Args, Parser, Subcommand, ValueEnum};

mod complete;
mod env;
mod later;
mod login;
mod old;
mod run;
mod service;
mod webhook;

pub(crate) use complete::{Complete, Man};
pub(crate) use env::{Env, ShellChoice};
pub(crate) use later::Later;
pub(crate) use login::{FlowChoice, Login, Whom, flow_word};
use old::{AuthGroup, ProviderGroup, ProxyGroup};
pub(crate) use run::{Explain, Run, Wishes};
pub(crate) use service::{Service, ServiceChange, ServiceVerb};
pub(crate) use webhook::{
    SecretSource, Webhook, WebhookAdd, WebhookRotate, WebhookSign, WebhookVerb, WebhookVerify,
};

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
    Login(Later<Login>),
    /// Run a command; its requests get the credentials, it does not
    Run(Later<Run>),
    /// Print the variables of a run that lasts as long as this shell
    Env(Later<Env>),
    /// List connections, or all providers
    List(Later<List>),
    /// Show the daemon, the vault and the runs
    Status,
    /// Show a connection; its secret stays hidden
    Get(Later<Get>),
    /// Print a provider's definition, ready to be saved as an override
    Inspect(Later<OfProvider>),
    /// Print real values for programs that cannot run behind the proxy
    Export(Later<Export>),
    /// Delete a credential here
    Logout(Later<Logout>),
    /// Delete a credential here, and revoke it where the provider offers that
    Revoke(Later<Logout>),
    /// Forget everything about a provider: connections, override, state
    Remove(Later<Remove>),
    /// Add a provider's definition from a file
    Register(Later<Register>),
    /// List connections, choose defaults
    #[command(alias = "connection")]
    Connections(Later<Connections>),
    /// Find keys in `.env` files and the environment
    Scan(Later<Scan>),
    /// Show what would become of a request, and why
    Explain(Later<Explain>),
    /// Show the audit log
    #[command(alias = "audit")]
    Log(Later<Log>),
    /// Let only signed webhooks reach a local program
    #[command(alias = "webhooks")]
    Webhook(Later<Webhook>),
    /// List living runs, stop one
    Runs(Later<Runs>),
    /// Show who asks, and in which run
    Whoami,
    /// Check everything, and say what to do
    Doctor,
    /// Start, stop or look at the daemon
    Daemon(Later<Daemon>),
    /// Have systemd or launchd run the daemon
    Service(Later<Service>),
    /// Open the file store with its passphrase
    Unlock(Later<Unlock>),
    /// Serve an agent over the Model Context Protocol, on standard input and output
    #[command(after_help = MCP_HELP)]
    Mcp,
    /// Print shell completions
    Completions(Later<Completions>),
    /// Print versions
    Version,
    #[command(hide = true)]
    Complete(Later<Complete>),
    #[command(hide = true)]
    Init,
    /// Write the manual pages into a folder
    #[command(hide = true)]
    Man(Later<Man>),
    #[command(hide = true, alias = "providers")]
    Provider(Later<ProviderGroup>),
    #[command(hide = true)]
    Auth(Later<AuthGroup>),
    #[command(hide = true)]
    Proxy(Later<ProxyGroup>),
}

/// What a person does with `mcp`.
const MCP_HELP: &str = "\
An agent starts it; the configuration that most take:
  {\"mcpServers\":{\"authsome\":{\"command\":\"authsome\",\"args\":[\"mcp\"]}}}

Its tools list connections, begin logins (a person gets the page to open),
wait for them, and explain refusals. None takes or gives a key. The agent
itself is best started as `authsome run -- AGENT`.";

impl Verb {
    /// The flat command that a hidden group stands for.
    fn flat(self) -> Self {
        match self {
            Self::Auth(Later(group)) => group.flat(),
            Self::Provider(Later(group)) => group.flat(),
            Self::Proxy(Later(group)) => group.flat(),
            Self::Connections(Later(Connections {
                verb: Some(ConnectionsVerb::Inspect(get)),
            })) => Self::Get(Later(get)),
            Self::Init => Self::Whoami,
            other => other,
        }
    }
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
        let Verb::Run(Later(run)) = verb("run --env A=intercom/team --env B=intercom -- true")
        else {
            panic!("not a run");
        };
        let shown: Vec<_> = run
            .wishes
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
            Verb::List(Later(List { all: true }))
        ));
        assert!(matches!(verb("provider inspect github"), Verb::Inspect(_)));
        assert!(matches!(
            verb("provider register a.json --force --yes"),
            Verb::Register(_)
        ));
        assert!(matches!(verb("provider remove acme"), Verb::Remove(_)));
        assert!(matches!(
            verb("provider revoke acme"),
            Verb::Revoke(Later(Logout { all: true, .. }))
        ));
        assert!(matches!(
            verb("connections inspect github --field status"),
            Verb::Get(_)
        ));
        assert!(matches!(
            verb("connections set-default github work"),
            Verb::Connections(Later(Connections {
                verb: Some(ConnectionsVerb::SetDefault(_))
            }))
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
            let Verb::Run(Later(run)) = verb(line) else {
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
        let Verb::Run(Later(run)) =
            verb("run --connection intercom=team --connection github=x true")
        else {
            panic!()
        };
        assert_eq!(run.wishes.connections.len(), 2);
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
        let Verb::Webhook(Later(Webhook {
            verb: Some(WebhookVerb::Rotate(rotate)),
        })) = verb("webhook rotate fin --keep-old 90m --stdin")
        else {
            panic!()
        };
        assert_eq!(rotate.keep_old, Some(5400));
        let Verb::Webhook(Later(Webhook {
            verb: Some(WebhookVerb::Rotate(rotate)),
        })) = verb("webhook rotate fin --stdin --keep-old")
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
            webhook::parse_header("X-A:  b: c ").unwrap(),
            ("X-A".into(), " b: c ".into())
        );
    }

    #[test]
    fn a_secret_is_never_an_argument() {
        assert!(parse(&words("login intercom --key abc")).is_err());
        assert!(parse(&words("login intercom abc")).is_err());
        let Verb::Login(Later(login)) = verb("login github --client-id x --client-secret abc")
        else {
            panic!()
        };
        assert_eq!(login.client_secret, Some(()));
        assert!(!format!("{login:?}").contains("abc"));
    }

    #[test]
    fn scopes_are_taken_as_people_and_providers_write_them() {
        for line in [
            "login github --scopes a,b,c",
            "login github --scopes a, --scopes b,c",
            "login github --scopes a --scopes b --scopes c",
        ] {
            let Verb::Login(Later(login)) = verb(line) else {
                panic!("{line}")
            };
            assert_eq!(login.scopes(), ["a", "b", "c"], "{line}");
        }
        let blanks = ["authsome", "login", "github", "--scopes", "a b, c "].map(OsString::from);
        let Verb::Login(Later(login)) = parse(&blanks).unwrap().verb else {
            panic!()
        };
        assert_eq!(login.scopes(), ["a", "b", "c"]);
    }

    #[test]
    fn options_of_a_login_that_contradict_each_other_are_refused() {
        for bad in [
            "login github --stdin --from-env X",
            "login github --stdin --key-file x.json",
            "login github --flow plain",
            "login github --resume abc",
            "login --resume abc --no-wait",
            "login --resume abc --flow device",
            "login --resume abc --client-id x",
            "login http://mcp.example.com/mcp",
        ] {
            assert!(parse(&words(bad)).is_err(), "{bad}");
        }
        for good in [
            "login github --no-browser --client-id x --stdin",
            "login github --no-wait --client-id x --stdin",
            "login --resume abc --stdin",
            "login --resume abc --no-browser",
            "auth login google --flow device_code",
        ] {
            verb(good);
        }
    }
}
