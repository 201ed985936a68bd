//! Whatever a server does with a path, it never disagrees with what was decided about it (threat D5).
//!
//! An input is `STEPS PATH`: letters of [`Step`], a space, a path. The path is read by every server of
//! [`SERVERS`] and by one that takes the given steps in the given order. The steps are written anew,
//! naively, and share nothing with the code under test.

use std::sync::LazyLock;

use authsomed::routing::{Authority, PathScope, RawPath, RouteTable};

use super::routes::{judge, route};

/// Most steps of a server that the fuzzer makes up: longer rows only repeat shorter ones.
const STEPS_MAX: usize = 8;

/// One thing that servers do to a path on the way to their routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Takes `\` for `/`.
    Backslash,
    /// Takes characters that look like ASCII for ASCII, and drops those that show nothing.
    BestFit,
    /// Removes control characters.
    Controls,
    /// Removes one layer of percent encoding; leaves what is no escape.
    Decode,
    /// Removes one layer of `%uXXXX`.
    DecodeWide,
    /// Folds case.
    Fold,
    /// Makes one slash of several.
    Merge,
    /// Ends the path at a NUL.
    Nul,
    /// Takes overlong UTF-8 for what it encodes.
    Overlong,
    /// Drops `;parameters` of each segment.
    Parameters,
    /// Ends the path at the first `;`.
    ParametersAll,
    /// Takes `+` for a space.
    Plus,
    /// Ends the path at `?` or `#`.
    Query,
    /// Resolves dot segments.
    Resolve,
    /// Drops spaces around each segment.
    Spaces,
    /// Drops dots and spaces at the end of each segment.
    Trim,
}

use Step::{
    Backslash, BestFit, Controls, Decode, DecodeWide, Fold, Merge, Nul, Overlong, Parameters,
    ParametersAll, Plus, Query, Resolve, Spaces, Trim,
};

/// Every step with its letter.
const STEPS: [(u8, Step); 16] = [
    (b'b', Backslash),
    (b'i', BestFit),
    (b'c', Controls),
    (b'd', Decode),
    (b'w', DecodeWide),
    (b'f', Fold),
    (b'm', Merge),
    (b'0', Nul),
    (b'o', Overlong),
    (b'p', Parameters),
    (b'a', ParametersAll),
    (b'+', Plus),
    (b'q', Query),
    (b'r', Resolve),
    (b's', Spaces),
    (b't', Trim),
];

/// Servers that are always asked. The names say whom each resembles, not that it is a copy.
const SERVERS: &[(&str, &[Step])] = &[
    ("as it is", &[]),
    ("RFC 3986", &[Resolve]),
    ("nginx", &[Decode, Merge, Resolve]),
    (
        "nginx before an upstream",
        &[Decode, Merge, Resolve, Decode],
    ),
    ("Apache", &[Resolve, Decode, Resolve, Merge]),
    ("WHATWG", &[Controls, Backslash, Resolve]),
    (
        "WHATWG and a router",
        &[Controls, Backslash, Resolve, Decode],
    ),
    ("decodes before it splits", &[Decode, Resolve]),
    ("decodes twice", &[Decode, Decode, Merge, Resolve]),
    ("decodes three times", &[Decode, Decode, Decode, Resolve]),
    ("Tomcat", &[Parameters, Decode, Merge, Resolve]),
    ("Jetty", &[Decode, Parameters, Resolve, Merge]),
    (
        "parameters behind a decoder",
        &[Decode, Parameters, Decode, Resolve],
    ),
    ("path info", &[ParametersAll, Decode, Merge, Resolve]),
    (
        "IIS",
        &[Decode, DecodeWide, Backslash, Trim, Merge, Resolve, Fold],
    ),
    (
        "a file system that folds case",
        &[Decode, Fold, Trim, Merge, Resolve],
    ),
    ("a form decoder", &[Plus, Decode, Spaces, Merge, Resolve]),
    ("C strings", &[Decode, Nul, Merge, Resolve]),
    ("an old decoder", &[Decode, Overlong, Resolve]),
    ("best fit", &[Decode, BestFit, Fold, Resolve]),
    ("decodes the query", &[Decode, Query, Merge, Resolve]),
];

impl Step {
    fn take(self, path: Vec<u8>) -> Vec<u8> {
        match self {
            Backslash => map(path, |byte| if byte == b'\\' { b'/' } else { byte }),
            BestFit => best_fit(path),
            Controls => path.into_iter().filter(|b| !b.is_ascii_control()).collect(),
            Decode => decode(&path),
            DecodeWide => decode_wide(&path),
            Fold => path.to_ascii_lowercase(),
            Merge => {
                let mut out = Vec::with_capacity(path.len());
                for byte in path {
                    if byte != b'/' || out.last() != Some(&b'/') {
                        out.push(byte);
                    }
                }
                out
            }
            Nul => until(path, b"\0"),
            Overlong => overlong(&path),
            Parameters => each(&path, |segment| {
                segment.split(|b| *b == b';').next().unwrap()
            }),
            ParametersAll => until(path, b";"),
            Plus => map(path, |byte| if byte == b'+' { b' ' } else { byte }),
            Query => until(path, b"?#"),
            Resolve => resolve(&path),
            Spaces => each(&path, |segment| trim_start(trim_end(segment, b" "))),
            Trim => each(&path, |segment| trim_end(segment, b". ")),
        }
    }
}

