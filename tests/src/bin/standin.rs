//! `authsome-standin`: the harness' HTTPS server as a program, for the demo and the bench.
//!
//! ```text
//! authsome-standin [--name api.intercom.io]... [--listen 127.0.0.1:0] [--token T]
//!                  [--ca-out FILE] [--http1] [--print] [--for SECONDS]
//! ```
//!
//! It prints `listening ADDRESS` and `ca FILE`, and with `--print` each request as it arrives.
//! It runs until its standard input ends, or for so many seconds, or until it is killed.

use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

use authsome_tests::stand_in::{Options, Recorded};
use authsome_tests::{Certificate, StandIn};

fn main() -> ExitCode {
    let (options, ca_out, lifetime) = match parse(std::env::args().skip(1)) {
        Ok(parsed) => parsed,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::from(2);
        }
    };
    let server = StandIn::with(options);
    let mut ca = server.ca_path().to_owned();
    if let Some(path) = ca_out {
        if let Err(error) = std::fs::copy(&ca, &path) {
            eprintln!("error: cannot write `{path}`: {error}");
            return ExitCode::FAILURE;
        }
        ca = path.into();
    }
    println!("listening {}", server.address());
    println!("ca {}", ca.display());
    match lifetime {
        Some(lifetime) => std::thread::sleep(lifetime),
        // whoever started us holds the other end: when it goes, we go
        None => drop(std::io::stdin().read_to_end(&mut Vec::new())),
    }
    ExitCode::SUCCESS
}

type Parsed = (Options, Option<String>, Option<Duration>);

fn parse(mut words: impl Iterator<Item = String>) -> Result<Parsed, String> {
    let mut options = Options {
        record: false,
        certificate: Certificate::Good,
        ..Options::default()
    };
    let mut names = Vec::new();
    let (mut ca_out, mut lifetime) = (None, None);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("`{word}` needs a value"));
        match word.as_str() {
            "--name" => names.push(value()?),
            "--listen" => {
                let text = value()?;
                options.listen = text
                    .parse()
                    .map_err(|error| format!("`{text}` is not an address: {error}"))?;
            }
            "--token" => options.token = Some(value()?),
            "--ca-out" => ca_out = Some(value()?),
            "--for" => {
                let text = value()?;
                let seconds = text
                    .parse()
                    .map_err(|_| format!("`{text}` is not a number"))?;
                lifetime = Some(Duration::from_secs(seconds));
            }
            "--http1" => options.protocols = vec!["http/1.1"],
            "--print" => options.on_request = Some(print),
            _ => return Err(format!("unknown option `{word}`")),
        }
    }
    if !names.is_empty() {
        options.names = names;
    }
    Ok((options, ca_out, lifetime))
}

fn print(request: &Recorded) {
    println!(
        "{} https://{}{}",
        request.method, request.authority, request.path
    );
    for (name, value) in &request.headers {
        println!("{name}: {value}");
    }
    println!();
}
