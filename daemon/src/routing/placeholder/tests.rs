use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, Uri};
use proptest::prelude::*;

use super::mark::{Holds, holds};
use super::*;

fn placeholder(byte: u8) -> Placeholder {
    Template::plain().fill(&[byte; RANDOM_BYTES])
}

/// What is presented by these headers and this target, said shortly: `nothing`, `literal`,
/// `misplaced`, or the place and text of the one.
fn found(headers: &[(&str, &str)], target: &str) -> String {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        map.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let uri: Uri = target.parse().unwrap();
    match Presented::find(&map, &uri) {
        Presented::Literal => "literal".to_owned(),
        Presented::Nothing => "nothing".to_owned(),
        Presented::Misplaced => "misplaced".to_owned(),
        Presented::One { text, place } => match place {
            Place::Cookie(name) => format!("cookie {name}: {text}"),
            Place::Header(name) => format!("{name}: {text}"),
            Place::Query(name) => format!("query {name}: {text}"),
        },
    }
}

/// A case with one `Authorization`.
fn header(value: String, expected: &str) -> (Vec<(&str, String)>, &str, &str) {
    (vec![("authorization", value)], "/x", expected)
}

fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

/// D7: every place of a head
#[test]
fn a_placeholder_counts_only_as_the_whole_token_of_a_place() {
    let (a, b) = (placeholder(3), placeholder(200));
    let (a, b) = (a.as_str(), b.as_str());
    let one = |place: &str| format!("{place}: {a}");
    let bearer = format!("Bearer {a}");
    let authorization = one("authorization");
    let cases = [
        // the value of a header
        header(a.to_owned(), &authorization),
        header(bearer.clone(), &authorization),
        header(format!("token {a}"), &authorization),
        header(format!("Klaviyo-API-Key {a}"), &authorization),
        header(format!("Basic {a}"), &authorization),
        header(format!("Bearer  {a}"), "misplaced"),
        header(format!("Bearer\t{a}"), "misplaced"),
        header(format!("Bearer {a} "), "misplaced"),
        header(format!("Bearer {a} {a}"), "misplaced"),
        header(format!("Bearer {a}, Bearer {b}"), "misplaced"),
        header(format!("Bearer {a}, x"), "misplaced"),
        header(format!("{a},{b}"), "misplaced"),
        header(format!("Bearer \"{a}\""), "misplaced"),
        header(format!("Token token={a}"), "misplaced"),
        header(format!("Two words {a}"), "misplaced"),
        header(format!("{a} x"), "misplaced"),
        header(format!(" {a}"), "misplaced"),
        header(format!("Bearer, {a}"), "misplaced"),
        // one half of a Basic pair
        header(basic(&format!("{a}:")), &authorization),
        header(basic(&format!(":{a}")), &authorization),
        header(basic(&format!("anystring:{a}")), &authorization),
        header(basic(&format!("{a}:x-oauth-basic")), &authorization),
        header(basic(&format!("ü:{a}")), &authorization),
        header(basic(a), &authorization),
        header(basic(&format!("{a}:{b}")), "misplaced"),
        header(basic(&format!("{a}:{a}")), "misplaced"),
        header(basic(&format!("u:p {a}")), "misplaced"),
        header(basic(&format!("u:{a}:p")), "misplaced"),
        header(basic(&format!("u{a}:p")).to_lowercase(), "nothing"),
        header(
            basic(&format!("u:{a}")).replace("Basic", "bAsIc"),
            &authorization,
        ),
        header(basic(&format!("u:{a}")).replace('=', ""), &authorization),
        header(
            format!("Basic {}", URL_SAFE_NO_PAD.encode(format!("?>~:{a}"))),
            &authorization,
        ),
        header(basic(&format!("{}:{a}", "u".repeat(2_000))), &authorization),
        header(format!("Digest {}", STANDARD.encode(a)), "nothing"),
        header(format!("Basic !{}", STANDARD.encode(a)), "nothing"),
        // other headers
        (vec![("x-api-key", a.to_owned())], "/", &one("x-api-key")),
        (vec![("user-agent", format!("x/1 ({a})"))], "/", "misplaced"),
        (
            vec![("referer", format!("https://h/?k={a}"))],
            "/",
            "misplaced",
        ),
        (vec![(a, "1".to_owned())], "/", "misplaced"),
        (
            vec![
                ("authorization", bearer.clone()),
                ("x-api-key", a.to_owned()),
            ],
            "/",
            "misplaced",
        ),
        (
            vec![
                ("authorization", bearer.clone()),
                ("authorization", bearer.clone()),
            ],
            "/",
            "misplaced",
        ),
        (
            vec![
                ("authorization", bearer.clone()),
                ("authorization", "Bearer x".to_owned()),
            ],
            "/",
            &authorization,
        ),
        // cookies
        (
            vec![("cookie", format!("sid={a}"))],
            "/",
            &one("cookie sid"),
        ),
        (
            vec![("cookie", format!("a=b; sid={a}; c=d"))],
            "/",
            &one("cookie sid"),
        ),
        (
            vec![("cookie", format!("a=b;sid = {a} "))],
            "/",
            &one("cookie sid"),
        ),
        (
            vec![("cookie", "a=b".to_owned()), ("cookie", format!("sid={a}"))],
            "/",
            &one("cookie sid"),
        ),
        (vec![("cookie", format!("sid=\"{a}\""))], "/", "misplaced"),
        (vec![("cookie", format!("sid=x={a}"))], "/", "misplaced"),
        (vec![("cookie", format!("{a}=sid"))], "/", "misplaced"),
        (vec![("cookie", a.to_owned())], "/", "misplaced"),
        (vec![("cookie", format!("a={a}; b={b}"))], "/", "misplaced"),
        (
            vec![("cookie", format!("a={LITERAL}; sid={a}"))],
            "/",
            &one("cookie sid"),
        ),
    ];
    for (headers, target, expected) in cases {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        assert_eq!(found(&headers, target), expected, "{headers:?}");
    }
}

