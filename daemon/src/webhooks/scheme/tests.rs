//! Descriptions: the bundled ones, and what is refused in those that people write.

use super::*;

const ACME: &str = r#"{
    // a comment
    "v": 1, "name": "acme", "algorithm": "sha512", "encoding": "base64", "secret": "hex",
    "signature": { "header": "X-Acme-Signature", "prefix": "s=" },
    "signed": "{timestamp}:{body}",
    "timestamp": { "header": "X-Acme-Time" },
    "tolerance": 60
}"#;

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

#[test]
fn every_bundled_scheme_is_read_and_says_where_its_secret_is() {
    let names: Vec<_> = Scheme::all_bundled()
        .map(|it| it.name.to_string())
        .collect();
    let expected = [
        "github",
        "intercom-fin",
        "intercom",
        "slack",
        "standard-webhooks",
        "stripe",
    ];
    assert_eq!(names, expected);
    for name in names {
        let scheme = Scheme::bundled(&name).unwrap();
        assert!(scheme.hint.is_some() && scheme.title != name, "{name}");
    }
    assert!(Scheme::bundled("acme").is_none());
}

#[test]
fn a_description_of_ones_own_is_read_with_comments() {
    let scheme = Scheme::parse(ACME).unwrap();
    assert_eq!((scheme.name.as_str(), &*scheme.title), ("acme", "acme"));
    assert_eq!(scheme.algorithm, Algorithm::Sha512);
    assert_eq!(scheme.tolerance, Duration::from_secs(60));
    assert_eq!(scheme.lifetime(), Some(Duration::from_secs(120)));
    assert_eq!(scheme.families.len(), 1);
}

#[test]
fn a_description_that_protects_less_than_it_seems_to_is_refused() {
    for (from, to, said) in [
        ("\"v\": 1", "\"v\": 2", "version is 2"),
        ("\"tolerance\": 60", "\"tolerance\": 0", "1 to 86400"),
        ("\"tolerance\": 60", "\"tolerance\": 90000", "1 to 86400"),
        ("\"tolerance\": 60", "\"tolerence\": 60", "tolerence"),
        ("{timestamp}:{body}", "{body}", "goes with exactly one"),
        ("{timestamp}:{body}", "{timestamp}{body}", "where it ends"),
        ("{timestamp}:{body}", "{timestamp}:", "`{body}` is missing"),
        (
            "{timestamp}:{body}",
            "{id}.{timestamp}:{body}",
            "goes with `id`",
        ),
        ("X-Acme-Time", "X-Acme-Signature", "headers of their own"),
        ("X-Acme-Time", "x-acme-signature", "headers of their own"),
        ("X-Acme-Time", "X Acme", "no name of a header"),
        ("sha512", "md5", "md5"),
        ("\"acme\"", "\"Ac me\"", "webhook name"),
        (
            "\"prefix\": \"s=\"",
            "\"prefix\": \"s=\", \"separator\": \"a\"",
            "no signature contains",
        ),
        (
            "\"prefix\": \"s=\"",
            "\"prefix\": \"s=\", \"separator\": \"=\"",
            "no signature contains",
        ),
        (
            "\"prefix\": \"s=\"",
            "\"prefix\": \"s=\", \"timestamp\": \"t=\"",
            "needs a `separator`",
        ),
        (
            "\"prefix\": \"s=\"",
            "\"prefix\": \"s=\", \"separator\": \",\", \"timestamp\": \"s=\"",
            "must differ",
        ),
        (
            "\"prefix\": \"s=\"",
            "\"prefix\": \"s=\", \"separator\": \",\", \"timestamp\": \"t=\"",
            "goes with exactly one",
        ),
    ] {
        assert!(ACME.contains(from), "{from}");
        let error = Scheme::parse(&ACME.replace(from, to))
            .unwrap_err()
            .to_string();
        assert!(error.contains(said), "{to}: {error}");
    }
    let untimed = ACME
        .replace("{timestamp}:{body}", "{body}")
        .replace("\"timestamp\": { \"header\": \"X-Acme-Time\" },", "");
    let error = Scheme::parse(&untimed).unwrap_err().to_string();
    assert!(error.contains("means nothing"), "{error}");
}

/// Trap 2: the same text is another key for Stripe than for Standard Webhooks.
#[test]
fn a_secret_becomes_the_key_that_its_scheme_means() {
    let text = secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let digest = |scheme: &Scheme, secret: &Secret| {
        let mac = super::super::mac::Mac::new(Algorithm::Sha256, &scheme.key(secret).unwrap());
        mac.unwrap().finish().unwrap()
    };
    let scheme = |name| Scheme::bundled(name).unwrap();
    let (stripe, standard) = (scheme("stripe"), scheme("standard-webhooks"));
    assert_ne!(digest(&stripe, &text), digest(&standard, &text));
    // Standard Webhooks takes it without its prefix and without its padding too
    let bare = secret("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    assert_eq!(digest(&standard, &text), digest(&standard, &bare));

    let acme = Scheme::parse(ACME).unwrap();
    let based = Scheme::parse(&ACME.replace("\"hex\"", "\"base64\"")).unwrap();
    assert_eq!(
        digest(&acme, &secret("00fFa0")),
        digest(&based, &secret("AP+g"))
    );
    for (scheme, bad, expected) in [
        (&stripe, "", SecretError::Empty),
        (&standard, "", SecretError::Empty),
        (&standard, "whsec_", SecretError::Empty),
        (&standard, "whsec_!!", SecretError::NotBase64),
        (&standard, "whsec_ MfKQ", SecretError::NotBase64),
        (&acme, "", SecretError::Empty),
        (&acme, "abc", SecretError::NotHex),
        (&acme, "0x00", SecretError::NotHex),
    ] {
        let error = scheme.key(&secret(bad)).unwrap_err();
        assert_eq!(error, expected, "{bad}");
    }
}

/// Traps 1 and 7: exactly as many digits as the digest has, in either case, and nothing else.
#[test]
fn a_signature_is_read_strictly() {
    let fin = Scheme::bundled("intercom-fin").unwrap();
    let good = "65eb1d7d2da421eef79c73e5a8f76d0c353d22a3e8127e79454d62e741fa80e8";
    assert!(fin.decode(good).is_some());
    assert_eq!(fin.decode(good), fin.decode(&good.to_uppercase()));
    for bad in [
        "",
        &good[..40],
        &good[..62],
        &good[..63],
        &format!("{good}0"),
        &format!("{good}00"),
        &format!(" {good}"),
        &format!("{good}\n"),
        &format!("0x{}", &good[2..]),
        &good.replace('6', "g"),
        &format!("+{}", &good[1..]),
    ] {
        assert!(fin.decode(bad).is_none(), "{bad:?}");
    }
    let standard = Scheme::bundled("standard-webhooks").unwrap();
    let good = "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    assert!(standard.decode(good).is_some());
    for bad in [
        &good[..43],
        &good.replace('+', "-"),
        // the same bytes, with bits in the padding
        &good.replace("OE=", "OF="),
        &format!("{good}="),
        &format!("{good}\n"),
    ] {
        assert!(standard.decode(bad).is_none(), "{bad:?}");
    }
}
