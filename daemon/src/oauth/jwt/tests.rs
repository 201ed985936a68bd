use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// The key of RFC 7515 appendix A.2: n, e, d, p, q, dp, dq, qi.
const RFC_7515_KEY: [&str; 8] = [
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt\
     0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSX\
     ndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5\
     IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
    "AQAB",
    "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol\
     2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn43\
     9X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8\
     bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ",
    "4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_\
     Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc",
    "uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7Tje\
     LQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc",
    "BwKfV3Akq5_MFZDFZCnW-wzl-CCo83WoZvnLQwCTeDv8uzluRSnm71I3QCLdhrqE2e9YkxvuxdBfpT_PI7Yz-FOK\
     nu1R6HsJeDCjn12Sk3vmAktV2zb34MCdy7cpdTh_YVr7tss2u6vneTwrA86rZtu5Mbr1C1XsmvkxHQAdYo0",
    "h_96-mK1R_7glhsum81dZxjTnYynPbZpHziZjeeHcXYsXaaMwkOlODsWa7I9xXDoRwbKgB719rrmI2oKr6N3Do9U\
     0ajaHF-NKJnwgjMd2w9cjz3_-kyNlxAr2v4IKhGNpmM5iIgOS1VZnOZ68m6_pbLBSp3nssTdlqvd0tIiTHU",
    "IYd7DHOhrWvxkwPQsRM2tOgrjbcrfvtQJipd-DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd_QJQ3ydy5\
     cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp_gh6A5603k2-ZQwVK0JKSHuLFkuQ3U",
];

/// What it signs there.
const RFC_7515_HEADER: &str = r#"{"alg":"RS256"}"#;
const RFC_7515_CLAIMS: &str =
    "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";

/// What comes out.
const RFC_7515_SIGNED: &str = "eyJhbGciOiJSUzI1NiJ9.\
     eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
     cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W\
     2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkS\
     jtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnv\
     Wh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";

/// A real RSA key of 1024 bits, made for this test.
const SMALL_KEY: &str = "MIICWwIBAAKBgQCcK1Di+ZYRat9NwzHopRTNeh+s4T92CsW18wkPB4Cb1BJpK+c0\
     GhCFQrcXq6UqF5/UN66yLmSql+sQkCpKXaImqp6x2EbMfxouCy8PfzCBvqoIEOJO\
     Nky5RX3RchMPjcbiLTEU6FaWqk0BfFAQUQJkz3DNAPgDabyYkcuMEkm1PwIDAQAB\
     AoGAMHuaHv0RQ9MEBGZHBkzJyojRcKB1TTZG7xfGhi30FWyfUptYqeo1msl9ghG9\
     svWmnwGycIrKodOMHJZFKtUq044I2d10Irxyerm4U0ZtO8EoiCFzTB5DrmctaW8p\
     9cjdmZS/Otp1jvf5I1L1YoYObNbPe3h1tt9YOscSD/l3zQECQQDOsHK9H9NnIumW\
     8cGhQA8fSUBH6vzFfW9yFv+bUrHV6uaYsJdHJgJ+Ogm9mjYHgiFuJUTzexd6FPF8\
     N9dw5kvBAkEAwW1au6cCJUM/+OTwRSiDJpv6A4581H1LJhHhnCAbC/Ew39weybmO\
     pE84hH7f2wQqQAxqO7nHNSVSyqBGVvRA/wJAaWL+ngAEQqpCgHx0RkvragBnjkP6\
     7peuo3WmjwPzOSe0vFYOTHDNBJ+DJ/HhaqKneQn3xk4VAmJ7XuL6Ls6+AQJAIyhF\
     PaZ1dWBr2EmEgo2CiRoAr3TOq7C6YAkQANi1Ec6dG5Ne5Tuc+bCMjUiiV6TCKTIY\
     fRKfasGF8t5+6n8q8QJAM9vD3hO2HvGE+9wDMI+daWMRz8DDesVAwLoehzgLuSNY\
     vhFSOxBxgLP+9lTUOul8WiI0pV6C8PJrb/raqK3zRQ==";

