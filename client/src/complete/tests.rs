use clap::CommandFactory as _;

use super::*;
use crate::cli::Cli;

/// What is wanted at the end of `line`; a blank at its end begins a new word.
fn at(line: &str) -> Wanted {
    let mut root = Cli::command();
    root.build();
    let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    wanted(&root, &words)
}

fn values(line: &str) -> Vec<String> {
    match at(line) {
        Wanted::Words(offers) => offers.into_iter().map(|offer| offer.value).collect(),
        other => panic!("{line}: {other:?}"),
    }
}

fn known(line: &str) -> (Kind, String, String) {
    match at(line) {
        Wanted::Known {
            kind, lead, typed, ..
        } => (kind, lead, typed),
        other => panic!("{line}: {other:?}"),
    }
}

fn text(kind: Kind, lead: &str, typed: &str) -> (Kind, String, String) {
    (kind, lead.into(), typed.into())
}

#[test]
fn commands_are_offered_and_hidden_ones_are_not() {
    let all = values("authsome ");
    for command in ["login", "run", "runs", "webhook", "help"] {
        assert!(all.iter().any(|it| it == command), "{command}: {all:?}");
    }
    for command in ["complete", "man", "init", "provider", "auth", "proxy"] {
        assert!(!all.iter().any(|it| it == command), "{command}: {all:?}");
    }
    assert_eq!(values("authsome logi"), ["login"]);
    assert_eq!(values("authsome --json runs st"), ["stop"]);
    assert_eq!(at("authsome nonsense "), Wanted::Nothing);
    assert_eq!(at("authsome"), Wanted::Nothing);
    assert_eq!(at(""), Wanted::Nothing);
}

#[test]
fn options_are_offered_once_unless_they_may_be_repeated() {
    let all = values("authsome run --");
    assert!(all.iter().any(|it| it == "--connection"), "{all:?}");
    assert!(all.iter().any(|it| it == "--json"), "{all:?}");
    let all = values("authsome run --only a --connection a=b -");
    assert!(all.iter().any(|it| it == "--connection"), "{all:?}");
    let all = values("authsome run --unmatched deny -");
    assert!(!all.iter().any(|it| it == "--unmatched"), "{all:?}");
    assert_eq!(values("authsome register --fo"), ["--force"]);
    let all = values("authsome register --");
    assert!(!all.iter().any(|it| it == "--yes"), "it is hidden: {all:?}");
}

#[test]
fn values_are_told_by_the_type_of_their_argument() {
    let none = |kind| text(kind, "", "");
    assert_eq!(known("authsome login "), none(Kind::Providers));
    assert_eq!(known("authsome inspect "), none(Kind::Providers));
    assert_eq!(known("authsome get "), none(Kind::Connected));
    assert_eq!(known("authsome export in"), text(Kind::Connected, "", "in"));
    assert_eq!(
        known("authsome logout intercom --connection "),
        none(Kind::Connections(Some("intercom".into())))
    );
    assert_eq!(
        known("authsome logout --connection "),
        none(Kind::Connections(None))
    );
    assert_eq!(
        known("authsome connections set-default intercom t"),
        text(Kind::Connections(Some("intercom".into())), "", "t")
    );
    assert_eq!(known("authsome runs stop "), none(Kind::Runs));
    assert_eq!(known("authsome log --run "), none(Kind::Runs));
    assert_eq!(known("authsome webhook rotate "), none(Kind::Webhooks));
    assert_eq!(at("authsome webhook add "), Wanted::Nothing);
    assert_eq!(at("authsome register "), Wanted::Files);
    assert_eq!(at("authsome scan a b/"), Wanted::Files);
    assert_eq!(values("authsome run --unmatched d"), ["deny"]);
    assert_eq!(values("authsome run --unmatched=d"), ["--unmatched=deny"]);
    assert_eq!(
        values("authsome webhook add x --scheme intercom"),
        ["intercom", "intercom-fin"]
    );
    assert_eq!(at("authsome status "), Wanted::Nothing);
    assert_eq!(at("authsome log --lines "), Wanted::Nothing);
}

#[test]
fn the_schemes_are_those_that_the_help_lists() {
    let mut root = Cli::command();
    root.build();
    let add = root.find_subcommand("webhook").unwrap();
    let add = add.find_subcommand("add").unwrap();
    let help = add.get_after_help().unwrap().to_string();
    assert!(help.contains(&format!("Schemes: {}\n", SCHEMES.join(", "))));
}

#[test]
fn a_value_in_pieces_keeps_what_was_typed_of_it() {
    assert_eq!(
        known("authsome run --connection intercom=te"),
        text(Kind::Choices, "", "intercom=te")
    );
    assert_eq!(
        known("authsome run --connection=inter"),
        text(Kind::Choices, "--connection=", "inter")
    );
    let wanted = at("authsome run --only intercom,gi");
    let Wanted::Known {
        kind,
        lead,
        typed,
        without,
    } = wanted
    else {
        panic!("{wanted:?}")
    };
    assert_eq!(
        (kind, lead.as_str(), typed.as_str()),
        (Kind::Providers, "intercom,", "gi")
    );
    assert_eq!(without, ["intercom"]);
    assert_eq!(
        known("authsome run --env KEY=intercom/t"),
        text(Kind::Paths, "KEY=", "intercom/t")
    );
    assert_eq!(at("authsome run --env KE"), Wanted::Nothing);
}

#[test]
fn what_follows_run_is_another_command_line() {
    for (line, number) in [
        ("authsome run ", 2),
        ("authsome run cu", 2),
        ("authsome run -- ", 3),
        ("authsome run -- curl -", 3),
        ("authsome run curl --json", 2),
        ("authsome run --only intercom -- git st", 5),
        ("authsome run --only intercom git st", 4),
        ("authsome run --only=intercom --unmatched deny curl ", 5),
        ("authsome run -- --odd", 3),
        ("authsome proxy run -- x", 4),
    ] {
        assert_eq!(at(line), Wanted::Command(number), "{line}");
    }
    assert!(!values("authsome run --json -").is_empty());
}

#[test]
fn an_option_that_may_lack_its_value_does_not_swallow_the_next_option() {
    let all = values("authsome webhook rotate x --keep-old --no");
    assert!(all.iter().any(|it| it == "--no-browser"), "{all:?}");
}

#[test]
fn the_engine_takes_whatever_is_typed() {
    for line in [
        "authsome -",
        "authsome --",
        "authsome -q -v -",
        "authsome log -n5 -",
        "authsome log -n 5 -f -",
        "authsome log -zzz -",
        "authsome run --connection",
        "authsome é ü",
        "authsome run --only é,",
        "authsome run --unmatched=é",
        "authsome -- -- --",
        "authsome run --env =",
    ] {
        let _whatever = at(line);
    }
}

#[test]
fn an_offer_holds_nothing_that_a_shell_could_read_something_into() {
    for bad in [
        "$(id)", "a b", "`id`", "a;b", "a'b", "a\"b", "a\\b", "a\nb", "é", "~", "*", "",
    ] {
        assert_eq!(Offer::new(bad, ""), None, "{bad}");
    }
    let offer = Offer::new("acme", "$(id)\t\u{1b}[2J\u{202e}two\nlines").unwrap();
    let line = offer.line();
    assert_eq!(line.matches(['\t', '\n', '\u{1b}']).count(), 1, "{line:?}");
    assert!(line.starts_with("acme\t$(id)"), "{line:?}");
    assert!(Offer::new("a", &"x".repeat(500)).unwrap().line().len() < 100);
}
