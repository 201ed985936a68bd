use proptest::prelude::*;

use super::*;

/// What becomes of a path on a host with the scope `/fin/**`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// In the scope under every reading.
    Inside,
    /// Outside under every reading.
    Outside,
    /// Not in the scope as written, but some server would read it so.
    Doubtful,
    Refused(PathTrick),
}

fn read(path: &str) -> Reading {
    let scope = PathScope::parse("/fin/**").unwrap();
    match RawPath::parse(path) {
        Err(trick) => Reading::Refused(trick),
        Ok(path) if scope.matches(&path) => Reading::Inside,
        Ok(path) if scope.may_match(&path) => Reading::Doubtful,
        Ok(_) => Reading::Outside,
    }
}

/// D5, and `fin-agent-api` §2: every trick that must not reach a path-scoped credential.
#[test]
fn each_spelling_of_a_path_is_inside_outside_doubtful_or_refused() {
    use PathTrick as T;
    use Reading::{Doubtful, Inside, Outside, Refused};
    let table: &[(&str, Reading)] = &[
        // plain
        ("/fin", Inside),
        ("/fin/", Inside),
        ("/fin/start", Inside),
        ("/fin/procedures/a%20b/run", Inside),
        ("/fin/a%2fb", Inside),
        ("/fin/a;v=1", Inside),
        ("/fin/100%25", Inside),
        ("/fin/...a", Inside),
        ("/fin/.well-known", Inside),
        ("/fin/a..b", Inside),
        ("/fin/ü", Inside),
        ("/fin/%c3%bc", Inside),
        ("/", Outside),
        ("/contacts", Outside),
        ("/contacts/fin", Outside),
        ("/contacts%2ffin", Outside),
        ("/fin_voice/register", Outside),
        ("/finx", Outside),
        ("/fi", Outside),
        ("/fin-start", Outside),
        ("/fin:start", Outside),
        ("/fin,start", Outside),
        ("/fin%20start", Outside),
        ("/x;%20/contacts", Outside),
        ("/contacts;/fin", Outside),
        ("/contacts%3f/fin/start", Outside),
        ("/contacts%23/fin/start", Outside),
        ("/fin%26x", Outside),
        ("/fin%3dx", Outside),
        ("/fin%2a", Outside),
        ("/fin'", Outside),
        ("/fin\"", Outside),
        ("/fin~", Outside),
        ("/f/in", Outside),
        ("/f%2fin", Outside),
        ("/fin%25", Outside),
        ("/.fin", Outside),
        ("/..fin", Outside),
        ("/fin..x", Outside),
        ("/fin%2e%2ex/contacts", Outside),
        ("/fin_voice/%66in", Outside),
        ("/nif/fin", Outside),
        ("/ü/fin", Outside),
        ("/%c3%bc", Outside),
        ("/fin%c3%bc", Outside),
        ("/fin%e4%b8%ad", Outside),
        ("/fin/FIN", Inside),
        ("/fin/%20", Inside),
        ("/fin/+", Inside),
        ("/fin/a+b", Inside),
        ("/fin/a%3fb", Inside),
        ("/fin/a%23b", Inside),
        ("/fin/;", Inside),
        ("/fin/a%252fb", Inside),
        ("/fin/a.", Inside),
        ("/fin/.a", Inside),
        ("/fin/-", Inside),
        ("/fin/%e2%80%a6%20wait", Inside),
        ("/fin/AC%ef%bc%8fDC", Inside),
        ("/fin/%ff", Inside),
        ("/fin/%f6", Inside),
        // dot segments, in every encoding
        ("/fin/../contacts", Refused(T::DotSegment)),
        ("/fin/..", Refused(T::DotSegment)),
        ("/fin/.", Refused(T::DotSegment)),
        ("/./fin", Refused(T::DotSegment)),
        ("/../fin", Refused(T::DotSegment)),
        ("/fin/%2e%2e/contacts", Refused(T::DotSegment)),
        ("/fin/%2E%2E/contacts", Refused(T::DotSegment)),
        ("/fin/.%2e/contacts", Refused(T::DotSegment)),
        ("/fin/%2e./contacts", Refused(T::DotSegment)),
        ("/fin/%2e", Refused(T::DotSegment)),
        ("/fin/%252e%252e/contacts", Refused(T::DotSegment)),
        ("/fin/%25252e%25252e/contacts", Refused(T::DotSegment)),
        ("/fin/%25%32%65%25%32%65/contacts", Refused(T::DotSegment)),
        ("/fin/..%2fcontacts", Refused(T::DotSegment)),
        ("/fin/..%252fcontacts", Refused(T::DotSegment)),
        ("/fin%2f..%2fcontacts", Refused(T::DotSegment)),
        ("/fin%2f%2e%2e%2fcontacts", Refused(T::DotSegment)),
        ("/fin/..;/contacts", Refused(T::DotSegment)),
        ("/fin/..;x=y/contacts", Refused(T::DotSegment)),
        ("/fin/..%3b/contacts", Refused(T::DotSegment)),
        ("/fin/.;/contacts", Refused(T::DotSegment)),
        ("/fin/%2e%2e;/contacts", Refused(T::DotSegment)),
        ("/fin/..%3f/contacts", Refused(T::DotSegment)),
        ("/fin/..%23/contacts", Refused(T::DotSegment)),
        ("/fin/.../contacts", Refused(T::DotSegment)),
        ("/fin/..%20/contacts", Refused(T::DotSegment)),
        ("/fin/%20../contacts", Refused(T::DotSegment)),
        ("/contacts/../fin/start", Refused(T::DotSegment)),
        ("/contacts/%2e%2e/fin/start", Refused(T::DotSegment)),
        ("/fin/../fin/start", Refused(T::DotSegment)),
        ("/fin/./start", Refused(T::DotSegment)),
        ("/fin/start/../../contacts", Refused(T::DotSegment)),
        ("/fin/%2e%2E%2fcontacts", Refused(T::DotSegment)),
        ("/fin/%2e%2e%3bx/contacts", Refused(T::DotSegment)),
        ("/fin/..;%2f/contacts", Refused(T::DotSegment)),
        ("/fin/....//contacts", Refused(T::DotSegment)),
        ("/fin/. ./contacts", Refused(T::DotSegment)),
        ("/..;/fin/start", Refused(T::DotSegment)),
        ("/.;/fin/start", Refused(T::DotSegment)),
        ("/x/..%252f..%252ffin", Refused(T::DotSegment)),
        ("/fin/..+/contacts", Refused(T::DotSegment)),
        ("/fin/..%2b/contacts", Refused(T::DotSegment)),
        ("/fin/+../contacts", Refused(T::DotSegment)),
        // characters that only look like dots or slashes
        ("/fin/．．/contacts", Refused(T::DotSegment)),
        ("/fin/%ef%bc%8e%ef%bc%8e/contacts", Refused(T::DotSegment)),
        ("/fin/%e2%80%a5/contacts", Refused(T::DotSegment)),
        ("/fin/%e2%80%a4./contacts", Refused(T::DotSegment)),
        ("/fin/%ef%b9%92%ef%b9%92/contacts", Refused(T::DotSegment)),
        ("/fin/..%ef%bc%8fcontacts", Refused(T::DotSegment)),
        ("/fin/%ef%bc%8f..%ef%bc%bccontacts", Refused(T::DotSegment)),
        ("/fin/.%e2%80%8b./contacts", Refused(T::DotSegment)),
        ("/fin/.%c2%ad./contacts", Refused(T::DotSegment)),
        ("/fin/..%c2%a0/contacts", Refused(T::DotSegment)),
        ("/fin/..%e3%80%80/contacts", Refused(T::DotSegment)),
        ("/fin/.%ff./contacts", Refused(T::DotSegment)),
        ("/fin/..%ef%bc%9bx/contacts", Refused(T::DotSegment)),
        (
            "/fin/%ef%bc%852e%ef%bc%852e/contacts",
            Refused(T::DotSegment),
        ),
        // backslashes
        ("/fin\\start", Refused(T::Backslash)),
        ("/fin%5cstart", Refused(T::Backslash)),
        ("/fin%5Cstart", Refused(T::Backslash)),
        ("/fin%255cstart", Refused(T::Backslash)),
        ("/fin/..\\contacts", Refused(T::Backslash)),
        ("/fin/..%5ccontacts", Refused(T::Backslash)),
        ("\\fin", Refused(T::NotAbsolute)),
        ("/\\fin", Refused(T::Backslash)),
        ("/contacts%5c..%5cfin", Refused(T::Backslash)),
        ("/%5cfin/start", Refused(T::Backslash)),
        // controls
        ("/fin%00", Refused(T::Control)),
        ("/contacts%00/fin", Refused(T::Control)),
        ("/fin%2500", Refused(T::Control)),
        ("/fin%0d%0aX:y", Refused(T::Control)),
        ("/fin%09", Refused(T::Control)),
        ("/fin\t", Refused(T::Control)),
        ("/fin\0", Refused(T::Control)),
        ("/fin%7f", Refused(T::Control)),
        ("/fin%1f", Refused(T::Control)),
        ("/f%0ain/start", Refused(T::Control)),
        ("/fin/%0a../contacts", Refused(T::Control)),
        ("/fin/start%00.json", Refused(T::Control)),
        ("/fin/%ef%bc%8500", Refused(T::Control)),
        ("/fin\r\n", Refused(T::Control)),
        ("/fin\u{7f}", Refused(T::Control)),
        // broken and overlong encodings
        ("/fin%", Refused(T::Percent)),
        ("/fin%2", Refused(T::Percent)),
        ("/fin/%zz", Refused(T::Percent)),
        ("/fin/%u002e%u002e/contacts", Refused(T::Percent)),
        ("/fin/%%32e/contacts", Refused(T::Percent)),
        ("/fin/%c0%ae%c0%ae/contacts", Refused(T::Overlong)),
        ("/fin%c0%afstart", Refused(T::Overlong)),
        ("/fin%c1%9cstart", Refused(T::Overlong)),
        ("/fin/%e0%80%ae/contacts", Refused(T::Overlong)),
        ("/fin/%f0%80%80%ae/contacts", Refused(T::Overlong)),
        ("/fin/%25c0%25ae/contacts", Refused(T::Overlong)),
        (
            "/fin/%f8%80%80%80%ae%f8%80%80%80%ae/contacts",
            Refused(T::Overlong),
        ),
        ("/fin/%fc%80%80%80%80%ae/contacts", Refused(T::Overlong)),
        ("/%f0%82%81%a6in", Refused(T::Overlong)),
        ("/fin/%25u002e%25u002e/contacts", Refused(T::Percent)),
        ("/fin%25U002fstart", Refused(T::Percent)),
        ("/%25u0066in", Refused(T::Percent)),
        ("/fin/%2 5", Refused(T::Percent)),
        ("/fin/%+2", Refused(T::Percent)),
        // not a path
        ("", Refused(T::NotAbsolute)),
        ("*", Refused(T::NotAbsolute)),
        ("fin", Refused(T::NotAbsolute)),
        ("%2ffin", Refused(T::NotAbsolute)),
        ("https://api.intercom.io/fin", Refused(T::NotAbsolute)),
        ("/contacts?x=/fin/start", Refused(T::NotAPath)),
        ("/contacts#/fin/start", Refused(T::NotAPath)),
        // read differently by different servers
        ("/%20fin/start", Doubtful),
        ("/+fin/start", Doubtful),
        ("/fin+/start", Doubtful),
        ("/fin%2b", Doubtful),
        ("/fin.+", Doubtful),
        ("/fin;a=b;c=d", Doubtful),
        ("/fin;/../x;", Refused(T::DotSegment)),
        ("/%3bx/fin/start", Doubtful),
        ("/+/fin", Doubtful),
        ("/%20/fin", Doubtful),
        ("/;%2ffin/start", Doubtful),
        ("/fIN%2Fstart", Doubtful),
        ("/FIN%252fSTART", Doubtful),
        ("/fin%2f", Doubtful),
        ("/fin%2f%2f", Doubtful),
        ("/%46%49%4E/start", Doubtful),
        ("/%252566in", Doubtful),
        ("/contacts%2f%2ffin", Outside),
        // the same, in characters that only look like ASCII
        ("/%ef%ac%81n/start", Doubtful),
        ("/ﬁn/start", Doubtful),
        ("/ｆｉｎ/start", Doubtful),
        ("/ＦＩＮ", Doubtful),
        ("/fin／start", Doubtful),
        ("/／fin/start", Doubtful),
        ("/fin；x/start", Doubtful),
        ("/fin%cd%be", Doubtful),
        ("/f%c4%b1n/start", Doubtful),
        ("/F%c4%b0N/start", Doubtful),
        ("/f%c3%adn/start", Doubtful),
        ("/f%e2%80%8bin", Doubtful),
        ("/%ef%bb%bffin", Doubtful),
        ("/fin%c2%a0", Doubtful),
        ("/fin%ff", Doubtful),
        ("/f%80in", Doubtful),
        ("/%f0%9d%90%9f%f0%9d%90%a2%f0%9d%90%a7", Doubtful),
        ("/%ef%bc%8566in", Doubtful),
        ("//fin/start", Doubtful),
        ("///fin", Doubtful),
        ("/fin//start", Doubtful),
        ("/%2ffin/start", Doubtful),
        ("/%2Ffin", Doubtful),
        ("/fin%2fstart", Doubtful),
        ("/fin%2Fstart", Doubtful),
        ("/fin%252fstart", Doubtful),
        ("/fin%25252fstart", Doubtful),
        ("/%66in/start", Doubtful),
        ("/%66%69%6e", Doubtful),
        ("/%2566in", Doubtful),
        ("/FIN/start", Doubtful),
        ("/Fin", Doubtful),
        ("/%46in", Doubtful),
        ("/fin;x/start", Doubtful),
        ("/fin;/start", Doubtful),
        ("/fin%3bx", Doubtful),
        ("/;x/fin/start", Doubtful),
        ("/%3b/fin/start", Doubtful),
        ("/fin.", Doubtful),
        ("/fin./start", Doubtful),
        ("/fin%20/start", Doubtful),
        ("/fin%3fx", Doubtful),
        ("/fin%23x", Doubtful),
        ("/x;%2ffin/start", Doubtful),
        ("/fin;%2fx/start", Doubtful),
    ];
    let wrong: Vec<_> = table
        .iter()
        .map(|(path, expected)| (path, expected, read(path)))
        .filter(|(_, expected, read)| *expected != read)
        .collect();
    assert!(wrong.is_empty(), "path, expected, read: {wrong:#?}");
}