/// ASN.1's tag, length and value.
fn der(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = value.len();
    let mut all = vec![tag];
    match u8::try_from(length) {
        Ok(short @ 0..=0x7f) => all.push(short),
        Ok(byte) => all.extend([0x81, byte]),
        Err(_) => {
            all.push(0x82);
            all.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
    }
    all.extend(value);
    all
}

fn integer(base64: &str) -> Vec<u8> {
    let mut value = URL_SAFE_NO_PAD.decode(base64).unwrap();
    if value[0] >= 0x80 {
        value.insert(0, 0);
    }
    der(2, &value)
}

fn pkcs1() -> Vec<u8> {
    let mut numbers = der(2, &[0]);
    for number in RFC_7515_KEY {
        numbers.extend(integer(number));
    }
    der(0x30, &numbers)
}

fn pkcs8() -> Vec<u8> {
    let rsa = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
    der(0x30, &[&der(2, &[0]), &rsa[..], &der(4, &pkcs1())].concat())
}

fn public() -> Vec<u8> {
    der(
        0x30,
        &[integer(RFC_7515_KEY[0]), integer(RFC_7515_KEY[1])].concat(),
    )
}

fn pem(label: &str, base64: &str) -> String {
    let lines: Vec<_> = base64
        .as_bytes()
        .chunks(64)
        .map(|line| str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

fn good_pem() -> String {
    pem("PRIVATE KEY", &STANDARD.encode(pkcs8()))
}

/// A file as Google's console makes it.
fn file(pem: &str) -> Value {
    json!({
        "type": "service_account",
        "project_id": "example",
        "private_key_id": "0123456789abcdef",
        "private_key": pem,
        "client_email": "robot@example.iam.gserviceaccount.com",
        "client_id": "1",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": "https://oauth2.googleapis.com/token",
        "universe_domain": "googleapis.com"
    })
}

fn read(file: &Value) -> Result<ServiceAccount, BadKeyFile> {
    ServiceAccount::read(Secret::new(file.to_string()))
}

fn decoded(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[test]
fn rfc_7515_appendix_a_2() {
    let key = signer(&good_pem()).unwrap();
    let signed = sign(&*key, RFC_7515_HEADER, RFC_7515_CLAIMS).unwrap();
    assert_eq!(signed.expose(), RFC_7515_SIGNED);
}

#[test]
fn an_assertion_says_who_for_what_to_whom_and_when_and_is_signed() {
    let account = read(&file(&good_pem())).unwrap();
    assert_eq!(account.email, "robot@example.iam.gserviceaccount.com");
    assert_eq!(account.token_uri, "https://oauth2.googleapis.com/token");
    let scopes = ["https://a.example/x".to_owned(), "b".to_owned()];
    let signed = account.assertion(&scopes, 1_700_000_000).unwrap();
    let (message, signature) = signed.expose().rsplit_once('.').unwrap();
    let (header, claims) = message.split_once('.').unwrap();
    assert_eq!(
        decoded(header),
        json!({ "alg": "RS256", "typ": "JWT", "kid": "0123456789abcdef" })
    );
    assert_eq!(
        decoded(claims),
        json!({
            "iss": "robot@example.iam.gserviceaccount.com",
            "scope": "https://a.example/x b",
            "aud": "https://oauth2.googleapis.com/token",
            "iat": 1_700_000_000,
            "exp": 1_700_003_600,
        })
    );
    let provider = rustls::crypto::ring::default_provider();
    let (_, algorithms) = provider
        .signature_verification_algorithms
        .mapping
        .iter()
        .find(|(scheme, _)| *scheme == SignatureScheme::RSA_PKCS1_SHA256)
        .unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let verify = |message: &[u8]| {
        algorithms
            .iter()
            .any(|one| one.verify_signature(&public(), message, &signature).is_ok())
    };
    assert!(verify(message.as_bytes()));
    assert!(!verify(&message.as_bytes()[1..]));
}

#[test]
fn the_end_of_time_is_no_overflow() {
    let account = read(&file(&good_pem())).unwrap();
    let signed = account.assertion(&[], u64::MAX).unwrap();
    let claims = decoded(signed.expose().split('.').nth(1).unwrap());
    assert_eq!(claims["exp"], u64::MAX);
}

#[test]
fn keys_are_read_as_consoles_and_libraries_write_them() {
    let old = pem("RSA PRIVATE KEY", &STANDARD.encode(pkcs1()));
    for pem in [
        old,
        good_pem(),
        good_pem().replace('\n', "\r\n"),
        good_pem().replace('\n', ""),
    ] {
        assert!(read(&file(&pem)).is_ok(), "{}", &pem[..30]);
    }
    // `=`, `/` and `+` escaped, as libraries do it that think of HTML
    let escaped = file(&good_pem())
        .to_string()
        .replace("https://", "https:\\/\\/")
        .replace('=', "\\u003D")
        .replace('+', "\\u002b");
    assert!(escaped.contains("\\u003D") && escaped.contains("\\u002b"));
    let account = ServiceAccount::read(Secret::new(escaped.clone())).unwrap();
    assert_eq!(account.token_uri, "https://oauth2.googleapis.com/token");
    assert_eq!(account.file().expose(), escaped);
}

#[test]
fn keys_that_are_weak_broken_or_of_another_kind_are_refused() {
    let bad = BadKeyFile("its `private_key` is no RSA key of 2048 to 4096 bits");
    let half = STANDARD.encode(&pkcs8()[..600]);
    let mut turned = pkcs8();
    turned[300] ^= 1;
    let p256 = rcgen::KeyPair::generate().unwrap().serialize_pem();
    for pem in [
        String::new(),
        "-----BEGIN PRIVATE KEY-----".into(),
        pem("PRIVATE KEY", ""),
        pem("PRIVATE KEY", "not base64"),
        pem("PRIVATE KEY", &half),
        pem("PRIVATE KEY", &STANDARD.encode(&turned)),
        pem("CERTIFICATE", &STANDARD.encode(pkcs8())),
        pem("RSA PRIVATE KEY", SMALL_KEY),
        p256,
    ] {
        assert_eq!(read(&file(&pem)).unwrap_err(), bad, "{pem}");
    }
    let encrypted = pem("ENCRYPTED PRIVATE KEY", "AAAA");
    assert_eq!(
        read(&file(&encrypted)).unwrap_err(),
        BadKeyFile("its `private_key` is encrypted")
    );
}

#[test]
fn other_files_of_consoles_are_told_from_a_service_accounts() {
    let cases = [
        (
            json!({ "type": "authorized_user", "client_id": "c", "refresh_token": "r" }),
            "person's login",
        ),
        (
            json!({ "installed": { "client_id": "c", "client_secret": "s" } }),
            "OAuth client's file",
        ),
        (
            json!({ "web": { "client_id": "c" } }),
            "OAuth client's file",
        ),
        (json!({ "type": "external_account" }), "elsewhere"),
        (json!({ "type": "robot" }), "`type`"),
        (json!({}), "`type`"),
        (json!({ "type": 7 }), "no JSON file"),
        (json!([]), "no JSON file"),
        (json!("x"), "no JSON file"),
    ];
    for (content, words) in cases {
        let error = read(&content).unwrap_err();
        assert!(error.0.contains(words), "{content}: {error}");
    }
    assert!(ServiceAccount::read(Secret::new("not JSON".into())).is_err());
}

#[test]
fn what_an_assertion_needs_must_be_there() {
    let cases = [
        ("private_key", Value::Null, "no `private_key`"),
        ("private_key", json!(7), "`private_key` is no text"),
        ("client_email", Value::Null, "no `client_email`"),
        ("client_email", json!("a b\u{1b}"), "no `client_email`"),
        ("token_uri", Value::Null, "`token_uri`"),
        (
            "token_uri",
            json!("http://oauth2.googleapis.com/token"),
            "`token_uri`",
        ),
        ("token_uri", json!("https://a@evil.example/"), "`token_uri`"),
    ];
    for (name, value, words) in cases {
        let mut content = file(&good_pem());
        content[name] = value;
        let error = read(&content).unwrap_err();
        assert!(error.0.contains(words), "{content}: {error}");
    }
    // without an id there is no `kid`
    let mut content = file(&good_pem());
    content["private_key_id"] = Value::Null;
    let signed = read(&content).unwrap().assertion(&[], 0).unwrap();
    assert_eq!(
        decoded(signed.expose().split('.').next().unwrap()),
        json!({ "alg": "RS256", "typ": "JWT" })
    );
}

/// O3
#[test]
fn debug_hides_the_key() {
    let account = read(&file(&good_pem())).unwrap();
    let shown = format!("{account:?}");
    assert!(shown.contains("robot@"));
    assert!(!shown.contains("PRIVATE") && !shown.contains("MII"));
}

/// The file's own buffer is the only place that holds the key until ours do.
#[test]
fn the_parser_points_into_the_file() {
    let file = Secret::new(file(&good_pem()).to_string());
    let content = KeyFile::parse(&file).unwrap();
    let key = content.private_key.unwrap().get().as_bytes().as_ptr_range();
    let whole = file.expose().as_bytes().as_ptr_range();
    assert!(whole.contains(&key.start) && whole.contains(&key.end));
}

proptest! {
    #[test]
    fn strings_say_what_the_parser_says_they_say(text in "\\PC{0,40}|[\\x00-\\x7f]{0,40}") {
        let raw = serde_json::to_string(&text).unwrap();
        if let Some(read) = unescaped(&raw) {
            prop_assert_eq!(read.as_str(), &text);
            prop_assert!(read.capacity() <= raw.len());
        } else {
            // no key has these
            let has_them = text.contains(['\u{8}', '\u{c}']);
            prop_assert!(has_them);
        }
    }

    /// O5
    #[test]
    fn no_text_makes_the_reader_panic(
        raw in "\"?[a-z\\\\u0-9\"\u{e9}]{0,20}\"?",
        pem in "(-----BEGIN |-----END |PRIVATE KEY|RSA |-----|\n|[A-Za-z0-9+/=]{0,9}){0,12}",
        whole in "\\PC{0,80}",
    ) {
        drop(unescaped(&raw));
        prop_assert!(signer(&pem).is_err());
        prop_assert!(ServiceAccount::read(Secret::new(whole)).is_err());
    }
}
