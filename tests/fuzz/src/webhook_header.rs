//! Whatever headers a delivery has, it is accepted exactly if somebody who reads the sender's
//! documents would accept it: the signature is the sender's, of
//! these bytes, in the one place where it belongs, and young enough.
//!
//! An input is the name of a scheme, then headers, a line each, an empty line, and the body. In a
//! value `GOOD` stands for the right signature, as its sender writes it, and `OLD` for the one of the
//! secret that was live before. Our clock stands at [`NOW`].

use std::sync::LazyLock;

use authsomed::webhooks::mac::SigningKey;
use authsomed::webhooks::scheme::Scheme;
use authsomed::webhooks::verify::Verifier;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Our clock.
const NOW: i64 = 1_700_000_000;

/// Both are live; the sender has begun to sign with the first one.
const KEYS: [&[u8]; 2] = [b"the secret of today", b"the secret of yesterday"];

static SCHEMES: LazyLock<Vec<Scheme>> = LazyLock::new(|| Scheme::all_bundled().collect());
static SIGNING_KEYS: LazyLock<Vec<SigningKey>> =
    LazyLock::new(|| KEYS.into_iter().filter_map(SigningKey::new).collect());

/// See the module.
pub fn check(input: &[u8]) {
    let (head, body) = match input.windows(2).position(|two| two == b"\n\n") {
        Some(end) => (&input[..end], &input[end + 2..]),
        None => (input, &b""[..]),
    };
    let mut lines = head.split(|byte| *byte == b'\n');
    let name = lines.next().unwrap_or_default();
    let Some(scheme) = SCHEMES
        .iter()
        .find(|it| it.name.as_str().as_bytes() == name)
    else {
        return;
    };
    let said: Vec<(HeaderName, Vec<u8>)> = lines
        .filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = HeaderName::from_bytes(&line[..colon]).ok()?;
            Some((name, line[colon + 1..].trim_ascii().to_vec()))
        })
        .collect();
    let sender = Sender::of(scheme.name.as_str());
    let signatures = KEYS.map(|key| sender.signature(key, &said, body));
    let mut headers = HeaderMap::new();
    for (name, value) in said {
        let value = replaced(
            &replaced(&value, b"GOOD", &signatures[0]),
            b"OLD",
            &signatures[1],
        );
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            headers.append(name, value);
        }
    }

    let accepted =
        Verifier::begin(scheme, &SIGNING_KEYS, &headers, NOW).and_then(|mut verifier| {
            // how the body is cut is none of the sender's
            for chunk in body.chunks(7) {
                verifier.update(chunk);
            }
            verifier.finish()
        });
    let id = accepted.as_ref().ok().cloned();
    assert_eq!(
        id.map(Option::unwrap_or_default),
        sender.accepts(&headers, body),
        "{accepted:?} for {headers:?}"
    );
}

/// How a sender signs, out of its documents and not out of ours.
struct Sender {
    /// The names of the headers with signature, timestamp and id; of two spellings each.
    families: Vec<[Option<&'static str>; 3]>,
    /// Before a signature.
    prefix: &'static str,
    /// Between the elements of a list.
    separator: Option<char>,
    /// Before a timestamp in the list.
    listed_time: Option<&'static str>,
    /// What is signed, of timestamp, id and body.
    signed: fn(&str, &str, &[u8]) -> Vec<u8>,
    is_base64: bool,
    is_sha1: bool,
}

impl Sender {
    fn of(scheme: &str) -> Self {
        let plain = |header, prefix| Self {
            families: vec![[Some(header), None, None]],
            prefix,
            separator: None,
            listed_time: None,
            signed: |_, _, body| body.to_vec(),
            is_base64: false,
            is_sha1: false,
        };
        match scheme {
            "github" => plain("x-hub-signature-256", "sha256="),
            "intercom-fin" => plain("x-fin-agent-api-webhook-signature", "sha256="),
            "intercom" => Self {
                is_sha1: true,
                ..plain("x-hub-signature", "sha1=")
            },
            "slack" => Self {
                families: vec![[
                    Some("x-slack-signature"),
                    Some("x-slack-request-timestamp"),
                    None,
                ]],
                signed: |time, _, body| [format!("v0:{time}:").as_bytes(), body].concat(),
                ..plain("x-slack-signature", "v0=")
            },
            "stripe" => Self {
                separator: Some(','),
                listed_time: Some("t="),
                signed: |time, _, body| [format!("{time}.").as_bytes(), body].concat(),
                ..plain("stripe-signature", "v1=")
            },
            "standard-webhooks" => Self {
                families: vec![
                    [
                        Some("webhook-signature"),
                        Some("webhook-timestamp"),
                        Some("webhook-id"),
                    ],
                    [
                        Some("svix-signature"),
                        Some("svix-timestamp"),
                        Some("svix-id"),
                    ],
                ],
                separator: Some(' '),
                signed: |time, id, body| [format!("{id}.{time}.").as_bytes(), body].concat(),
                is_base64: true,
                ..plain("webhook-signature", "v1,")
            },
            other => panic!("no sender is known for {other}"),
        }
    }