#[test]
fn scopes_parse_to_one_form_and_say_what_is_wrong() {
    use ParsePathScopeError as E;
    for (text, expected) in [
        ("", Ok("/**")),
        ("/", Ok("/**")),
        ("/**", Ok("/**")),
        ("/fin", Ok("/fin/**")),
        ("/fin/**", Ok("/fin/**")),
        ("/v1/a_b-c.d~e:f@g", Ok("/v1/a_b-c.d~e:f@g/**")),
        ("fin", Err(E::NotAbsolute)),
        ("**", Err(E::NotAbsolute)),
        ("/fin/", Err(E::EmptySegment)),
        ("//", Err(E::EmptySegment)),
        ("//fin", Err(E::EmptySegment)),
        ("/fin//x", Err(E::EmptySegment)),
        ("//**", Err(E::EmptySegment)),
        ("/fin/*", Err(E::Star)),
        ("/*/fin", Err(E::Star)),
        ("/fin/**/x", Err(E::Star)),
        ("/fin**", Err(E::Star)),
        ("/fin/../x", Err(E::DotSegment)),
        ("/.", Err(E::DotSegment)),
        ("/...", Err(E::DotSegment)),
        ("/fin.", Err(E::TrailingDot)),
        ("/fin%2fx", Err(E::Character('%'))),
        ("/fin;x", Err(E::Character(';'))),
        ("/fin?x", Err(E::Character('?'))),
        ("/fin\\x", Err(E::Character('\\'))),
        ("/fin x", Err(E::Character(' '))),
        ("/ü", Err(E::Character('ü'))),
    ] {
        let parsed = PathScope::parse(text).map(|scope| scope.to_string());
        assert_eq!(parsed.as_deref(), expected.as_ref().copied(), "{text}");
    }
}

