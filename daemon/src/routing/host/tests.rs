use proptest::prelude::*;

use super::*;

/// D4: every spelling of an authority, with the canonical form or the reason for refusing it.
#[test]
fn each_spelling_of_an_authority_has_one_canonical_form_or_is_refused() {
    use ParseHostError as E;
    let long_label = "a".repeat(64);
    let label = "a".repeat(63);
    let longest = format!("{label}.{label}.{label}.{}", "b".repeat(61));
    let longest_port = format!("{longest}:443");
    let too_long = format!("{longest}c");
    let rooted = format!("{longest}.");
    let huge = "a.".repeat(2_000);
    // soft hyphens vanish: what is too long to be looked at would be a short name
    let silent = |count| format!("b{}.example", "\u{ad}".repeat(count));
    let (looked_at, not_looked_at) = (silent(507) + "s", silent(508));
    assert_eq!((looked_at.len(), not_looked_at.len()), (1_024, 1_025));
    let table: &[(&str, Result<&str, E>)] = &[
        // case, final dot, port
        ("api.intercom.io", Ok("api.intercom.io:443")),
        ("API.INTERCOM.IO", Ok("api.intercom.io:443")),
        ("Api.Intercom.Io:443", Ok("api.intercom.io:443")),
        ("api.intercom.io.", Ok("api.intercom.io:443")),
        ("api.intercom.io.:443", Ok("api.intercom.io:443")),
        ("api.intercom.io:8443", Ok("api.intercom.io:8443")),
        ("api.intercom.io:1", Ok("api.intercom.io:1")),
        ("api.intercom.io:65535", Ok("api.intercom.io:65535")),
        (
            "api.intercom.io.evil.test",
            Ok("api.intercom.io.evil.test:443"),
        ),
        ("localhost", Ok("localhost:443")),
        ("API.INTERCOM.IO.:443", Ok("api.intercom.io:443")),
        ("api.intercom.io:80", Ok("api.intercom.io:80")),
        ("api-intercom.io", Ok("api-intercom.io:443")),
        ("api.intercom.com", Ok("api.intercom.com:443")),
        ("apiintercom.io", Ok("apiintercom.io:443")),
        ("intercom.io", Ok("intercom.io:443")),
        ("0.intercom.io", Ok("0.intercom.io:443")),
        ("127.0.0.1.intercom.io", Ok("127.0.0.1.intercom.io:443")),
        ("0x7f.intercom.io", Ok("0x7f.intercom.io:443")),
        ("api.intercom.io.:0443", Err(E::Port)),
        ("api.intercom.io..:443", Err(E::EmptyLabel)),
        ("api.intercom.io.:", Err(E::Port)),
        ("api.intercom.io::443", Err(E::Brackets)),
        ("api.intercom.io:44 3", Err(E::Port)),
        ("api.intercom.io:443\t", Err(E::Port)),
        ("api.intercom.io:4_43", Err(E::Port)),
        ("api.intercom.io:443.0", Err(E::Port)),
        ("api.intercom.io:١", Err(E::Port)),
        (":", Err(E::Empty)),
        ("..", Err(E::EmptyLabel)),
        ("-", Err(E::Hyphen)),
        ("api.intercom.io..", Err(E::EmptyLabel)),
        ("api..intercom.io", Err(E::EmptyLabel)),
        (".api.intercom.io", Err(E::EmptyLabel)),
        (".", Err(E::EmptyLabel)),
        ("", Err(E::Empty)),
        (":443", Err(E::Empty)),
        ("api.intercom.io:", Err(E::Port)),
        ("api.intercom.io:0443", Err(E::Port)),
        ("api.intercom.io:+443", Err(E::Port)),
        ("api.intercom.io:-443", Err(E::Port)),
        ("api.intercom.io: 443", Err(E::Port)),
        ("api.intercom.io:443 ", Err(E::Port)),
        ("api.intercom.io:0x1bb", Err(E::Port)),
        ("api.intercom.io:https", Err(E::Port)),
        ("api.intercom.io:0", Err(E::Port)),
        ("api.intercom.io:65536", Err(E::Port)),
        ("api.intercom.io:4430000000000000000443", Err(E::Port)),
        ("api.intercom.io:４４３", Err(E::Port)),
        ("api.intercom.io:443:443", Err(E::Brackets)),
        // userinfo, percent, other URL parts
        ("user@api.intercom.io", Err(E::UserInfo)),
        ("user:pass@api.intercom.io", Err(E::UserInfo)),
        ("api.intercom.io@evil.test", Err(E::UserInfo)),
        ("[::1]@evil.test", Err(E::UserInfo)),
        ("@api.intercom.io", Err(E::UserInfo)),
        ("api.intercom.io@", Err(E::UserInfo)),
        ("api.intercom.io:443@evil.test:443", Err(E::UserInfo)),
        ("evil.test#@api.intercom.io", Err(E::UserInfo)),
        ("api.intercom.io\\@evil.test", Err(E::UserInfo)),
        ("api.intercom.io%40evil.test", Err(E::Percent)),
        ("api.intercom.io%2eevil.test", Err(E::Percent)),
        ("api.intercom.io%", Err(E::Percent)),
        ("api.intercom.io%23.evil.test", Err(E::Percent)),
        ("api%2eintercom.io", Err(E::Percent)),
        ("%61pi.intercom.io", Err(E::Percent)),
        ("api.intercom.io%00", Err(E::Percent)),
        ("https://api.intercom.io", Err(E::Port)),
        ("api.intercom.io/", Err(E::Character('/'))),
        ("api.intercom.io\\evil", Err(E::Character('\\'))),
        ("api.intercom.io?x", Err(E::Character('?'))),
        ("api.intercom.io#x", Err(E::Character('#'))),
        ("api.intercom.io,evil.test", Err(E::Character(','))),
        ("api.intercom.io evil.test", Err(E::Character(' '))),
        (" api.intercom.io", Err(E::Character(' '))),
        ("api.intercom.io\t", Err(E::Character('\t'))),
        ("api.intercom.io\0", Err(E::Character('\0'))),
        ("api.intercom.io\r\n", Err(E::Character('\r'))),
        ("*.intercom.io", Err(E::Wildcard)),
        ("api.intercom.io;evil", Err(E::Character(';'))),
        ("api.intercom.io&", Err(E::Character('&'))),
        ("api.intercom.io=x", Err(E::Character('='))),
        ("\"api.intercom.io\"", Err(E::Character('"'))),
        ("<api.intercom.io>", Err(E::Character('<'))),
        ("api.intercom.io|x", Err(E::Character('|'))),
        ("api.intercom.io^", Err(E::Character('^'))),
        ("api.intercom.io`", Err(E::Character('`'))),
        ("{api}.intercom.io", Err(E::Character('{'))),
        ("$api.intercom.io", Err(E::Character('$'))),
        ("api+x.intercom.io", Err(E::Character('+'))),
        ("api~.intercom.io", Err(E::Character('~'))),
        ("api!.intercom.io", Err(E::Character('!'))),
        ("api'.intercom.io", Err(E::Character('\''))),
        ("(api).intercom.io", Err(E::Character('('))),
        ("api.intercom.io\u{7f}", Err(E::Character('\u{7f}'))),
        ("api.intercom.io\u{b}", Err(E::Character('\u{b}'))),
        ("//api.intercom.io", Err(E::Character('/'))),
        ("api.intercom.io/@evil", Err(E::UserInfo)),
        // internationalised names
        ("bücher.example", Ok("xn--bcher-kva.example:443")),
        ("BÜCHER.example", Ok("xn--bcher-kva.example:443")),
        ("bu\u{308}cher.example", Ok("xn--bcher-kva.example:443")),
        ("xn--bcher-kva.example", Ok("xn--bcher-kva.example:443")),
        ("XN--BCHER-KVA.example", Ok("xn--bcher-kva.example:443")),
        ("faß.example", Ok("xn--fa-hia.example:443")),
        ("api。intercom。io", Ok("api.intercom.io:443")),
        ("api．intercom｡io", Ok("api.intercom.io:443")),
        ("ａｐｉ.intercom.io", Ok("api.intercom.io:443")),
        ("api\u{ad}.intercom.io", Ok("api.intercom.io:443")),
        ("аpi.intercom.io", Ok("xn--pi-6kc.intercom.io:443")), // Cyrillic а: another name
        ("api\u{200b}.intercom.io", Ok("api.intercom.io:443")),
        ("api\u{feff}.intercom.io", Ok("api.intercom.io:443")),
        ("ＡＰＩ．ＩＮＴＥＲＣＯＭ．ＩＯ", Ok("api.intercom.io:443")),
        ("api.intercom.ıo", Ok("api.intercom.xn--o-eka:443")),
        ("api.ıntercom.io", Ok("api.xn--ntercom-qfb.io:443")),
        ("api.intercom.io。", Ok("api.intercom.io:443")),
        ("api.intercom.io\u{a0}", Err(E::Idn)),
        ("api.intercom.io\u{3000}evil", Err(E::Idn)),
        ("api.intercom.io\u{2028}", Err(E::Idn)),
        ("api.intercom.io／evil", Err(E::Idn)),
        ("api.intercom.io＠evil.test", Err(E::Idn)),
        ("api.intercom.io：443", Err(E::Idn)),
        ("api.intercom.io？", Err(E::Idn)),
        ("api.intercom.io＃", Err(E::Idn)),
        ("api.intercom.io＼evil", Err(E::Idn)),
        ("℀.example", Err(E::Idn)),
        ("a\u{200d}b.example", Err(E::Idn)),
        ("\u{300}a.example", Err(E::Idn)),
        ("\u{fffd}.example", Err(E::Idn)),
        ("xn--api-intercom-.io", Err(E::Idn)),
        ("xn--80ak6aa92e.com", Ok("xn--80ak6aa92e.com:443")),
        ("api。。intercom.io", Err(E::EmptyLabel)),
        ("xn--.example", Err(E::Idn)),
        ("xn--a.example", Err(E::Idn)),
        ("xn--api-.example", Err(E::Idn)),
        ("xn--bücher.example", Err(E::Idn)),
        ("bü_cher.example", Err(E::Idn)),
        ("-bücher.example", Err(E::Idn)),
        ("bücher-.example", Err(E::Idn)),
        ("bü/cher.example", Err(E::Character('/'))),
        ("evil.test\u{ff0f}.intercom.io", Err(E::Idn)),
        ("a\u{ff05}2e.example", Err(E::Idn)),
        ("a\u{202e}b.example", Err(E::Idn)),
        // labels
        ("my_bucket.example", Ok("my_bucket.example:443")),
        (
            "_acme.bücher.example",
            Ok("_acme.xn--bcher-kva.example:443"),
        ),
        ("r3---sn-abc.example", Ok("r3---sn-abc.example:443")),
        ("-a.example", Err(E::Hyphen)),
        ("a-.example", Err(E::Hyphen)),
        (&long_label, Err(E::LabelTooLong)),
        (&longest, Ok(&longest_port)),
        (&rooted, Ok(&longest_port)),
        (&too_long, Err(E::TooLong)),
        (&huge, Err(E::TooLong)),
        (&looked_at, Ok("b.examples:443")),
        (&not_looked_at, Err(E::TooLong)),
        // IPv4 and what some resolvers take for it
        ("127.0.0.1", Ok("127.0.0.1:443")),
        ("127.0.0.1:8443", Ok("127.0.0.1:8443")),
        ("127.0.0.1.", Err(E::Ipv4)),
        ("127.0.0.01", Err(E::Ipv4)),
        ("0177.0.0.1", Err(E::Ipv4)),
        ("0x7f.0.0.1", Err(E::Ipv4)),
        ("0x7f000001", Err(E::Ipv4)),
        ("0X7F.1", Err(E::Ipv4)),
        ("0x", Err(E::Ipv4)),
        ("2130706433", Err(E::Ipv4)),
        ("017700000001", Err(E::Ipv4)),
        ("127.1", Err(E::Ipv4)),
        ("127.0.1", Err(E::Ipv4)),
        ("1.2.3.4.5", Err(E::Ipv4)),
        ("256.0.0.1", Err(E::Ipv4)),
        ("１２７.0.0.1", Err(E::Ipv4)),
        ("127。0。0。1", Err(E::Ipv4)),
        ("①.2.3.4", Err(E::Ipv4)),
        ("00.0.0.0", Err(E::Ipv4)),
        ("0", Err(E::Ipv4)),
        ("0.0.0.0", Ok("0.0.0.0:443")),
        ("255.255.255.255", Ok("255.255.255.255:443")),
        ("1.2.3.4.", Err(E::Ipv4)),
        ("1.2.3", Err(E::Ipv4)),
        ("127.0.0.0x1", Err(E::Ipv4)),
        ("127.0.0.1:0x50", Err(E::Port)),
        ("4294967296", Err(E::Ipv4)),
        ("99999999999999999999", Err(E::Ipv4)),
        ("127.0.0.1e", Ok("127.0.0.1e:443")),
        ("٠.0.0.1", Err(E::Idn)),
        ("intercom.0x7f", Err(E::Ipv4)),
        ("intercom.1", Err(E::Ipv4)),
        // IPv6
        ("[::1]", Ok("[::1]:443")),
        ("[::1]:8443", Ok("[::1]:8443")),
        ("[2001:DB8:0:0::1]", Ok("[2001:db8::1]:443")),
        ("[::ffff:127.0.0.1]", Ok("127.0.0.1:443")),
        ("[::FFFF:7f00:1]:443", Ok("127.0.0.1:443")),
        ("[fe80::1%eth0]", Err(E::Percent)),
        ("[fe80::1%25eth0]:443", Err(E::Percent)),
        ("[::]", Ok("[::]:443")),
        ("[::127.0.0.1]", Ok("[::7f00:1]:443")),
        ("[64:ff9b::127.0.0.1]", Ok("[64:ff9b::7f00:1]:443")),
        ("[0:0:0:0:0:0:0:1]", Ok("[::1]:443")),
        (
            "[0000:0000:0000:0000:0000:ffff:7f00:0001]",
            Ok("127.0.0.1:443"),
        ),
        ("[::00001]", Err(E::Ipv6)),
        ("[1:2:3:4:5:6:7]", Err(E::Ipv6)),
        ("[1:2:3:4:5:6:7:8:9]", Err(E::Ipv6)),
        ("[::g]", Err(E::Ipv6)),
        ("[::ffff:127.0.0.01]", Err(E::Ipv6)),
        ("[::ffff:127.1]", Err(E::Ipv6)),
        ("[v1.x]", Err(E::Ipv6)),
        ("[[::1]]", Err(E::Brackets)),
        ("[::1]:", Err(E::Port)),
        ("[::1]:0443", Err(E::Port)),
        ("[::1] ", Err(E::Brackets)),
        (" [::1]", Err(E::Brackets)),
        ("[ ::1]", Err(E::Ipv6)),
        ("[::1].", Err(E::Brackets)),
        ("2001:db8::1:443", Err(E::Brackets)),
        ("::1", Err(E::Brackets)),
        ("[::1", Err(E::Brackets)),
        ("[::1]443", Err(E::Brackets)),
        ("[::1].example", Err(E::Brackets)),
        ("[127.0.0.1]", Err(E::Ipv6)),
        ("[api.intercom.io]", Err(E::Ipv6)),
        ("[]", Err(E::Ipv6)),
        ("[:::1]", Err(E::Ipv6)),
    ];
    let wrong: Vec<_> = table
        .iter()
        .map(|(text, expected)| {
            let parsed = Authority::parse(text, Some(443)).map(|a| a.to_string());
            (text, expected.map(str::to_owned), parsed)
        })
        .filter(|(_, expected, parsed)| expected != parsed)
        .collect();
    assert!(wrong.is_empty(), "spelling, expected, parsed: {wrong:#?}");
}

