//! The search for canaries finds what it is to find: in every encoding, in every place.
//!
//! These tests plant canaries on purpose. They need no daemon.

use std::io::Write;

use authsome_tests::Canary;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

fn encodings(secret: &str) -> Vec<(&'static str, Vec<u8>)> {
    let utf16: Vec<u16> = secret.encode_utf16().collect();
    vec![
        ("raw", secret.as_bytes().to_vec()),
        ("base64", STANDARD.encode(secret).into_bytes()),
        (
            "base64",
            STANDARD.encode(format!("u:{secret}")).into_bytes(),
        ),
        (
            "base64",
            STANDARD
                .encode(format!("me:{secret}, and more"))
                .into_bytes(),
        ),
        (
            "base64url",
            URL_SAFE.encode(format!("~{secret}")).into_bytes(),
        ),
        (
            "hex",
            secret
                .bytes()
                .flat_map(|byte| format!("{byte:02x}").into_bytes())
                .collect(),
        ),
        (
            "hex",
            secret
                .bytes()
                .flat_map(|byte| format!("{byte:02X}").into_bytes())
                .collect(),
        ),
        (
            "percent",
            secret
                .bytes()
                .flat_map(|byte| format!("%{byte:02X}").into_bytes())
                .collect(),
        ),
        (
            "json",
            secret
                .bytes()
                .flat_map(|byte| format!("\\u{byte:04x}").into_bytes())
                .collect(),
        ),
        (
            "utf-16le",
            utf16.iter().flat_map(|unit| unit.to_le_bytes()).collect(),
        ),
        (
            "utf-16be",
            utf16.iter().flat_map(|unit| unit.to_be_bytes()).collect(),
        ),
    ]
}

#[test]
fn a_planted_canary_is_found_in_every_encoding() {
    for canary in [
        Canary::new(),
        Canary::with_prefix("sk-proj-"),
        Canary::alphanumeric("x_"),
    ] {
        for (encoding, text) in encodings(canary.secret()) {
            for surrounded in [
                text.clone(),
                [b"before ", text.as_slice(), b" after"].concat(),
            ] {
                let hits = canary.search("here", &surrounded);
                assert!(
                    hits.iter()
                        .any(|hit| hit.encoding == encoding || hit.encoding == "base64"),
                    "not found as {encoding}: {hits:?}"
                );
            }
        }
    }
}

#[test]
fn a_canary_with_its_special_characters_escaped_is_found() {
    let canary = Canary::new();
    let secret = canary.secret();
    for text in [
        secret
            .replace('+', "%2B")
            .replace('/', "%2F")
            .replace('=', "%3D"),
        secret.replace('/', "\\/"),
        secret.replace('=', "\\u003d"),
        secret[..secret.len() / 2].to_owned(),
        secret[secret.len() / 2..].to_owned(),
    ] {
        assert!(
            !canary.search("here", text.as_bytes()).is_empty(),
            "not found: half or escaped"
        );
    }
}

#[test]
fn nothing_is_found_where_nothing_is() {
    let (canary, other) = (Canary::new(), Canary::new());
    for (_, text) in encodings(other.secret()) {
        assert_eq!(canary.search("here", &text), []);
    }
}

#[test]
fn a_planted_canary_is_found_in_files_names_and_processes() {
    let folder = tempfile::Builder::new()
        .prefix("as-")
        .tempdir_in("/tmp")
        .unwrap();
    let canary = Canary::alphanumeric("");
    let deep = folder.path().join("a/b");
    std::fs::create_dir_all(&deep).unwrap();
    let nothing = |_: &std::path::Path| false;
    assert_eq!(canary.search_folder(folder.path(), &nothing), []);

    let mut file = std::fs::File::create(deep.join("log")).unwrap();
    file.write_all(format!("token {} used\n", STANDARD.encode(canary.secret())).as_bytes())
        .unwrap();
    let places = |hits: Vec<authsome_tests::canary::Hit>| {
        hits.into_iter()
            .map(|hit| hit.place)
            .collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(
        places(canary.search_folder(folder.path(), &nothing)).len(),
        1
    );
    assert_eq!(
        canary.search_folder(folder.path(), &|path| path.ends_with("log")),
        []
    );
    std::fs::write(deep.join(canary.secret()), "").unwrap();
    assert_eq!(
        places(canary.search_folder(folder.path(), &nothing)).len(),
        2
    );

    for (words, variable) in [
        (["sleep 60; :", canary.secret()], ""),
        (["sleep 60; :", ""], canary.secret()),
    ] {
        let process = authsome_tests::Invocation::new("/bin/sh")
            .arg("-c")
            .args(words)
            .env("PATH", "/usr/bin:/bin")
            .env("SECRET", variable)
            .env("HOME", folder.path())
            .spawn();
        let hits = canary.search_processes(folder.path());
        let place = format!("process {}", process.pid());
        assert!(
            hits.iter().any(|hit| hit.place.ends_with(&place)),
            "{hits:?}"
        );
    }
}