/// D7: path and query
#[test]
fn a_placeholder_counts_in_the_query_decoded_and_never_in_the_path() {
    let (a, b) = (placeholder(3), placeholder(200));
    let (a, b) = (a.as_str(), b.as_str());
    let escaped = a
        .bytes()
        .fold(String::new(), |text, byte| format!("{text}%{byte:02x}"));
    let twice = escaped.replace('%', "%25");
    let one = |place: &str| format!("{place}: {a}");
    for (target, expected) in [
        (format!("/x?key={a}"), one("query key")),
        (format!("/x?a=b&key={a}&c=d"), one("query key")),
        (format!("/x?k%65y={a}"), one("query key")),
        (format!("/x?key={escaped}"), one("query key")),
        (format!("/x?a+b={a}"), one("query a b")),
        (format!("/x?={a}"), one("query ")),
        (format!("/x?key={a}&key={a}"), "misplaced".into()),
        (format!("/x?key={a}&other={b}"), "misplaced".into()),
        (format!("/x?key={a}&other={escaped}"), "misplaced".into()),
        (format!("/x?key=x{{{a}"), "misplaced".into()),
        (format!("/x?key={a}+"), "misplaced".into()),
        (format!("/x?key=%20{a}"), "misplaced".into()),
        (format!("/x?key={a};b=c"), "misplaced".into()),
        (format!("/x?{a}"), "misplaced".into()),
        (format!("/x?{a}=1"), "misplaced".into()),
        (format!("/x?key={twice}"), "nothing".into()),
        (format!("/{a}"), "misplaced".into()),
        (format!("/v1/{a}/x?key={b}"), "misplaced".into()),
        (format!("/{escaped}"), "misplaced".into()),
        (format!("/%41{escaped}%5A"), "misplaced".into()),
    ] {
        assert_eq!(found(&[], &target), expected, "{target}");
    }
    let bearer = format!("Bearer {a}");
    let both = found(&[("authorization", &bearer)], &format!("/?key={a}"));
    assert_eq!(both, "misplaced");
}

#[test]
fn what_is_no_placeholder_is_none() {
    let a = placeholder(3).as_str().to_owned();
    let short = &a[..a.len() - 1];
    for value in [
        "Bearer sk-0123456789012345678901234567890123456789",
        "authsome",
        "https://github.com/authsome/authsome/blob/main/README.md",
        short,
        &a.replace("authsome", "Authsome"),
        &format!("authsome{}", "l".repeat(26)),
        &format!("authsome{}", "A".repeat(26)),
    ] {
        assert_eq!(found(&[("x", value)], "/"), "nothing", "{value}");
    }
}

#[test]
fn the_literal_selects_nothing_and_is_seen_in_headers_and_query() {
    let a = placeholder(3).as_str().to_owned();
    for (headers, target, expected) in [
        (
            vec![("authorization", format!("Bearer {LITERAL}"))],
            "/",
            "literal",
        ),
        (
            vec![("authorization", basic(&format!("u:{LITERAL}")))],
            "/",
            "literal",
        ),
        (vec![("cookie", format!("sid={LITERAL}"))], "/", "literal"),
        (vec![("x-api-key", LITERAL.to_owned())], "/", "literal"),
        (vec![], "/?key=authsome-proxy-managed", "literal"),
        (vec![], "/authsome-proxy-managed", "nothing"),
        (
            vec![("x", "authsome-proxy-manage".to_owned())],
            "/",
            "nothing",
        ),
    ] {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        assert_eq!(found(&headers, target), expected, "{headers:?} {target}");
    }
    // beside a random one only that counts, in either order
    let one = format!("x-api-key: {a}");
    for names in [["a", "x-api-key"], ["x-api-key", "z"]] {
        let value = |name: &str| {
            if name == "x-api-key" {
                a.clone()
            } else {
                LITERAL.to_owned()
            }
        };
        let (first, second) = (value(names[0]), value(names[1]));
        let headers = [(names[0], first.as_str()), (names[1], second.as_str())];
        assert_eq!(found(&headers, "/"), one);
    }
}