fn map(path: Vec<u8>, change: impl Fn(u8) -> u8) -> Vec<u8> {
    path.into_iter().map(change).collect()
}

fn until(mut path: Vec<u8>, ends: &[u8]) -> Vec<u8> {
    let end = path.iter().position(|byte| ends.contains(byte));
    path.truncate(end.unwrap_or(path.len()));
    path
}

fn each(path: &[u8], change: impl Fn(&[u8]) -> &[u8]) -> Vec<u8> {
    let segments: Vec<&[u8]> = path.split(|byte| *byte == b'/').map(change).collect();
    segments.join(&b'/')
}

fn trim_end<'s>(segment: &'s [u8], ends: &[u8]) -> &'s [u8] {
    let end = segment.iter().rposition(|byte| !ends.contains(byte));
    &segment[..end.map_or(0, |at| at + 1)]
}

fn trim_start(segment: &[u8]) -> &[u8] {
    let start = segment.iter().position(|byte| *byte != b' ');
    &segment[start.unwrap_or(segment.len())..]
}

fn resolve(path: &[u8]) -> Vec<u8> {
    let mut out: Vec<&[u8]> = Vec::new();
    for segment in path.split(|byte| *byte == b'/').skip(1) {
        match segment {
            b"." => {}
            b".." => drop(out.pop()),
            _ => out.push(segment),
        }
    }
    [b"/", out.join(&b'/').as_slice()].concat()
}

