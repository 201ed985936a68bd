//! Arguments of `webhook`.

use std::path::PathBuf;

use authsome_proto::WebhookName;
use clap::{Args, Subcommand};

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

pub(super) fn parse_header(text: &str) -> Result<(String, String), String> {
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