#[test]
fn a_template_gives_its_shape_and_nothing_else() {
    for (text, begins, ends) in [
        ("{random}", "authsome", ""),
        ("SG.{random}", "SG.authsome", ""),
        ("{random}-us1", "authsome", "-us1"),
    ] {
        let template: Template = text.parse().unwrap();
        assert_eq!(template.to_string(), text);
        let filled = template.fill(&[77; RANDOM_BYTES]);
        assert!(filled.as_str().starts_with(begins) && filled.as_str().ends_with(ends));
        assert_eq!(holds(filled.as_str().as_bytes()), Holds::One);
        assert_eq!(filled.core().len(), MARK.len() + 26);
        let bearer = format!("Bearer {}", filled.as_str());
        let seen = found(&[("authorization", &bearer)], "/");
        assert_eq!(seen, format!("authorization: {}", filled.as_str()));
    }
    for (text, error) in [
        ("", ParseTemplateError::Random),
        ("SG.", ParseTemplateError::Random),
        ("{random}{random}", ParseTemplateError::Random),
        ("a b{random}", ParseTemplateError::Character),
        ("a:{random}", ParseTemplateError::Character),
        ("{random}é", ParseTemplateError::Character),
        ("{random}\n", ParseTemplateError::Character),
        ("authsome{random}", ParseTemplateError::Mark),
    ] {
        assert_eq!(text.parse::<Template>(), Err(error), "{text}");
    }
    let around = |len: usize| format!("{}{{random}}", "a".repeat(len)).parse::<Template>();
    assert!(around(56).is_ok(), "64 characters");
    assert_eq!(around(57), Err(ParseTemplateError::TooLong));
}

#[test]
fn debug_of_a_placeholder_hides_it() {
    assert_eq!(format!("{:?}", placeholder(1)), "Placeholder(..)");
}

#[test]
fn every_letter_takes_five_bits_of_its_own() {
    let base = placeholder(0);
    for bit in 0..130 {
        let mut random = [0_u8; RANDOM_BYTES];
        random[bit / 8] = 0x80 >> (bit % 8);
        let other = Template::plain().fill(&random);
        let differing: Vec<_> = base
            .as_str()
            .bytes()
            .zip(other.as_str().bytes())
            .enumerate()
            .filter(|(_, (one, other))| one != other)
            .map(|(at, _)| at)
            .collect();
        assert_eq!(differing, [MARK.len() + bit / 5], "bit {bit}");
    }
}

proptest! {
    /// D7: whatever stands around it, a placeholder in a head is never overlooked.
    #[test]
    fn no_surroundings_hide_a_placeholder(
        random in any::<[u8; RANDOM_BYTES]>(),
        before in "[ -~]{0,20}",
        after in "[ -~]{0,20}",
    ) {
        let placeholder = Template::plain().fill(&random);
        let text = format!("{before}{}{after}", placeholder.as_str());
        for name in ["authorization", "cookie", "x-other"] {
            prop_assert_ne!(found(&[(name, &text)], "/"), "nothing");
        }
        prop_assert_ne!(found(&[("authorization", &basic(&text))], "/"), "nothing");
        let escaped = percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC);
        prop_assert_ne!(found(&[], &format!("/?a=b&c={escaped}")), "nothing");
        prop_assert_eq!(found(&[], &format!("/{escaped}")), "misplaced");
    }

    /// The scanner, however it is fed, and the look at a whole text agree.
    #[test]
    fn pieces_say_what_the_whole_says(
        text in "(authsome|auths|a|[b-k2-9]{1,9}|[b-k2-9]{26}|[lo -]){0,12}",
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
    ) {
        let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        ends.push(text.len());
        ends.sort_unstable();
        let (mut scanner, mut begin, mut hit) = (Scanner::default(), 0, false);
        for end in ends {
            hit = hit || scanner.feed(&text.as_bytes()[begin..end]);
            begin = end;
        }
        let whole = matches!(holds(text.as_bytes()), Holds::One | Holds::Many);
        prop_assert_eq!(hit, whole, "{}", text);
    }
}

#[test]
fn a_header_that_is_no_text_hides_nothing() {
    let value = [b"\xff ", placeholder(3).as_str().as_bytes()].concat();
    let mut headers = HeaderMap::new();
    headers.insert(
        http::header::AUTHORIZATION,
        HeaderValue::from_bytes(&value).unwrap(),
    );
    let uri = Uri::from_static("/");
    assert_eq!(Presented::find(&headers, &uri), Presented::Misplaced);
}
