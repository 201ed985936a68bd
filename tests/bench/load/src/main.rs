//! Load generator.
//!
//! ```text
//! authsome-bench-load keep   [target] --clients N --seconds S   connections reused for many requests
//! authsome-bench-load new    [target] --clients N --seconds S   TCP, CONNECT, handshake, request, close
//! authsome-bench-load events [target] --seconds S               delay of server-sent events
//! authsome-bench-load spawn  --times N -- CMD [ARG…] ::: CMD …  commands, one after the other in turns
//!
//! target: --url URL [--dial ADDRESS] [--proxy URL|env] [--ca FILE|env] [--token T]
//! ```
//!
//! `env` takes the proxy from `HTTPS_PROXY` and the certificates from `SSL_CERT_FILE`, as any
//! program under `authsome run` would. One thread on purpose: it must stay cheap beside what is
//! measured. It prints one JSON object. Anything but a complete 200 counts as an error.

mod connect;
mod http;
mod spawn;
mod times;

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::Duration;

use connect::Target;
use times::Times;

/// A mistyped number must not load a machine for an hour.
const SECONDS_MAX: f64 = 120.0;

fn main() -> ExitCode {
    match run() {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<serde_json::Value, String> {
    let mut words = std::env::args().skip(1);
    let mode = words.next().ok_or("no mode: keep, new, events or spawn")?;
    let mut options = HashMap::new();
    let mut rest = Vec::new();
    while let Some(word) = words.next() {
        if word == "--" {
            rest.extend(words.by_ref());
        } else {
            let name = word
                .strip_prefix("--")
                .ok_or(format!("unexpected `{word}`"))?;
            let value = words.next().ok_or(format!("`{word}` needs a value"))?;
            options.insert(name.to_owned(), value);
        }
    }
    let number = |name: &str, default: f64| -> Result<f64, String> {
        let Some(text) = options.get(name) else {
            return Ok(default);
        };
        text.parse()
            .map_err(|_| format!("`--{name} {text}` is not a number"))
    };
    if mode == "spawn" {
        return spawn::run(&rest, number("times", 50.0)? as usize);
    }
    let seconds = number("seconds", 2.0)?;
    if seconds > SECONDS_MAX {
        return Err(format!("at most {SECONDS_MAX} seconds"));
    }
    let (length, clients) = (
        Duration::from_secs_f64(seconds),
        number("clients", 1.0)? as usize,
    );
    let target = Target::parse(&options)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let tasks = tokio::task::LocalSet::new();
    let times: Times = tasks.block_on(&runtime, async {
        match mode.as_str() {
            "keep" => http::keep(&target, clients, length).await,
            "new" => http::new(&target, clients, length).await,
            "events" => http::events(&target, length).await,
            _ => Err(format!("unknown mode `{mode}`")),
        }
    })?;
    Ok(times.summary())
}
