//! `docs/agents.md`, the text that agents are given: every command in it is one, every code is in it,
//! and what it says is refused is refused.

use std::collections::BTreeSet;

use authsome_tests::{Home, LiveRun, StandIn};
use authsomed::routing::RefuseCode;
use serde_json::Value;

const TEXT: &str = include_str!("../../docs/agents.md");

/// The commands in the text, from code spans and blocks; what a reader fills in is filled in.
fn commands() -> BTreeSet<String> {
    let spans = TEXT.split('`').filter(|span| !span.contains('\n'));
    // of the blocks, those that hold commands; the others' commands stand in spans
    let mut fence = None;
    let lines = TEXT.lines().filter(move |line| {
        match (line.strip_prefix("```"), fence) {
            (Some(kind), None) => fence = Some(kind),
            (Some(_), Some(_)) => fence = None,
            (None, _) => {}
        }
        fence == Some("")
    });
    let filled = |command: &str| {
        [
            ("PROVIDER", "intercom"),
            ("NAME", "team"),
            ("METHOD", "GET"),
            ("URL", "https://api.intercom.io/me"),
            ("SESSION", "nosuchlogin"),
            ("FILE", "nosuchfile"),
            ("COMMAND", "true"),
        ]
        .iter()
        .fold(command.to_owned(), |text, (name, value)| {
            text.replace(name, value)
        })
    };
    spans
        .chain(lines)
        .filter(|text| text.starts_with("authsome "))
        .map(filled)
        .collect()
}

/// A command that is no command ends with usage, whatever else it would do.
#[test]
fn every_command_in_the_text_is_one() {
    let home = Home::new();
    let commands = commands();
    assert!(commands.len() > 20, "{commands:?}");
    for command in commands {
        // what is run there is somebody else's, with exit codes of its own
        let command = match command.split_once(" -- ") {
            Some((ours, _)) => format!("{ours} -- true"),
            None => command,
        };
        let words: Vec<_> = command.split_whitespace().skip(1).collect();
        if words.first() == Some(&"run") && words.len() <= 2 {
            continue; // the beginning of a command
        }
        let output = home.authsome(&words).env("BROWSER", "").reveals().output();
        assert_ne!(output.code(), Some(2), "{output}");
        assert!(!output.stderr.contains("--help"), "{output}");
    }
}

#[test]
fn every_code_of_a_refusal_is_in_the_text_and_no_other() {
    let told: Vec<&str> = TEXT
        .lines()
        .skip_while(|line| !line.starts_with("| code |"))
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next())
        .flat_map(|cell| cell.split('`'))
        .filter(|word| word.contains('_') || *word == "ambiguous" || *word == "malformed")
        .collect();
    let unique: BTreeSet<_> = told.iter().copied().collect();
    assert_eq!(
        unique.len(),
        told.len(),
        "a code stands there twice: {told:?}"
    );
    let known: BTreeSet<_> = RefuseCode::ALL.iter().map(|code| code.code()).collect();
    assert_eq!(unique, known);
}

/// L3: the commands that the text says are refused inside a run.
#[test]
fn what_the_text_says_is_refused_inside_a_run_is() {
    let stand_in = StandIn::start(&["api.intercom.io"]);
    let home = Home::with(&stand_in);
    home.login("intercom");
    let (_, list) = TEXT
        .split_once("Do not try these inside a run, they are refused there:")
        .expect("the text has that list");
    let (list, _) = list.split_once("If one of them").expect("and its end");
    let refused: Vec<&str> = list
        .split('`')
        .filter(|span| span.starts_with("authsome "))
        .collect();
    assert_eq!(refused.len(), 6, "{refused:?}");
    home.write("definition.json", "{}");
    let mut run = LiveRun::start(&home, &[]);
    for command in refused {
        let line = command
            .replace("PROVIDER", "intercom")
            .replace("FILE", "definition.json");
        // nothing to ask with, and nobody to ask
        let yes = if line.contains("export") || line.contains("--show-secret") {
            "--yes"
        } else {
            ""
        };
        let said = run.shell(&format!(
            "setsid {line} {yes} --json </dev/null 2>&1; echo \"exit $?\""
        ));
        assert!(said.contains("refused_inside_run"), "{line}: {said}");
        assert!(!said.contains("exit 0"), "{line}: {said}");
    }
    home.authsome(["get", "intercom", "--field", "status"])
        .output()
        .succeeded();
}

#[test]
fn configuration_and_tools_in_the_text_are_those_of_the_program() {
    let home = Home::new();
    let help = home.authsome(["mcp", "--help"]).output().succeeded();
    let line = TEXT
        .lines()
        .find(|line| line.starts_with("{\"mcpServers\""))
        .expect("the text has a configuration");
    assert!(help.stdout.contains(line), "{help}");
    let configuration: Value = serde_json::from_str(line).expect("it is JSON");
    let server = &configuration["mcpServers"]["authsome"];
    assert_eq!(
        (&server["command"], &server["args"][0]),
        (&"authsome".into(), &"mcp".into())
    );

    let asks = concat!(
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"#,
        r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
        r#""io.modelcontextprotocol/clientCapabilities":{}}}}"#,
    );
    let listed = home.authsome(["mcp"]).stdin(asks).output().succeeded();
    let listed = listed.json();
    let tools = listed["result"]["tools"].as_array().expect("a list");
    for tool in tools {
        let name = format!("`{}`", tool["name"].as_str().expect("a name"));
        let rows = TEXT.lines().filter(|line| line.starts_with("| `"));
        let found = rows.filter(|line| line.contains(&name)).count();
        assert!(found >= 1, "{name} is not in the text");
    }
}

/// The front matter that a skill needs, within the bounds that readers of it have.
#[test]
fn the_text_begins_as_a_skill_does() {
    let (_, skill) = TEXT.split_once("```markdown\n---\n").expect("a block");
    let (front, body) = skill.split_once("\n---\n").expect("its end");
    let fields: Vec<_> = front
        .lines()
        .filter_map(|line| line.split_once(": "))
        .collect();
    assert_eq!(fields[0], ("name", "authsome"));
    assert_eq!(fields[1].0, "description");
    assert!(fields[1].1.len() <= 1024);
    assert!(
        !fields[1].1.contains(": "),
        "a colon would end the value in YAML"
    );
    assert!(body.lines().count() < 120, "a skill is short");
}