#[test]
fn a_narrower_scope_has_the_larger_specificity() {
    let specificity = |text| PathScope::parse(text).unwrap().specificity();
    assert_eq!(specificity("/**"), 0);
    assert_eq!(specificity("/a-long-segment"), 1);
    assert_eq!(specificity("/a/b/**"), 2);
}

#[test]
fn what_is_judged_is_what_came() {
    for path in ["/", "/Fin%2fa;b", "/ﬁn"] {
        assert_eq!(RawPath::parse(path).unwrap().as_str(), path);
    }
}

#[test]
fn a_scope_contains_those_below_it_on_whole_segments() {
    let scope = |text| PathScope::parse(text).unwrap();
    for (outer, inner, expected) in [
        ("/**", "/fin", true),
        ("/fin", "/fin/start", true),
        ("/fin", "/fin/start/x", true),
        ("/fin", "/fin", false),
        ("/**", "/**", false),
        ("/fin", "/**", false),
        ("/fin", "/finx", false),
        ("/fin", "/fin_voice/x", false),
        ("/fin/start", "/fin", false),
        ("/a", "/b/a", false),
    ] {
        assert_eq!(
            scope(outer).contains(&scope(inner)),
            expected,
            "{outer} {inner}"
        );
    }
    assert_eq!(format!("{:?}", scope("/fin")), "\"/fin/**\"");
}