#[test]
fn a_host_without_a_port_is_read_by_the_same_rules() {
    use ParseHostError as E;
    for (text, expected) in [
        ("API.example.", Ok("api.example")),
        ("::1", Ok("::1")),
        ("[::1]", Ok("::1")),
        ("2001:db8::", Ok("2001:db8::")),
        ("::ffff:127.0.0.1", Ok("127.0.0.1")),
        ("u@a.example", Err(E::UserInfo)),
        ("u@[::1]", Err(E::UserInfo)),
        ("u:p@::1", Err(E::UserInfo)),
        ("a[b].example", Err(E::Brackets)),
        ("a.example]", Err(E::Brackets)),
        ("[::1", Err(E::Brackets)),
        ("a.example:443", Err(E::Character(':'))),
        ("fe80::1%eth0", Err(E::Percent)),
    ] {
        let host = Host::parse(text);
        assert_eq!(
            host.as_ref().map(Host::as_str).map_err(|error| *error),
            expected,
            "{text}"
        );
        if let Ok(host) = host {
            let address = host.as_str().parse().ok();
            assert_eq!(host.ip(), address, "{text}");
            assert_eq!(format!("{host:?}"), format!("{:?}", host.as_str()));
        }
    }
}

#[test]
fn an_authority_without_a_port_needs_a_default() {
    assert_eq!(
        Authority::parse("a.example", None),
        Err(ParseHostError::MissingPort)
    );
    assert_eq!(Authority::parse("a.example:80", None).unwrap().port, 80);
}

