//! The recipe of `docs/shells.md` in the real direnv.

use authsome_tests::{Home, wait_until};

use super::{HOST, SOON, Shell, Terminal, wait_until_no_run, world};

/// The function as the page has it.
fn recipe() -> String {
    let page = include_str!("../../../docs/shells.md");
    let (_, rest) = page
        .split_once("```bash\nuse_authsome()")
        .expect("the recipe");
    let (body, _) = rest.split_once("```").expect("its end");
    format!("use_authsome(){body}")
}

fn prepare(home: &Home) {
    let lib = home.user_home().join(".config/direnv/lib");
    std::fs::create_dir_all(&lib).unwrap();
    std::fs::write(lib.join("authsome.sh"), recipe()).unwrap();
    for (folder, text) in [
        ("one", "use authsome\n"),
        ("two", "use authsome --only github,intercom --for 1h\n"),
    ] {
        folder_with(home, folder, text);
    }
}

/// Makes a folder whose settings are `text`.
fn folder_with(home: &Home, name: &str, text: &str) {
    let folder = home.work().join(name);
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join(".envrc"), text).unwrap();
    home.command("direnv")
        .arg("allow")
        .current_dir(&folder)
        .output()
        .succeeded();
}

/// What a prompt does. It is done by hand, so that a test knows when it is done.
fn prompt(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash | Shell::BashCompletion => "eval \"$(direnv export bash 2>/dev/null)\"",
        Shell::Fish => "direnv export fish 2>/dev/null | source",
        Shell::Zsh => "eval \"$(direnv export zsh 2>/dev/null)\"",
    }
}

#[test]
fn a_folder_has_its_run_and_leaving_it_leaves_the_run() {
    for shell in Shell::PROGRAMS {
        let (stand_in, home) = world();
        prepare(&home);
        let mut terminal = Terminal::open(&home, shell);
        let mut go = |folder: &str| {
            terminal.run(&format!("cd {}", home.work().join(folder).display()));
            terminal.run(prompt(shell));
            terminal.run("printenv AUTHSOME_RUN")
        };
        let one = go("one");
        assert!(!one.is_empty(), "{shell:?}");
        assert_eq!(go("one"), one, "{shell:?}: nothing changed");
        assert_eq!(go(""), "", "{shell:?}: left");
        assert_eq!(go("one"), one, "{shell:?}: back again");
        let two = go("two");
        assert!(!two.is_empty() && two != one, "{shell:?}: other wishes");
        assert_eq!(go("one"), one, "{shell:?}");
        assert_eq!(go("two"), two, "{shell:?}");
        assert_eq!(home.runs().len(), 2, "{shell:?}");

        stand_in.forget();
        let status = "curl -sS -o /dev/null -w '%{http_code}'";
        assert_eq!(terminal.run(&format!("{status} https://{HOST}/me")), "200");
        let bearer = format!("Bearer {}", home.canary().secret());
        assert_eq!(stand_in.last().header("authorization"), [bearer]);

        // outside of the folder the shell is in no run, and has what it had
        let mut go = |folder: &str| {
            terminal.run(&format!("cd {}", home.work().join(folder).display()));
            terminal.run(prompt(shell));
        };
        go("");
        for name in ["HTTPS_PROXY", "INTERCOM_API_KEY", "SSL_CERT_FILE"] {
            assert_eq!(terminal.run(&format!("printenv {name}")), "", "{shell:?}");
        }
        let who = terminal.run("authsome whoami");
        assert!(who.contains("outside of every run"), "{shell:?}: {who}");

        terminal.exit();
        wait_until_no_run(&home);
    }
}

#[test]
fn a_run_that_was_stopped_is_replaced_at_the_next_prompt() {
    let (_stand_in, home) = world();
    prepare(&home);
    let mut terminal = Terminal::open(&home, Shell::Bash);
    terminal.run(&format!("cd {}/one", home.work().display()));
    terminal.run(prompt(Shell::Bash));
    let run = terminal.run("printenv AUTHSOME_RUN");
    home.authsome(["runs", "stop", &run]).output().succeeded();
    wait_until("its folder to be gone", SOON, || home.runs().is_empty());
    terminal.run(prompt(Shell::Bash));
    let next = terminal.run("printenv AUTHSOME_RUN");
    assert!(!next.is_empty() && next != run, "{run} {next}");
    assert_eq!(home.runs().len(), 1);
    terminal.exit();
    wait_until_no_run(&home);
}

/// L3: direnv asks for the shell that started it, and for nobody else.
#[test]
fn l3_direnv_under_a_program_in_a_run_leads_out_of_nothing() {
    let (_stand_in, home) = world();
    prepare(&home);
    for (name, text) in [("wide", "tunnel"), ("narrow", "deny")] {
        folder_with(&home, name, &format!("use authsome --unmatched {text}\n"));
    }
    let script = "cd narrow; eval \"$(direnv export bash)\"
        sh -c 'cd ../wide; direnv export bash | grep -c \"export AUTHSOME_RUN\"; exit 0'
        sh -c \"env -u AUTHSOME_RUN authsome env --unmatched tunnel --pid $$; exit 0\"
        cd ../wide; direnv export bash | grep -c 'export AUTHSOME_RUN'; exit 0";
    let output = home
        .command("bash")
        .args(["-c", script])
        .output()
        .succeeded();
    // what the shell started is in the narrower run; the shell itself may have what it wishes
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert_eq!(lines, ["0", "1"], "{output}");
    let output = output.said(&["a run inside a run can only narrow"]);
    assert_eq!(output.stderr.matches("can only narrow").count(), 2);
    wait_until_no_run(&home);
}

/// `direnv exec` becomes the command.
#[test]
fn direnv_exec_gives_the_run_to_its_command() {
    let (stand_in, home) = world();
    prepare(&home);
    let folder = home.work().join("one");
    home.command("direnv")
        .arg("exec")
        .arg(&folder)
        .args(["sh", "-c", &format!("curl -sS https://{HOST}/me; sleep 0")])
        .output()
        .succeeded();
    let bearer = format!("Bearer {}", home.canary().secret());
    assert_eq!(stand_in.last().header("authorization"), [bearer]);
    wait_until_no_run(&home);
}
