//! Known answers, the traps that other verifiers fell into, and properties: what is signed is
//! accepted, what differs in one bit is not.

use authsome_proto::Secret;
use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::webhooks::sign::{SignError, sign};

/// A point in time at which each vector's timestamp is fresh.
const STRIPE_TIME: i64 = 1_700_000_000;
const STANDARD_TIME: i64 = 1_614_265_330;

const DAY: i64 = 24 * 60 * 60;

const FIN: &str = "X-Fin-Agent-API-Webhook-Signature";
const FIN_SECRET: &str = "fin-test-signing-secret";
const FIN_BODY: &[u8] = br#"{"event_name":"fin_status_updated","conversation_id":"ext-123","user_id":"user-456","status":"resolved","created_at_ms":"2025-01-24T10:00:00.123Z"}"#;
const FIN_SIGNATURE: &str =
    "sha256=65eb1d7d2da421eef79c73e5a8f76d0c353d22a3e8127e79454d62e741fa80e8";

fn bundled(name: &str) -> Scheme {
    Scheme::bundled(name).unwrap()
}

fn keys(scheme: &Scheme, secrets: &[&str]) -> Vec<SigningKey> {
    let key = |text: &&str| scheme.key(&Secret::new((*text).to_owned())).unwrap();
    secrets.iter().map(key).collect()
}

fn headers<N: AsRef<str>, V: AsRef<str>>(lines: &[(N, V)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(
            HeaderName::try_from(name.as_ref()).unwrap(),
            HeaderValue::try_from(value.as_ref()).unwrap(),
        );
    }
    headers
}

fn judge(
    scheme: &Scheme,
    keys: &[SigningKey],
    headers: &HeaderMap,
    now: i64,
    body: &[u8],
) -> Result<Option<String>, Reason> {
    let mut verifier = Verifier::begin(scheme, keys, headers, now)?;
    verifier.update(body);
    verifier.finish()
}

/// The Fin scheme with its test secret, at a time that does not matter.
fn fin<N: AsRef<str>, V: AsRef<str>>(lines: &[(N, V)], body: &[u8]) -> Result<(), Reason> {
    let scheme = bundled("intercom-fin");
    let keys = keys(&scheme, &[FIN_SECRET]);
    judge(&scheme, &keys, &headers(lines), 0, body).map(drop)
}