/// The value of `digits` as a hexadecimal number, if they are all there and all digits.
fn hex(digits: Option<&[u8]>) -> Option<u32> {
    let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    u32::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

fn decode(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut at = 0;
    while at < path.len() {
        let value = hex(path.get(at + 1..at + 3)).filter(|_| path[at] == b'%');
        if let Some(value) = value {
            out.push(u8::try_from(value).expect("two digits"));
            at += 3;
        } else {
            out.push(path[at]);
            at += 1;
        }
    }
    out
}

fn decode_wide(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut at = 0;
    while at < path.len() {
        let wide = path[at] == b'%' && matches!(path.get(at + 1), Some(b'u' | b'U'));
        let value = hex(path.get(at + 2..at + 6)).filter(|_| wide);
        if let Some(found) = value.and_then(char::from_u32) {
            out.extend_from_slice(found.encode_utf8(&mut [0; 4]).as_bytes());
            at += 6;
        } else {
            out.push(path[at]);
            at += 1;
        }
    }
    out
}

/// Reads UTF-8 without asking for the shortest form: the length by the first byte, six bits of each
/// byte behind it.
fn overlong(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut at = 0;
    while at < path.len() {
        let (length, bits) = match path[at] {
            first @ 0xc0..=0xdf => (2, first & 0x1f),
            first @ 0xe0..=0xef => (3, first & 0x0f),
            first @ 0xf0..=0xf7 => (4, first & 0x07),
            first @ 0xf8..=0xfb => (5, first & 0x03),
            first @ 0xfc..=0xfd => (6, first & 0x01),
            first => (1, first),
        };
        let rest = path.get(at + 1..at + length).unwrap_or_default();
        let follows = rest.len() + 1 == length && rest.iter().all(|b| (0x80..0xc0).contains(b));
        let value = rest
            .iter()
            .fold(u64::from(bits), |value, b| value << 6 | u64::from(b & 0x3f));
        match u8::try_from(value).ok().filter(u8::is_ascii) {
            Some(found) if follows && length > 1 => {
                out.push(found);
                at += length;
            }
            _ => {
                out.push(path[at]);
                at += 1;
            }
        }
    }
    out
}

/// A few of the substitutions that compatibility normalisation and code pages make.
fn best_fit(path: Vec<u8>) -> Vec<u8> {
    let text = match String::from_utf8(path) {
        Ok(text) => text,
        Err(error) => return error.into_bytes(),
    };
    let mut out = String::with_capacity(text.len());
    for found in text.chars() {
        match found {
            '\u{ff01}'..='\u{ff5e}' => out.extend(char::from_u32(u32::from(found) - 0xfee0)),
            '\u{fb01}' => out.push_str("fi"),
            '\u{2024}' | '\u{fe52}' => out.push('.'),
            '\u{2025}' => out.push_str(".."),
            '\u{2026}' => out.push_str("..."),
            '\u{fe68}' => out.push('\\'),
            '\u{37e}' | '\u{fe54}' => out.push(';'),
            '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{3000}' => out.push(' '),
            '\u{17f}' => out.push('s'),
            '\u{130}' | '\u{131}' | '\u{ed}' | '\u{2139}' | '\u{2170}' | '\u{24d8}' => {
                out.push('i');
            }
            '\u{f1}' | '\u{207f}' | '\u{24dd}' => out.push('n'),
            '\u{24d5}' | '\u{1da0}' => out.push('f'),
            '\u{ad}'
            | '\u{200b}'..='\u{200d}'
            | '\u{2060}'
            | '\u{feff}'
            | '\u{300}'..='\u{36f}' => {}
            _ => out.push(found),
        }
    }
    out.into_bytes()
}

/// The path as a server of these steps routes it.
pub fn read(steps: &[Step], path: &str) -> Vec<u8> {
    steps
        .iter()
        .fold(path.as_bytes().to_vec(), |path, step| step.take(path))
}

/// Whether a path, as a server routes it, lies below `prefix`.
pub fn is_inside(path: &[u8], prefix: &str) -> bool {
    path.strip_prefix(prefix.as_bytes())
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
}

/// The scopes that paths are held against.
const PREFIXES: [&str; 4] = ["/fin", "/fin/start", "/V1/a+b", "/a"];

static SCOPES: LazyLock<Vec<PathScope>> = LazyLock::new(|| {
    let scopes = PREFIXES.iter().map(|prefix| PathScope::parse(prefix));
    scopes.collect::<Result<_, _>>().expect("scopes")
});

static DIALLED: LazyLock<Authority> =
    LazyLock::new(|| Authority::parse("api.intercom.io:443", None).expect("an authority"));

/// The REST key with its exception, and the Fin key: both, and each alone.
static TABLES: LazyLock<[RouteTable<()>; 4]> = LazyLock::new(|| {
    let rest = || route("rest", "api.intercom.io", "/**", &["/fin/**"]);
    let open = || route("rest", "api.intercom.io", "/**", &[]);
    let fin = || route("fin", "api.intercom.io", "/fin/**", &[]);
    [
        RouteTable::build(vec![rest(), fin()]),
        RouteTable::build(vec![fin(), open()]),
        RouteTable::build(vec![rest()]),
        RouteTable::build(vec![fin()]),
    ]
});

/// See the module.
pub fn check(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else {
        return;
    };
    let (letters, path) = text.split_once(' ').unwrap_or(("", text));
    let steps: Vec<Step> = letters
        .bytes()
        .filter_map(|letter| STEPS.iter().find(|known| known.0 == letter))
        .map(|known| known.1)
        .take(STEPS_MAX)
        .collect();

    // what was decided
    let hosts: &[&[u8]] = &[b"api.intercom.io"];
    let keys = TABLES
        .each_ref()
        .map(|table| judge(table, &DIALLED, hosts, path));
    // the exception changes nothing as long as the narrower route is there
    assert_eq!(keys[0], keys[1], "{path:?}");
    let Ok(raw) = RawPath::parse(path) else {
        assert!(keys.iter().all(Result::is_err), "{path:?}");
        return;
    };
    assert_eq!(raw.as_str(), path, "what is judged is what is sent");
    let claims: Vec<(bool, bool)> = SCOPES
        .iter()
        .map(|scope| (scope.matches(&raw), scope.may_match(&raw)))
        .collect();

    // against what servers make of it
    let made_up = ("made up", steps.as_slice());
    for (server, steps) in SERVERS.iter().copied().chain([made_up]) {
        let there = read(steps, path);
        let shown = || format!("{path:?} by {server} {steps:?}: {}", there.escape_ascii());
        for (prefix, (matches, may_match)) in PREFIXES.iter().zip(&claims) {
            let inside = is_inside(&there, prefix);
            // folding the case of a scope that has upper case leaves it; that server has no such route
            let folded = steps.contains(&Fold) && prefix.bytes().any(|b| b.is_ascii_uppercase());
            let spaced = steps.contains(&Plus) && prefix.contains('+');
            assert!(
                !matches || inside || folded || spaced,
                "led out of {prefix}: {}",
                shown()
            );
            assert!(*may_match || !inside, "led into {prefix}: {}", shown());
            assert!(*may_match || !matches, "{}", shown());
        }
        let fin = is_inside(&there, "/fin");
        for key in &keys {
            match key {
                Ok(Some("fin")) => assert!(fin, "the Fin key for another path: {}", shown()),
                Ok(Some(_)) => assert!(!fin, "the REST key for the Fin API: {}", shown()),
                Ok(None) => panic!("a covered host passed: {}", shown()),
                Err(_) => {}
            }
        }
    }
}
