//! What is said on the command line.

use super::*;

#[test]
fn the_options_of_a_login_reach_the_daemon() {
    let home = waiting_desk(LoginStep::Wait);
    let seen = home.run(
        "login github --flow device_code --scopes repo,read:user --base-url \
         https://github.example.com --client-id one --connection team --force",
    );
    assert_eq!((seen.code, seen.out.as_str()), (Some(0), DONE));
    let login = login_of(&home);
    assert_eq!(login.flow, Some(OAuthFlow::DeviceCode));
    assert_eq!(login.scopes, ["repo", "read:user"]);
    assert_eq!(
        login.base_url.as_deref(),
        Some("https://github.example.com")
    );
    assert_eq!(login.client_id.as_deref(), Some("one"));
    assert!(login.force);
}

#[test]
fn options_that_mean_nothing_for_a_provider_are_refused() {
    let home = waiting_desk(LoginStep::Wait);
    for option in [
        "--flow device",
        "--scopes a",
        "--base-url https://x",
        "--client-id one",
        "--key-file x",
    ] {
        let seen = home.run(&format!("login intercom {option}"));
        assert_eq!(seen.code, Some(2), "{option}: {seen:?}");
        let named = option.split(' ').next().unwrap();
        assert!(seen.err.contains(named), "{option}: {}", seen.err);
    }
    let seen = home.run("login github --flow api_key");
    assert_eq!(seen.code, Some(2));
    assert!(seen.err.contains("no API key"), "{}", seen.err);
    assert!(
        !home
            .asked()
            .iter()
            .any(|request| matches!(request, Request::Login(_))),
        "{:?}",
        home.asked()
    );
}

#[test]
fn a_client_secret_on_the_command_line_is_refused_and_not_repeated() {
    let home = waiting_desk(LoginStep::Wait);
    for line in [
        "login github --client-id one --client-secret canary-0123456789",
        "login github --client-secret=canary-0123456789",
        "login github --client-secret",
    ] {
        let seen = home.run(line);
        assert_eq!(seen.code, Some(2), "{line}: {seen:?}");
        assert!(seen.err.contains("--stdin"), "{}", seen.err);
        assert!(!seen.err.contains("canary"), "{}", seen.err);
    }
    assert!(home.asked().is_empty());
}

#[test]
fn a_server_is_logged_in_to_by_its_address() {
    let home = waiting_desk(authorize());
    let seen = home.run("login https://mcp.example.com/mcp --scopes read --connection team");
    assert_eq!(seen.code, Some(0), "{seen:?}");
    let asked = home.asked();
    let Some(Request::LoginServer(server)) = asked.first() else {
        panic!("{asked:?}")
    };
    assert_eq!(server.url, "https://mcp.example.com/mcp");
    assert_eq!(server.scopes, ["read"]);
    assert_eq!(server.connection.as_ref().unwrap().as_str(), "team");
    let seen = home.run("login https://mcp.example.com/mcp --flow device");
    assert_eq!(seen.code, Some(2), "{seen:?}");
}

#[test]
fn a_server_without_encryption_is_refused_with_the_reason() {
    let home = waiting_desk(authorize());
    let seen = home.run("login http://mcp.example.com/mcp");
    assert_eq!(seen.code, Some(2));
    assert!(
        seen.err
            .contains("everybody on the way could read the token"),
        "{}",
        seen.err
    );
    assert!(home.asked().is_empty());
}

#[test]
fn a_value_that_nothing_asks_for_is_not_dropped_silently() {
    let home = waiting_desk(authorize());
    let seen = piped(home.command("login github --stdin"), CANARY);
    assert_eq!(seen.code, Some(2));
    assert!(seen.err.contains("asks for nothing"), "{}", seen.err);
    assert_eq!(handed_over(&home), ["cancel"]);
}
