//! get BACKEND URL: prints what the URL answers with 200, with `rustls` or `native-tls`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (backend, url) = (arguments.next().unwrap(), arguments.next().unwrap());
    // the other provider, aws-lc-rs, takes minutes to build; it trusts the same roots
    rustls::crypto::ring::default_provider()
        .install_default()
        .unwrap();
    let builder = reqwest::blocking::Client::builder();
    let client = match backend.as_str() {
        "rustls" => builder.tls_backend_rustls(),
        _ => builder.tls_backend_native(),
    };
    let answer = client.build()?.get(url).send()?.error_for_status()?;
    println!("{}", answer.text()?);
    Ok(())
}