#[test]
fn errors_never_repeat_a_password_in_front_of_the_host() {
    let error = Authority::parse("user:hunter2@a.example", Some(443)).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

/// D4
#[test]
fn patterns_match_whole_labels_and_never_the_apex_or_an_address() {
    let host = |text| Host::parse(text).unwrap();
    for (pattern, name, expected) in [
        ("api.x.com", "api.x.com", true),
        ("API.x.com.", "api.x.com", true),
        ("api.x.com", "a.api.x.com", false),
        ("*.x.com", "a.x.com", true),
        ("*.x.com", "a.b.x.com", true),
        ("*.x.com", "A.X.COM.", true),
        ("*.x.com", "x.com", false),
        ("*.x.com", "evilx.com", false),
        ("*.x.com", "x.com.evil.test", false),
        ("*.x.com", "a.x.com.evil.test", false),
        ("*.bücher.de", "a.xn--bcher-kva.de", true),
        ("127.0.0.1", "::ffff:127.0.0.1", true),
        ("127.0.0.1", "a.example", false),
    ] {
        assert_eq!(
            HostPattern::parse(pattern).unwrap().matches(&host(name)),
            expected,
            "{pattern} {name}"
        );
    }
}

#[test]
fn patterns_with_a_star_elsewhere_or_too_wide_are_refused() {
    use ParseHostError as E;
    for (text, error) in [
        ("*", E::Wildcard),
        ("*.", E::Empty),
        ("*.com", E::WildcardTooWide),
        ("*.com.", E::WildcardTooWide),
        ("*.localhost", E::WildcardTooWide),
        ("*x.com", E::Wildcard),
        ("a.*.com", E::Wildcard),
        ("*.*.x.com", E::Wildcard),
        ("**.x.com", E::Wildcard),
        ("*.0.0.1", E::Ipv4),
        ("*.127.0.0.1", E::Wildcard),
        ("*.[::1]", E::Wildcard),
        ("*..x.com", E::EmptyLabel),
        ("*.x.com:443", E::Character(':')),
        ("regex:.*", E::Wildcard),
    ] {
        assert_eq!(HostPattern::parse(text), Err(error), "{text}");
    }
}

#[test]
fn a_request_names_an_authority_by_any_of_its_spellings() {
    let authority = |text| Authority::parse(text, Some(443)).unwrap();
    for (dialled, named, expected) in [
        ("a.example", "a.example", Ok(true)),
        ("a.example", "A.EXAMPLE:443", Ok(true)),
        ("a.example", "a.example.", Ok(true)),
        ("a.example:8443", "a.example:8443", Ok(true)),
        ("a.example:8443", "a.example", Ok(false)),
        ("a.example", "a.example:8443", Ok(false)),
        ("a.example", "b.example", Ok(false)),
        ("a.example", "a.example:", Err(ParseHostError::Port)),
        ("[::1]", "[::1]", Ok(true)),
        ("[::1]", "::1", Err(ParseHostError::Brackets)),
    ] {
        assert_eq!(
            authority(dialled).is_named_by(named, 443),
            expected,
            "{dialled} {named}"
        );
    }
}

/// Texts near the edge between valid and not, with everything that has been used to confuse.
fn spelling() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-zA-Z0-9]{1,4}",
        2 => Just(".".to_owned()),
        1 => "[-_:@%\\[\\]*/ 0x]",
        1 => "[。．üßＡé１①а\u{ad}\u{200d}\u{202e}]",
        1 => "(xn--|XN--|xn--bcher-kva|::ffff:1.2.3.4|127.0.0.1|:443)",
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// D4
    #[test]
    fn parsing_a_canonical_host_gives_it_back(text in spelling()) {
        if let Ok(host) = Host::parse(&text) {
            prop_assert_eq!(Host::parse(host.as_str()), Ok(host.clone()));
            let text = host.as_str();
            prop_assert!(text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b':')));
            prop_assert!(!text.is_empty() && text.len() <= NAME_LEN_MAX && !text.ends_with('.'));
            prop_assert_eq!(host.ip().map(|ip| ip.to_string()), text.parse::<IpAddr>().ok().map(|ip| ip.to_canonical().to_string()));
        }
    }

    /// D4: the short cut for usual spellings answers as the parser does
    #[test]
    fn the_short_cut_of_is_named_by_agrees_with_the_parser(text in spelling(), named in spelling(), swap in any::<bool>()) {
        if let Ok(authority) = Authority::parse(&text, Some(443)) {
            let named = if swap { text.to_ascii_uppercase() } else { named };
            let slow = Authority::parse(&named, Some(443)).map(|other| other == authority);
            prop_assert_eq!(authority.is_named_by(&named, 443), slow);
        }
    }

    #[test]
    fn authorities_and_patterns_display_as_they_parse(text in spelling(), star in any::<bool>()) {
        if let Ok(authority) = Authority::parse(&text, Some(443)) {
            prop_assert_eq!(Authority::parse(&authority.to_string(), None), Ok(authority));
        }
        let text = if star { format!("*.{text}") } else { text };
        if let Ok(pattern) = HostPattern::parse(&text) {
            prop_assert_eq!(HostPattern::parse(&pattern.to_string()), Ok(pattern.clone()));
            let parent = pattern.host();
            prop_assert_eq!(pattern.matches(parent), matches!(pattern, HostPattern::Exact(_)));
            if let Ok(child) = Host::parse(&format!("a.{parent}")) {
                prop_assert_eq!(pattern.matches(&child), matches!(pattern, HostPattern::Subdomains(_)));
            }
            if let Ok(lookalike) = Host::parse(&format!("evil{parent}")) {
                prop_assert!(!pattern.matches(&lookalike));
            }
        }
    }
}
