//! A login that its person gives up.

use super::*;

#[test]
fn ctrl_c_while_a_server_is_asked_gives_the_login_up() {
    let home = Home::conversing(|id, request| match request {
        Request::Login(_) => vec![answer(
            id,
            started(LoginStep::Enter {
                asks: client(Some("one"), false),
            }),
        )],
        // the server takes its time
        Request::LoginAnswer { .. } => vec![],
        other => others(id, other),
    });
    let child = home
        .command("login github --client-id one")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    home.wait_for(|request| matches!(request, Request::LoginAnswer { .. }));
    let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let seen = Seen::of(child.wait_with_output().unwrap());
    assert_eq!(seen.code, Some(130), "{seen:?}");
    assert!(seen.err.contains("login cancelled"), "{}", seen.err);
    assert_eq!(handed_over(&home), ["client one None", "cancel"]);
}

#[test]
fn ctrl_c_gives_the_login_up_at_each_step_and_leaves_the_terminal_as_it_was() {
    let enter = |asks| LoginStep::Enter { asks };
    for (step, seen) in [
        (authorize(), "waiting for the browser"),
        (device(), "waiting for the code"),
        (LoginStep::Wait, "waiting for the server"),
        (enter(client(None, true)), "Client id for GitHub: "),
        (enter(client(Some("one"), true)), "Client secret (hidden): "),
        (enter(LoginAsks::ApiKey), "Key for GitHub (hidden): "),
        (enter(LoginAsks::ServiceAccount), "Path of the JSON key"),
    ] {
        let home = desk(step, vec![]);
        let mut terminal = Terminal::run(&home.command("login github --no-browser"));
        terminal.sees(seen);
        terminal.types("\u{3}");
        terminal.sees("login cancelled");
        assert_eq!(terminal.ends(), Some(130), "{}", terminal.screen);
        assert!(terminal.is_as_before(), "{seen}");
        assert_eq!(handed_over(&home), ["cancel"], "{seen}");
    }
}

#[test]
fn a_signal_leaves_the_terminal_as_it_was() {
    let home = desk(authorize(), vec![]);
    let mut terminal = Terminal::run(&home.command("login github --no-browser"));
    terminal.sees("waiting for the browser");
    assert!(!terminal.is_as_before(), "nothing would be put back");
    terminal.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(terminal.ends(), Some(130), "{}", terminal.screen);
    assert!(terminal.is_as_before());
    assert_eq!(handed_over(&home), ["cancel"]);
}