#[test]
fn everything_covers_also_what_a_scope_would_doubt() {
    for path in ["/", "//x", "/a%2fb", "/a;b", "/A"] {
        assert!(
            PathScope::everything().matches(&RawPath::parse(path).unwrap()),
            "{path}"
        );
    }
}

/// Decoding layer by layer would take minutes for this one.
#[test]
fn deeply_nested_escapes_cost_linear_time() {
    let path = format!("/{}2e%2e", "%25".to_owned() + &"25".repeat(500_000));
    assert_eq!(RawPath::parse(&path), Err(PathTrick::DotSegment));
}

/// How one imaginary server reads a path: some of these steps, in this order.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one step that a server takes or not"
)]
pub(in crate::routing) struct Server {
    parameters_first: bool,
    decode: usize,
    parameters: bool,
    merge: bool,
    trim: bool,
    fold: bool,
    resolve: bool,
}

impl Server {
    pub(in crate::routing) fn segments(&self, path: &str) -> Vec<String> {
        let cut = |path: &str| {
            let segments = path
                .split('/')
                .map(|s| s.split([';', '?', '#']).next().unwrap());
            segments.collect::<Vec<_>>().join("/")
        };
        let mut path = path.to_owned();
        if self.parameters_first {
            path = cut(&path);
        }
        for _ in 0..self.decode {
            let decoded = percent_encoding::percent_decode_str(&path).decode_utf8_lossy();
            path = decoded.into_owned();
        }
        if self.parameters {
            path = cut(&path);
        }
        if self.fold {
            path = path.to_ascii_lowercase();
        }
        let mut out: Vec<String> = Vec::new();
        for segment in path.split('/').skip(1) {
            let segment = if self.trim {
                segment.trim_end_matches(['.', ' '])
            } else {
                segment
            };
            match segment {
                "" if self.merge => {}
                "." if self.resolve => {}
                ".." if self.resolve => drop(out.pop()),
                _ => out.push(segment.to_owned()),
            }
        }
        out
    }
}