#[test]
fn known_answers() {
    let standard = [
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        (
            "webhook-signature",
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
    ];
    let svix = standard.map(|(name, value)| (name.replace("webhook", "svix"), value));
    let non_ascii = "{\"event_name\":\"fin_replied\",\"conversation_id\":\"ext-123\",\"message\":{\"body\":\"<p>Grüße — 😀</p>\"}}\n";
    assert_eq!((FIN_BODY.len(), non_ascii.len()), (147, 102));
    for (scheme, secret, lines, body, now) in [
        ("intercom-fin", FIN_SECRET, headers(&[(FIN, FIN_SIGNATURE)]), FIN_BODY, 0),
        (
            "intercom-fin",
            FIN_SECRET,
            headers(&[(
                FIN,
                "sha256=65b6dde5ce6a7ab14e63c5186dd44162038bba22d849af6b8e9de02fb97e4ea2",
            )]),
            non_ascii.as_bytes(),
            0,
        ),
        (
            "intercom",
            "intercom-client-secret",
            headers(&[(
                "X-Hub-Signature",
                "sha1=55987c3967652dd46a005b06049dfb6acbb1e10d",
            )]),
            FIN_BODY,
            0,
        ),
        (
            "github",
            "It's a Secret to Everybody",
            headers(&[(
                "X-Hub-Signature-256",
                "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            )]),
            b"Hello, World!",
            0,
        ),
        (
            "stripe",
            "whsec_test",
            headers(&[(
                "Stripe-Signature",
                "t=1700000000,v1=c89214b5b5da833daed6f0b8c5bb6bd58cea9022bd80ccc78230f3942d632925",
            )]),
            br#"{"id":"evt_1"}"#,
            STRIPE_TIME,
        ),
        (
            "standard-webhooks",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            headers(&standard),
            br#"{"test": 2432232314}"#,
            STANDARD_TIME,
        ),
        (
            "standard-webhooks",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            headers(&svix),
            br#"{"test": 2432232314}"#,
            STANDARD_TIME,
        ),
        // Slack's own example, of its guide to verifying requests
        (
            "slack",
            "8f742231b10e8888abcd99yyyzzz85a5",
            headers(&[
                ("X-Slack-Request-Timestamp", "1531420618"),
                (
                    "X-Slack-Signature",
                    "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
                ),
            ]),
            b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
            1_531_420_618,
        ),
    ] {
        let scheme = bundled(scheme);
        let keys = keys(&scheme, &[secret]);
        let verdict = judge(&scheme, &keys, &lines, now, body);
        assert!(verdict.is_ok(), "{}: {verdict:?}", scheme.name);
    }
}

/// Trap 1: the sample of Intercom's page has 40 digits behind `sha256=`.
#[test]
fn trap_1_a_short_signature_is_never_one() {
    for signature in [
        &FIN_SIGNATURE[..7 + 40],
        &FIN_SIGNATURE[..7 + 62],
        "sha256=",
    ] {
        assert_eq!(
            fin(&[(FIN, signature)], FIN_BODY),
            Err(Reason::SignatureMalformed)
        );
    }
}

/// Trap 2.
#[test]
fn trap_2_a_secret_of_one_scheme_is_not_that_of_another() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let stripe = bundled("stripe");
    let stripped = keys(&stripe, &[secret.strip_prefix("whsec_").unwrap()]);
    let whole = keys(&stripe, &[secret]);
    let signed = sign(&stripe, &stripped[0], STRIPE_TIME, "", b"x").unwrap();
    let lines = headers(&signed);
    assert!(judge(&stripe, &stripped, &lines, STRIPE_TIME, b"x").is_ok());
    assert_eq!(
        judge(&stripe, &whole, &lines, STRIPE_TIME, b"x"),
        Err(Reason::SignatureWrong)
    );
}

/// Trap 3, W1: the endpoint says which header counts, whatever else is there.
#[test]
fn trap_3_a_request_cannot_choose_its_scheme() {
    let secret = "shared";
    let (github, intercom) = (bundled("github"), bundled("intercom"));
    let strong = sign(&github, &keys(&github, &[secret])[0], 0, "", b"x").unwrap();
    let weak = sign(&intercom, &keys(&intercom, &[secret])[0], 0, "", b"x").unwrap();
    let wrong = |signed: &[(String, String)]| {
        let (name, value) = &signed[0];
        let last = if value.ends_with('0') { "1" } else { "0" };
        (name.clone(), format!("{}{last}", &value[..value.len() - 1]))
    };
    let of = |scheme: &Scheme, lines: &[(String, String)]| {
        judge(scheme, &keys(scheme, &[secret]), &headers(lines), 0, b"x").map(drop)
    };
    assert_eq!(of(&github, &weak), Err(Reason::SignatureMissing));
    assert_eq!(of(&intercom, &strong), Err(Reason::SignatureMissing));
    assert_eq!(
        of(&github, &[weak[0].clone(), wrong(&strong)]),
        Err(Reason::SignatureWrong)
    );
    assert_eq!(
        of(&intercom, &[wrong(&weak), strong[0].clone()]),
        Err(Reason::SignatureWrong)
    );
    assert_eq!(of(&github, &[wrong(&weak), strong[0].clone()]), Ok(()));
    // nor does the text of one fit the header of the other
    let crossed = (strong[0].0.clone(), weak[0].1.clone());
    assert_eq!(of(&github, &[crossed]), Err(Reason::SignatureMalformed));
}

/// Trap 4: clocks that are wrong in either direction.
#[test]
fn trap_4_a_timestamp_is_compared_both_ways() {
    for name in ["stripe", "slack", "standard-webhooks"] {
        let scheme = bundled(name);
        let secrets = keys(&scheme, &["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]);
        let lines = headers(&sign(&scheme, &secrets[0], STRIPE_TIME, "m", b"x").unwrap());
        for (off, expected) in [
            (0, Ok(())),
            (300, Ok(())),
            (-300, Ok(())),
            (301, Err(Reason::TimestampOld)),
            (-301, Err(Reason::TimestampAhead)),
            (DAY, Err(Reason::TimestampOld)),
            (-DAY, Err(Reason::TimestampAhead)),
        ] {
            let verdict = judge(&scheme, &secrets, &lines, STRIPE_TIME + off, b"x");
            assert_eq!(verdict.map(drop), expected, "{name} {off}");
        }
    }
}

#[test]
fn a_timestamp_is_digits_and_nothing_else() {
    let scheme = bundled("slack");
    let secrets = keys(&scheme, &["s"]);
    let signed = sign(&scheme, &secrets[0], STRIPE_TIME, "", b"x").unwrap();
    let with = |timestamp: &str| {
        let mut signed = signed.clone();
        signed[0].1 = timestamp.into();
        judge(&scheme, &secrets, &headers(&signed), STRIPE_TIME, b"x").map(drop)
    };
    assert_eq!(signed[0].0, "X-Slack-Request-Timestamp");
    assert_eq!(with("1700000000"), Ok(()));
    for bad in [
        "",
        "-1700000000",
        "+1700000000",
        "1700000000.0",
        "1.7e9",
        "0x6553f100",
        " 1700000000",
        "1700000000 ",
        "1700000000,1700000000",
        "99999999999999999999",
        // milliseconds, and one zero more than there is room for
        "1700000000000",
        "0001700000000",
        "१७००००००००",
    ] {
        if HeaderValue::try_from(bad).is_ok() {
            assert_eq!(with(bad), Err(Reason::TimestampMalformed), "{bad:?}");
        }
    }
    // the same number, another text: it is what was signed that counts
    assert_eq!(with("01700000000"), Err(Reason::SignatureWrong));
    assert_eq!(with("001700000000"), Err(Reason::SignatureWrong));
    let missing = headers(&signed[1..]);
    assert_eq!(
        judge(&scheme, &secrets, &missing, STRIPE_TIME, b"x"),
        Err(Reason::TimestampMissing)
    );
}

/// Trap 5, W2: the bytes as they came.
#[test]
fn trap_5_nothing_is_decoded_or_mended_before_the_hash() {
    let scheme = bundled("intercom-fin");
    let keys = keys(&scheme, &[FIN_SECRET]);
    for body in [
        &b"{\"a\":1}\r\n"[..],
        b"\xef\xbb\xbf{}",
        b"\xff\xfe\x00not utf-8",
        b"{\"a\": 1 }",
        b"\x1f\x8b\x08\x00",
        b"a\0b",
    ] {
        let lines = headers(&sign(&scheme, &keys[0], 0, "", body).unwrap());
        assert!(judge(&scheme, &keys, &lines, 0, body).is_ok());
        let text = String::from_utf8_lossy(body);
        let mended = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
        if mended.as_bytes() != body {
            let verdict = judge(&scheme, &keys, &lines, 0, mended.as_bytes());
            assert_eq!(verdict, Err(Reason::SignatureWrong), "{mended:?}");
        }
    }
}

/// Trap 6: one header, one value; an empty body is signed like any other.
#[test]
fn trap_6_a_second_signature_is_a_failure_and_an_empty_body_is_not() {
    let wrong = FIN_SIGNATURE.replace('6', "7");
    for (lines, expected) in [
        (vec![], Reason::SignatureMissing),
        (
            vec![(FIN, FIN_SIGNATURE), (FIN, FIN_SIGNATURE)],
            Reason::SignatureRepeated,
        ),
        (
            vec![(FIN, FIN_SIGNATURE), (FIN, &wrong)],
            Reason::SignatureRepeated,
        ),
        (
            vec![(FIN, &wrong), (FIN, FIN_SIGNATURE)],
            Reason::SignatureRepeated,
        ),
        (
            vec![(FIN, &format!("{FIN_SIGNATURE},{FIN_SIGNATURE}"))],
            Reason::SignatureMalformed,
        ),
        (
            vec![(FIN, &format!("{FIN_SIGNATURE}, {wrong}"))],
            Reason::SignatureMalformed,
        ),
        (vec![(FIN, "")], Reason::SignatureMalformed),
    ] {
        assert_eq!(fin(&lines, FIN_BODY), Err(expected), "{lines:?}");
    }
    let scheme = bundled("intercom-fin");
    let keys = keys(&scheme, &[FIN_SECRET]);
    let lines = headers(&sign(&scheme, &keys[0], 0, "", b"").unwrap());
    assert!(judge(&scheme, &keys, &lines, 0, b"").is_ok());
    let unread = Verifier::begin(&scheme, &keys, &lines, 0).unwrap();
    assert!(unread.finish().is_ok(), "no chunk at all is the empty body");
    assert_eq!(
        judge(&scheme, &[], &lines, 0, b""),
        Err(Reason::NoSecret),
        "no secret is never a good one"
    );
}

/// Trap 7: hex in either case; nothing around it.
#[test]
fn trap_7_the_signature_is_compared_as_bytes_and_read_strictly() {
    let (prefix, digits) = FIN_SIGNATURE.split_at(7);
    let upper = format!("{prefix}{}", digits.to_uppercase());
    assert_eq!(fin(&[(FIN, upper)], FIN_BODY), Ok(()));
    for bad in [
        digits.to_owned(),
        format!("SHA256={digits}"),
        format!("sha256:{digits}"),
        format!("sha1={digits}"),
        format!("{prefix} {digits}"),
        format!("{prefix}0x{digits}"),
        format!("{FIN_SIGNATURE} "),
        format!(" {FIN_SIGNATURE}"),
        format!("{FIN_SIGNATURE}\t"),
        format!("\"{FIN_SIGNATURE}\""),
    ] {
        assert_eq!(
            fin(&[(FIN, &bad)], FIN_BODY),
            Err(Reason::SignatureMalformed),
            "{bad:?}"
        );
    }
}

/// Trap 9: any live secret will do, wherever it stands; one that is not live will not.
#[test]
fn trap_9_each_of_several_live_secrets_is_tried() {
    let scheme = bundled("github");
    let secrets = ["one", "two", "three"];
    let live = keys(&scheme, &secrets);
    for key in &live {
        let lines = headers(&sign(&scheme, key, 0, "", b"x").unwrap());
        assert!(judge(&scheme, &live, &lines, 0, b"x").is_ok());
    }
    let lines = headers(&sign(&scheme, &live[0], 0, "", b"x").unwrap());
    assert_eq!(
        judge(&scheme, &live[1..], &lines, 0, b"x"),
        Err(Reason::SignatureWrong)
    );
    // every secret has its own hash under way: none is left out once one fits
    let verifier = Verifier::begin(&scheme, &live, &lines, 0).unwrap();
    assert_eq!(verifier.macs.len(), secrets.len());
}

#[test]
fn lists_hold_several_signatures_and_those_of_other_versions_do_not_count() {
    let scheme = bundled("stripe");
    let secrets = keys(&scheme, &["whsec_test"]);
    let good = "c89214b5b5da833daed6f0b8c5bb6bd58cea9022bd80ccc78230f3942d632925";
    let wrong = good.replace('c', "d");
    let of = |value: &str| {
        let lines = headers(&[("Stripe-Signature", value)]);
        judge(&scheme, &secrets, &lines, STRIPE_TIME, br#"{"id":"evt_1"}"#).map(drop)
    };
    let t = "t=1700000000";
    for good in [
        format!("{t},v1={good}"),
        format!("v1={good},{t}"),
        format!("{t},v1={wrong},v1={good}"),
        format!("{t},v1={good},v1={wrong}"),
        format!("{t},v1={good},v0={wrong}"),
        format!("{t},v1=short,v1={good}"),
        format!("{t}{}", format!(",v1={good}").repeat(SIGNATURES_MAX)),
    ] {
        assert_eq!(of(&good), Ok(()), "{good}");
    }
    for (bad, expected) in [
        (format!("{t},v0={good}"), Reason::SignatureMalformed),
        (format!("{t},v1={wrong},v0={good}"), Reason::SignatureWrong),
        (format!("v1={good}"), Reason::TimestampMissing),
        (
            format!("{t},t=1700000001,v1={good}"),
            Reason::TimestampRepeated,
        ),
        (format!("{t}, v1={good}"), Reason::SignatureMalformed),
        (t.to_owned(), Reason::SignatureMalformed),
        (
            format!("{t}{}", format!(",v1={good}").repeat(SIGNATURES_MAX + 1)),
            Reason::SignatureMalformed,
        ),
    ] {
        assert_eq!(of(&bad), Err(expected), "{bad}");
    }
}

#[test]
fn both_spellings_of_standard_webhooks_must_agree_if_both_are_there() {
    let scheme = bundled("standard-webhooks");
    let secrets = keys(&scheme, &["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]);
    let ours = sign(&scheme, &secrets[0], STANDARD_TIME, "msg_1", b"x").unwrap();
    let svix = |signed: &[(String, String)]| -> Vec<_> {
        let renamed = signed
            .iter()
            .map(|(name, value)| (name.replace("webhook", "svix"), value.clone()));
        renamed.collect()
    };
    let of =
        |lines: &[(String, String)]| judge(&scheme, &secrets, &headers(lines), STANDARD_TIME, b"x");
    let both = [ours.clone(), svix(&ours)].concat();
    assert_eq!(of(&both), Ok(Some("msg_1".into())));
    let other = sign(&scheme, &secrets[0], STANDARD_TIME, "msg_2", b"x").unwrap();
    assert_eq!(
        of(&[ours.clone(), svix(&other)].concat()),
        Err(Reason::HeadersDisagree)
    );
    // half of each is nothing
    assert_eq!(
        of(&[&ours[1..], &svix(&ours)[..1]].concat()),
        Err(Reason::IdMissing)
    );
}

#[test]
fn an_id_that_could_be_taken_for_something_else_is_refused() {
    let scheme = bundled("standard-webhooks");
    let secrets = keys(&scheme, &["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]);
    let longest = "x".repeat(ID_MAX);
    let signed = sign(&scheme, &secrets[0], STANDARD_TIME, &longest, b"x").unwrap();
    let verdict = judge(&scheme, &secrets, &headers(&signed), STANDARD_TIME, b"x");
    assert_eq!(verdict, Ok(Some(longest)));
    let long = "x".repeat(ID_MAX + 1);
    for id in ["", "a.b", "a b", "é", &long] {
        let lines = headers(&[
            ("webhook-id", id),
            ("webhook-timestamp", "1614265330"),
            (
                "webhook-signature",
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ),
        ]);
        assert_eq!(
            judge(&scheme, &secrets, &lines, STANDARD_TIME, b"x"),
            Err(Reason::IdMalformed),
            "{id:?}"
        );
    }
}

#[test]
fn what_would_be_refused_is_not_signed() {
    let standard = bundled("standard-webhooks");
    let secrets = keys(&standard, &["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]);
    for id in ["", "a b", "a.b", "é"] {
        let signed = sign(&standard, &secrets[0], STANDARD_TIME, id, b"x");
        assert_eq!(signed, Err(SignError::Id), "{id:?}");
        // where no id is signed none is asked for
        assert!(sign(&bundled("github"), &secrets[0], 0, id, b"x").is_ok());
    }
}

#[test]
fn every_reason_has_a_code_and_words_of_its_own() {
    let codes: std::collections::BTreeSet<_> = Reason::ALL.map(Reason::code).into();
    let words: std::collections::BTreeSet<_> = Reason::ALL.map(|reason| reason.to_string()).into();
    assert_eq!(
        (codes.len(), words.len()),
        (Reason::ALL.len(), Reason::ALL.len())
    );
}

/// Every bundled scheme, and some of one's own.
fn any_scheme() -> impl Strategy<Value = (Scheme, &'static str)> {
    let own = |algorithm: &str, signed: &str, rest: &str, secret: &str| {
        let text = format!(
            r#"{{"v":1,"name":"own","algorithm":"{algorithm}","encoding":"base64","secret":"{secret}",
                "signature":{{"header":"x-sig"}},"signed":"{signed}"{rest}}}"#
        );
        Scheme::parse(&text).unwrap()
    };
    let timed = r#","timestamp":{"header":"x-time"},"id":{"header":"x-id"}"#;
    let whsec = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    prop::sample::select(vec![
        (bundled("intercom-fin"), "text"),
        (bundled("intercom"), "text"),
        (bundled("github"), "text"),
        (bundled("slack"), "text"),
        (bundled("stripe"), whsec),
        (bundled("standard-webhooks"), whsec),
        (own("sha512", "{body}", "", "hex"), "00ff"),
        (
            own("sha1", "{body}/{id}/{timestamp}", timed, "base64"),
            "AP8=",
        ),
    ])
}

/// Flips one bit of `bytes`.
fn flipped(bytes: &[u8], at: prop::sample::Index, bit: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = at.index(bytes.len());
    bytes[at] ^= 1 << bit;
    bytes
}

proptest! {
    #[test]
    fn what_is_signed_is_accepted_in_any_pieces_and_with_one_flipped_bit_it_is_not(
        (scheme, secret) in any_scheme(),
        body in proptest::collection::vec(any::<u8>(), 1..300),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..4),
        id in "[a-zA-Z0-9_-]{1,20}",
        time in 1_000_000_000_i64..2_000_000_000,
        at in any::<prop::sample::Index>(),
        bit in 0u8..8,
    ) {
        let secrets = keys(&scheme, &[secret]);
        let signed = sign(&scheme, &secrets[0], time, &id, &body).unwrap();
        let lines = headers(&signed);

        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(body.len())).collect();
        cuts.sort_unstable();
        let mut verifier = Verifier::begin(&scheme, &secrets, &lines, time).unwrap();
        let mut from = 0;
        for cut in cuts {
            verifier.update(&body[from..cut]);
            from = cut;
        }
        verifier.update(&body[from..]);
        let expected = scheme.signed.has_id().then(|| id.clone());
        prop_assert_eq!(verifier.finish(), Ok(expected));

        // the body
        let other = flipped(&body, at, bit);
        prop_assert_eq!(
            judge(&scheme, &secrets, &lines, time, &other),
            Err(Reason::SignatureWrong)
        );
        // the key
        let key = SigningKey::new(&flipped(b"another key", at, bit)).unwrap();
        prop_assert_eq!(
            judge(&scheme, &[key], &lines, time, &body),
            Err(Reason::SignatureWrong)
        );
        // every header: signature, timestamp, id
        for line in 0..signed.len() {
            let mut changed = signed.clone();
            let value = flipped(signed[line].1.as_bytes(), at, bit);
            let Ok(value) = HeaderValue::from_bytes(&value) else { continue };
            // the other case of a hex digit is the same digit
            let same_hex = scheme.encoding == crate::webhooks::scheme::Encoding::Hex
                && line + 1 == signed.len()
                && value.as_bytes().eq_ignore_ascii_case(signed[line].1.as_bytes())
                && value.as_bytes()[..3] == signed[line].1.as_bytes()[..3];
            changed.remove(line);
            let mut lines = headers(&changed);
            lines.append(HeaderName::try_from(signed[line].0.as_str()).unwrap(), value.clone());
            let verdict = judge(&scheme, &secrets, &lines, time, &body);
            prop_assert!(verdict.is_err() || same_hex, "{} {:?}", signed[line].0, value);
        }
    }

    /// One flipped bit of the secret itself, where it is text.
    #[test]
    fn a_secret_that_differs_in_one_bit_is_another(
        secret in "[ -~]{1,40}", at in any::<prop::sample::Index>(), bit in 0u8..7,
    ) {
        let scheme = bundled("github");
        let lines = headers(&sign(&scheme, &keys(&scheme, &[&secret])[0], 0, "", b"x").unwrap());
        let other = String::from_utf8(flipped(secret.as_bytes(), at, bit)).unwrap();
        // HMAC pads keys with zeros: a key and the same with a zero behind it are one key
        prop_assume!(!other.ends_with('\0'));
        prop_assert_eq!(
            judge(&scheme, &keys(&scheme, &[&other]), &lines, 0, b"x"),
            Err(Reason::SignatureWrong)
        );
    }

    #[test]
    fn any_headers_are_judged_without_a_panic_and_refused(
        (scheme, secret) in any_scheme(),
        lines in proptest::collection::vec((0usize..4, "[ -~]{0,80}"), 0..6),
    ) {
        let family = scheme.families[0].clone();
        let mut map = HeaderMap::new();
        for (which, value) in lines {
            let name = match which {
                0 => Some(family.signature.name.clone()),
                1 => family.timestamp.as_ref().map(|it| it.name.clone()),
                2 => family.id.as_ref().map(|it| it.name.clone()),
                _ => HeaderName::try_from("stripe-signature").ok(),
            };
            if let (Some(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
                map.append(name, value);
            }
        }
        let secrets = keys(&scheme, &[secret]);
        prop_assert!(judge(&scheme, &secrets, &map, STRIPE_TIME, b"x").is_err());
    }
}