    /// The signature of a body under the first timestamp and id that the headers name.
    fn signature(&self, key: &[u8], said: &[(HeaderName, Vec<u8>)], body: &[u8]) -> Vec<u8> {
        let first = |place: usize| {
            let names = self.families.iter().filter_map(|family| family[place]);
            let values = names.filter_map(|name| said.iter().find(|(known, _)| known == name));
            let mut values = values.map(|(_, value)| String::from_utf8_lossy(value).into_owned());
            values.next().unwrap_or_default()
        };
        let time = match self.listed_time {
            None => first(1),
            Some(prefix) => first(0)
                .split(self.separator.unwrap_or(','))
                .find_map(|element| element.strip_prefix(prefix).map(str::to_owned))
                .unwrap_or_default(),
        };
        self.sign(key, &time, &first(2), body).into_bytes()
    }

    fn sign(&self, key: &[u8], time: &str, id: &str, body: &[u8]) -> String {
        let signed = (self.signed)(time, id, body);
        let digest = if self.is_sha1 {
            hmac::<Sha1>(key, &signed)
        } else {
            hmac::<Sha256>(key, &signed)
        };
        if self.is_base64 {
            STANDARD.encode(digest)
        } else {
            digest.iter().map(|byte| format!("{byte:02x}")).collect()
        }
    }

    /// The id of a delivery that is the sender's; empty, if the scheme has none.
    fn accepts(&self, headers: &HeaderMap, body: &[u8]) -> Option<String> {
        let mut said = Vec::new();
        for family in &self.families {
            if headers.contains_key(family[0]?) {
                // each header once, and nothing in it that is no text
                let mut values = Vec::new();
                for name in family.iter().flatten() {
                    let all: Vec<_> = headers.get_all(*name).iter().collect();
                    match all.as_slice() {
                        [one] => values.push(one.to_str().ok()?.to_owned()),
                        _ => return None,
                    }
                }
                said.push(values);
            }
        }
        let first = said.first()?;
        if said.iter().any(|other| other != first) {
            return None;
        }
        let elements: Vec<&str> = match self.separator {
            Some(separator) => first[0].split(separator).collect(),
            None => vec![&first[0]],
        };
        let time = match self.listed_time {
            Some(prefix) => {
                let mut times = elements.iter().filter_map(|it| it.strip_prefix(prefix));
                let time = times.next()?;
                if times.next().is_some() {
                    return None;
                }
                Some(time)
            }
            None => first.get(1).map(String::as_str),
        };
        if let Some(time) = time {
            let is_number = !time.is_empty() && time.chars().all(|it| it.is_ascii_digit());
            let is_near = |time: i64| (time - NOW).abs() <= 300;
            if !is_number || time.len() > 12 || !time.parse().is_ok_and(is_near) {
                return None;
            }
        }
        let id = first.get(2);
        let is_plain = |id: &String| {
            (1..=256).contains(&id.len()) && id.chars().all(|it| it.is_ascii_graphic() && it != '.')
        };
        if !id.is_none_or(is_plain) {
            return None;
        }
        let presented: Vec<&str> = elements
            .iter()
            .filter_map(|element| element.strip_prefix(self.prefix))
            .filter(|signature| self.is_signature(signature))
            .collect();
        if presented.len() > 16 {
            return None;
        }
        let (time, text) = (time.unwrap_or_default(), id.map_or("", String::as_str));
        let is_right = KEYS.iter().any(|key| {
            let right = self.sign(key, time, text, body);
            let mut all = presented.iter();
            if self.is_base64 {
                all.any(|signature| **signature == right)
            } else {
                all.any(|signature| signature.eq_ignore_ascii_case(&right))
            }
        });
        is_right.then(|| text.to_owned())
    }

    /// Whether it has the form of one; others in a list do not count.
    fn is_signature(&self, text: &str) -> bool {
        let len = if self.is_sha1 { 20 } else { 32 };
        if self.is_base64 {
            STANDARD.decode(text).is_ok_and(|bytes| bytes.len() == len)
        } else {
            text.len() == 2 * len && text.chars().all(|it| it.is_ascii_hexdigit())
        }
    }
}

/// RFC 2104, section 2, for hashes with blocks of 64 bytes and keys that are no longer.
fn hmac<D: Digest>(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let inner = D::new()
        .chain_update(block.map(|byte| byte ^ 0x36))
        .chain_update(text)
        .finalize();
    let outer = D::new()
        .chain_update(block.map(|byte| byte ^ 0x5c))
        .chain_update(inner)
        .finalize();
    outer.to_vec()
}

fn replaced(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(from.len()).position(|it| it == from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}