pub(in crate::routing) fn server() -> impl Strategy<Value = Server> {
    (any::<(bool, bool, bool, bool, bool, bool)>(), 0_usize..4).prop_map(
        |((parameters_first, parameters, merge, trim, fold, resolve), decode)| Server {
            parameters_first,
            decode,
            parameters,
            merge,
            trim,
            fold,
            resolve,
        },
    )
}

fn tricky_path() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => Just("/"),
        3 => Just("fin"),
        1 => prop::sample::select(vec![
            "x", "start", "FIN", "%66", "i", "n", "f", ".", "..", "%2e", "%2E", "%252e", "%2f",
            "%252f", "%25", "25", "2f", "2e", ";", "%3b", ";x=1", "%3f", "%23", "%20", "\\", "%5c",
            "%00", "%", "_voice", "ü", "%c0%af",
        ]),
    ];
    prop::collection::vec(piece, 0..10).prop_map(|pieces| format!("/{}", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// D5: whatever a server does with a path, it never disagrees with what we said of it
    #[test]
    fn no_server_reads_a_path_into_or_out_of_a_scope(path in tricky_path(), server in server(), deep in any::<bool>()) {
        let scope = PathScope::parse(if deep { "/fin/start" } else { "/fin" }).unwrap();
        let wanted: &[&str] = if deep { &["fin", "start"] } else { &["fin"] };
        if let Ok(raw) = RawPath::parse(&path) {
            let there = server.segments(&path);
            let inside = there.len() >= wanted.len() && there.iter().zip(wanted).all(|(a, b)| a == b);
            if scope.matches(&raw) {
                prop_assert!(inside, "{:?}", there);
                prop_assert!(scope.may_match(&raw));
            }
            if inside {
                prop_assert!(scope.may_match(&raw), "{:?}", there);
            }
        }
    }

    #[test]
    fn scopes_display_as_they_parse(text in "/?[a-z.*/%-]{0,12}") {
        if let Ok(scope) = PathScope::parse(&text) {
            prop_assert_eq!(PathScope::parse(&scope.to_string()), Ok(scope));
        }
    }

    #[test]
    fn any_text_is_judged_without_a_panic(text in "\\PC*|[\\x00-\\xff]*") {
        drop(RawPath::parse(&text));
        drop(PathScope::parse(&text));
    }
}
