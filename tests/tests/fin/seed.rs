//! What Intercom's setup page of the Fin Agent API tells its reader to do, in its order.

use authsome_tests::{Canary, Output};

use crate::{API, PLACEHOLDER, World, bearer, message, newman};

/// Types a key at the hidden prompt, and shows what is said there.
const TYPIST: &str = r#"
set timeout 60
log_user 1
spawn -noecho authsome login intercom-fin
expect -re {(?i)key.*: ?$}
set file [open $env(KEY_FILE)]
send -- "[string trim [read $file]]\r"
expect eof
exit [lindex [wait] 3]
"#;

#[test]
fn the_setup_page_works_in_its_order() {
    let mut world = World::new();
    let stated = |output: &Output| output.stdout.lines().last().unwrap().to_owned();
    let post = |world: &World, path: &str| {
        let body = world.home.write("body.json", message("ext-123"));
        world.stand_in.forget();
        let script = format!(
            "curl -s -o \"$OUT\" -w '%{{http_code}}\\n' --json @{} \
             -H \"Authorization: Bearer $INTERCOM_FIN_API_KEY\" https://{API}{path}",
            body.display()
        );
        let answer = world.home.work().join("answer.json");
        world
            .home
            .run_shell(&script)
            .env("OUT", answer)
            .output()
            .succeeded()
    };

    // API key: where it is, said where one looks for it
    let list = world
        .home
        .authsome(["list", "--all"])
        .output()
        .succeeded()
        .stdout;
    assert!(list.contains("intercom-fin"), "{list}");
    let inspected = world
        .home
        .authsome(["inspect", "intercom-fin"])
        .output()
        .succeeded();
    let hint = inspected.json()["key"]["hint"].to_string();
    for word in [
        "Fin AI Agent",
        "Deploy",
        "API",
        "Install",
        "managed availability",
    ] {
        assert!(hint.contains(word), "`{word}` is not in {hint}");
    }
    // copy the key: it is pasted where nothing shows it
    let typist = world.home.write("typist", TYPIST);
    let key_file = world.home.write("key", world.fin.secret());
    let typed = world
        .home
        .command("expect")
        .arg(typist)
        .env("KEY_FILE", key_file)
        .output()
        .succeeded();
    assert!(
        typed.stdout.contains("Fin AI Agent, Deploy, API"),
        "{typed}"
    );
    assert!(
        typed.stdout.contains("programs see INTERCOM_FIN_API_KEY"),
        "{typed}"
    );
    // use it as a Bearer token; its scope is sufficient for /fin/start and /fin/reply
    for path in ["/fin/start", "/fin/reply"] {
        assert_eq!(stated(&post(&world, path)), "200");
        assert_eq!(
            world.stand_in.last().header("authorization"),
            [bearer(&world.fin)]
        );
    }

    // Token security: the program does not have it
    let shown = world.home.run_shell("env").output().succeeded();
    let expected = format!("INTERCOM_FIN_API_KEY={PLACEHOLDER}\n");
    assert!(shown.stdout.contains(&expected), "{shown}");
    // never committed: one that lies in the working copy is found
    let stray = format!("INTERCOM_FIN_API_KEY={}\n", world.fin.secret());
    world.home.write(".env", stray);
    let found = world.home.authsome(["scan"]).output().succeeded();
    assert!(found.stdout.contains("intercom-fin"), "{found}");
    std::fs::remove_file(world.home.work().join(".env")).unwrap();

    // Using the token for other APIs: do not attempt to
    let contacts = |world: &World| {
        world.stand_in.forget();
        let url = format!("https://{API}/contacts");
        world
            .home
            .run(["curl", "-s", "-i", &url])
            .output()
            .succeeded()
            .stdout
    };
    let refused = contacts(&world);
    assert!(
        refused.contains("authsome-error: login_needed"),
        "{refused}"
    );
    assert_eq!(world.arrived(), []);
    // create a separate key, use different tokens
    world.log_in_to_rest();
    assert!(contacts(&world).contains("200 OK"));
    assert_eq!(
        world.stand_in.last().header("authorization"),
        [bearer(&world.rest)]
    );

    // Customizing scopes: regenerate the token for changes to take effect
    let newer = world.home.watch(Canary::new());
    world.intercom.regenerate(&newer);
    assert_eq!(stated(&post(&world, "/fin/reply")), "401");
    assert_eq!(world.stand_in.requests().len(), 1);
    world.home.login_with("intercom-fin", &newer, &["--force"]);
    assert_eq!(stated(&post(&world, "/fin/reply")), "200");
    assert_eq!(
        world.stand_in.last().header("authorization"),
        [bearer(&newer)]
    );

    // Testing: the Postman collection, with `bearerToken` and `externalConversationId` set
    world.stand_in.forget();
    newman::run_collection(&world.home, API).succeeded();
    let keys: Vec<_> = world
        .arrived()
        .into_iter()
        .flat_map(|(_, keys)| keys)
        .collect();
    let (fin, rest) = (bearer(&newer), bearer(&world.rest));
    assert_eq!(keys, [fin.clone(), fin.clone(), fin, rest]);
}

/// Notification method and webhook validation: the secret that the page generates is stored, and
/// local code hears of nothing that is not signed with it.
#[test]
fn the_setup_page_s_webhook_secret_is_stored_and_checks_what_arrives() {
    let mut world = World::new();
    let secret = world.home.watch(Canary::new());
    let webhook = |words: &[&str]| world.home.authsome(["webhook"]).args(words);
    webhook(&["add", "fin", "--scheme", "intercom-fin"])
        .args(["--forward", "http://127.0.0.1:3000/hooks", "--stdin"])
        .stdin(secret.secret())
        .output()
        .succeeded();
    let body = "{\"event_name\":\"fin_status_updated\",\"conversation_id\":\"ext-123\"}";
    let signed = webhook(&["sign", "fin"]).stdin(body).output().succeeded();
    let signature = signed
        .stdout
        .split_whitespace()
        .find(|word| word.starts_with("sha256="))
        .unwrap_or_else(|| panic!("no signature\n{signed}"));
    // the page shows one of 40 digits; what it says, and what is right, are 64
    assert_eq!(signature.len(), "sha256=".len() + 64);
    webhook(&["verify", "fin", "--signature", signature])
        .stdin(body)
        .output()
        .succeeded();
    for (signature, body) in [
        (signature, "{}"),
        (&signature[.."sha256=".len() + 40], body),
        ("sha256=21ff2e149e0fdcac6f947740f6177f6434bda921", body),
    ] {
        webhook(&["verify", "fin", "--signature", signature])
            .stdin(body)
            .output()
            .exited(1);
    }
}
