//! Real clients, unmodified and unconfigured, get the injected key under `authsome run`.
//!
//! Each program knows a URL and nothing else. The stand-in answers 200 only to a request with the
//! key, which is in the vault alone, so a 200 means: the proxy was found, the token was sent, the
//! run's CA was trusted, and the key was put in. When the test ends, the harness searches what the
//! programs held and printed for the keys (threat L5).
//!
//! The table in `docs/clients.md` is made here: see [`table`].

#[path = "clients/installed.rs"]
mod installed;
#[path = "clients/served.rs"]
mod served;
#[path = "clients/table.rs"]
mod table;

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use authsome_tests::stand_in::Options;
use authsome_tests::{Canary, Home, Output, StandIn};

use installed::{Installed, said};
use served::{HOSTS, PROOF, SERVED, Served};
use table::Line;

/// One URL for all that take one.
const URL: &str = "https://api.intercom.io/me";

/// A provider of the user's own: a git host that takes a token as a password.
const GIT_HOST: &str = r#"{
  "v": 1,
  "name": "git-host",
  "display_name": "A git host",
  "kind": "app",
  "auth": "api_key",
  "routes": [
    {
      "hosts": ["git.example.com"],
      "basic": { "username": "x-access-token", "password": "{secret}" }
    }
  ]
}
"#;

/// How long one client may take: a JVM in a debug build's company on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(120);

const ENV: &str = "`HTTPS_PROXY`";
const NOTHING: &str = "nothing";

/// A client: how it is run, each time with success, and its line in the table.
struct Client {
    name: &'static str,
    version: String,
    proxy: &'static str,
    trust: &'static str,
    program: &'static str,
    runs: Vec<Vec<OsString>>,
    /// What its output has to contain.
    proof: &'static str,
}

#[test]
fn unmodified_clients_get_a_200_with_the_injected_key() {
    let installed = Installed::now();
    let stand_in = StandIn::with(Options {
        names: HOSTS.map(str::to_owned).to_vec(),
        answer: Some(served::answer),
        ..Options::default()
    });
    let mut home = Home::with(&stand_in);
    prepare(&mut home, &installed);
    let clients = clients(&home, &installed);
    let mut lines = Vec::new();
    let mut failures = Vec::new();
    for client in clients {
        for run in &client.runs {
            let output = home
                .run(run)
                .timeout(TIMEOUT)
                .env("CARGO_HOME", home.work().join("cargo-home"))
                .env("RUSTC", Path::new(env!("CARGO")).with_file_name("rustc"))
                .output();
            if output.code() != Some(0) || !output.stdout.contains(client.proof) {
                failures.push(describe(client.name, &output, &stand_in));
            }
            stand_in.forget();
        }
        lines.push(Line {
            client: client.name,
            version: client.version,
            proxy: client.proxy,
            trust: client.trust,
            program: client.program,
        });
    }
    assert!(
        failures.is_empty(),
        "{} failed\n{}",
        failures.len(),
        failures.join("\n")
    );
    table::check(&lines);
}

/// What the caller has set itself neither leads past the proxy nor gets lost, also two runs deep.
#[test]
fn a_run_inside_a_run_works_over_settings_of_the_callers_own() {
    let key = Canary::new();
    let stand_in = StandIn::intercom(key.secret());
    let mut home = Home::with(&stand_in);
    let key = home.watch(key);
    home.login_with("intercom", &key, &[]);
    let own = home.write("wgetrc", "tries = 1\nuser_agent = of-the-caller\n");
    for client in [&["curl", "-sSf", URL][..], &["wget", "-qO-", URL]] {
        let output = home
            .run(["authsome", "run", "--"])
            .args(client)
            .env("WGETRC", &own)
            .env("SSL_CERT_FILE", stand_in.ca_path())
            .env("HTTPS_PROXY", "http://127.0.0.1:9")
            .env("ALL_PROXY", "socks5://127.0.0.1:9")
            .env("NO_PROXY", "*.intercom.io,example.com")
            .output()
            .succeeded()
            .said(&["`*.intercom.io` in `NO_PROXY`"]);
        assert!(output.stdout.contains("ada@example.com"), "{output}");
    }
    assert_eq!(stand_in.last().header("user-agent"), ["of-the-caller"]);
    let script = "authsome run -- env; grep -c BEGIN $SSL_CERT_FILE; \
                  authsome run -- sh -c 'grep -c BEGIN $SSL_CERT_FILE'";
    let output = home
        .run_shell(script)
        .env("NODE_OPTIONS", "--no-warnings")
        .output()
        .succeeded();
    let value = |name: &str| {
        let line = output
            .stdout
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("`{name}` is not set\n{output}"))
            .to_owned()
    };
    assert_eq!(value("NODE_OPTIONS").matches("--require=").count(), 1);
    assert!(value("NODE_OPTIONS").starts_with("--no-warnings "));
    assert_eq!(value("JAVA_TOOL_OPTIONS").matches("trustStore=").count(), 1);
    let counts: Vec<_> = output.stdout.lines().rev().take(2).collect();
    assert_eq!(
        counts[0], counts[1],
        "the inner bundle has other certificates"
    );
}

/// Logs in everywhere, and makes what is served.
fn prepare(home: &mut Home, installed: &Installed) {
    let openai = home.watch(Canary::alphanumeric("sk-"));
    let anthropic = home.watch(Canary::alphanumeric("sk-ant-"));
    let git = home.watch(Canary::new());
    home.login("intercom");
    home.login_with("openai", &openai, &[]);
    home.login_with("anthropic", &anthropic, &[]);
    let definition = home.write("git-host.json", GIT_HOST);
    home.authsome(["register"])
        .arg(definition)
        .output()
        .succeeded();
    home.login_with("git-host", &git, &[]);

    let files = home.work().join("files");
    fs::create_dir(&files).expect("the work folder can be written");
    make_repository(&files);
    let wheel = Command::new(&installed.python)
        .arg(installed.sources.join("python/make_wheel.py"))
        .arg(&files)
        .status();
    assert!(wheel.expect("python runs").success());
    make_cargo_project(&home.work().join("project"));
    let served = Served {
        intercom: home.canary().secret().to_owned(),
        openai: openai.secret().to_owned(),
        anthropic: anthropic.secret().to_owned(),
        git: git.secret().to_owned(),
        files,
    };
    SERVED.set(served).expect("this process serves one test");
}

fn clients(home: &Home, installed: &Installed) -> Vec<Client> {
    let work = home.work();
    let text = |path: &Path| path.to_str().expect("the paths are ours").to_owned();
    let source = |name: &str| text(&installed.sources.join(name));
    let (python, node) = (text(&installed.python), text(&installed.node));
    let library = |name: &'static str| {
        let get = source("python/get.py");
        vec![words(&[&python, "-W", "ignore", &get, name, URL])]
    };
    let module = |name: &str| {
        version(&said(
            &python,
            &["-c", &format!("import {name}; print({name}.__version__)")],
        ))
    };
    let python_version = version(&said(&python, &["--version"]));
    let node_runs = |number: &str| {
        let program = text(&installed.node_program(number));
        vec![
            words(&[&program, &format!("{node}/get.cjs"), "fetch", URL]),
            words(&[&program, &format!("{node}/get.cjs"), "https", URL]),
            words(&[&program, &format!("{node}/get.mjs"), URL]),
        ]
    };
    let node_version =
        |number: &str| version(&said(installed.node_program(number), &["--version"]));
    let axios_runs = |name: &str| {
        installed::NODE_VERSIONS
            .map(|number| {
                let program = text(&installed.node_program(number));
                words(&[&program, &format!("{node}/get.cjs"), name, URL])
            })
            .to_vec()
    };
    let axios_version = |name: &str| {
        let package = installed
            .node
            .join(format!("node_modules/{name}/package.json"));
        let package = fs::read_to_string(package).expect("npm has installed it");
        let package: serde_json::Value = serde_json::from_str(&package).expect("it is JSON");
        package["version"]
            .as_str()
            .expect("it has a version")
            .to_owned()
    };
    let java = |kind| {
        vec![words(&[
            "java",
            "-cp",
            &text(&installed.java),
            "Get",
            kind,
            URL,
        ])]
    };
    let java_version = version(&said("java", &["-version"]));
    let lock = fs::read_to_string(installed.sources.join("rust/Cargo.lock")).expect("it is there");
    let reqwest = lock
        .split("name = \"reqwest\"\n")
        .nth(1)
        .expect("it is locked");
    let reqwest = version(reqwest);
    let cargo = env!("CARGO");
    let rust = |backend| vec![words(&[&text(&installed.rust), backend, URL])];
    let shell = |script: &str| vec![words(&["sh", "-ec", script])];
    let one = |name, version, trust, runs| Client {
        name,
        version,
        proxy: ENV,
        trust,
        program: NOTHING,
        runs,
        proof: PROOF,
    };
    vec![
        one(
            "curl",
            version(&said("curl", &["--version"])),
            "`SSL_CERT_FILE`, `CURL_CA_BUNDLE`",
            vec![words(&["curl", "-sSf", URL])],
        ),
        Client {
            proxy: "`https_proxy`, lower case only",
            ..one(
                "wget",
                version(&said("wget", &["--version"])),
                "`WGETRC`, which includes the user's own",
                vec![words(&["wget", "-qO-", URL])],
            )
        },
        one(
            "git (clone, token as Basic password)",
            version(&said("git", &["--version"])),
            "`GIT_SSL_CAINFO`",
            shell("git clone -q https://git.example.com/stand-in.git clone && cat clone/README"),
        ),
        one(
            "Python `urllib`",
            python_version,
            "`SSL_CERT_FILE`",
            library("urllib"),
        ),
        one(
            "Python `requests`",
            module("requests"),
            "`REQUESTS_CA_BUNDLE`",
            library("requests"),
        ),
        one(
            "Python `httpx`",
            module("httpx"),
            "`SSL_CERT_FILE`",
            library("httpx"),
        ),
        Client {
            program: "`trust_env=True`",
            ..one(
                "Python `aiohttp`",
                module("aiohttp"),
                "`SSL_CERT_FILE`",
                library("aiohttp"),
            )
        },
        one(
            "Python `openai`",
            module("openai"),
            "`SSL_CERT_FILE`",
            library("openai"),
        ),
        one(
            "Python `anthropic`",
            module("anthropic"),
            "`SSL_CERT_FILE`",
            library("anthropic"),
        ),
        Client {
            proof: "Saved",
            ..one(
                "pip",
                version(&said(&python, &["-m", "pip", "--version"])),
                "`PIP_CERT`",
                vec![words(&[
                    &python,
                    "-m",
                    "pip",
                    "download",
                    "--disable-pip-version-check",
                    "--no-cache-dir",
                    "--no-deps",
                    "--index-url",
                    "https://api.intercom.io/simple",
                    "--dest",
                    &text(&work.join("wheels")),
                    "stand-in",
                ])],
            )
        },
        Client {
            proxy: "a preload in `NODE_OPTIONS`",
            ..one(
                "Node 18 `fetch`, `https`, own agents",
                node_version("18"),
                "`NODE_EXTRA_CA_CERTS`",
                node_runs("18"),
            )
        },
        Client {
            proxy: "a preload in `NODE_OPTIONS`",
            ..one(
                "Node 20 `fetch`, `https`, own agents",
                node_version("20"),
                "`NODE_EXTRA_CA_CERTS`",
                node_runs("20"),
            )
        },
        Client {
            proxy: "`NODE_USE_ENV_PROXY`; own agents: the preload",
            ..one(
                "Node 24 `fetch`, `https`, own agents",
                node_version("24"),
                "`NODE_EXTRA_CA_CERTS`",
                node_runs("24"),
            )
        },
        one(
            "`axios` 1.6 (Node 18, 20, 24)",
            axios_version("axios16"),
            "no TLS of its own: sends `GET https://…` to the proxy",
            axios_runs("axios16"),
        ),
        one(
            "`axios`, newest (Node 18, 20, 24)",
            axios_version("axios"),
            "`NODE_EXTRA_CA_CERTS`",
            axios_runs("axios"),
        ),
        one(
            "npm",
            version(&said("npm", &["--version"])),
            "`npm_config_cafile`",
            vec![words(&[
                "npm",
                "view",
                "--registry=https://api.intercom.io/npm/",
                "--update-notifier=false",
                "stand-in",
                "description",
            ])],
        ),
        one(
            "Ruby `net/http`",
            version(&said("ruby", &["--version"])),
            "`SSL_CERT_FILE`",
            vec![words(&["ruby", &source("ruby/get.rb"), URL])],
        ),
        one(
            "PHP `curl`",
            version(&said("php", &["--version"])),
            "`PHP_INI_SCAN_DIR`",
            vec![words(&["php", &source("php/curl.php"), URL])],
        ),
        Client {
            proxy: "nothing: see below",
            program: "sets the proxy, see below",
            ..one(
                "PHP streams (`file_get_contents`)",
                version(&said("php", &["--version"])),
                "`PHP_INI_SCAN_DIR`",
                vec![words(&["php", &source("php/streams.php"), URL])],
            )
        },
        Client {
            proxy: "`JAVA_TOOL_OPTIONS`, a port without a token",
            ..one(
                "Java `HttpClient`",
                java_version.clone(),
                "a trust store in `JAVA_TOOL_OPTIONS`",
                java("HttpClient"),
            )
        },
        Client {
            proxy: "`JAVA_TOOL_OPTIONS`, a port without a token",
            ..one(
                "Java `URL`",
                java_version,
                "a trust store in `JAVA_TOOL_OPTIONS`",
                java("URL"),
            )
        },
        one(
            "Go `net/http`",
            version(&said("go", &["version"])),
            "`SSL_CERT_FILE`",
            vec![words(&[&text(&installed.go), URL])],
        ),
        one(
            "Rust `reqwest`, rustls",
            reqwest.clone(),
            "`SSL_CERT_FILE`",
            rust("rustls"),
        ),
        one(
            "Rust `reqwest`, native-tls",
            reqwest,
            "`SSL_CERT_FILE`",
            rust("native-tls"),
        ),
        Client {
            proof: "name = \"stand-in\"",
            ..one(
                "cargo",
                version(&said(cargo, &["--version"])),
                "`CARGO_HTTP_CAINFO`",
                shell(&format!(
                    "cd project && '{cargo}' generate-lockfile && cat Cargo.lock"
                )),
            )
        },
    ]
}

/// A repository that is served as plain files.
fn make_repository(files: &Path) {
    let script = format!(
        "git init -q source && cd source && echo '{PROOF}' >README && git add README && \
         git -c user.name=A -c user.email=a@example.com commit -qm 'first' && cd .. && \
         git clone -q --bare source stand-in.git && rm -r source && \
         git -C stand-in.git update-server-info"
    );
    let done = Command::new("sh")
        .args(["-ec", &script])
        .current_dir(files)
        .status();
    assert!(
        done.expect("a shell runs").success(),
        "no repository was made"
    );
}

/// A package that depends on one of a registry behind the stand-in.
fn make_cargo_project(folder: &Path) {
    fs::create_dir_all(folder.join("src")).expect("the work folder can be written");
    let manifest = "[package]\nname = \"project\"\nedition = \"2021\"\n\n[dependencies]\n\
                    stand-in = { version = \"1\", registry = \"here\" }\n\n[workspace]\n";
    let registry = "[registries.here]\nindex = \"sparse+https://api.intercom.io/index/\"\n";
    fs::write(folder.join("Cargo.toml"), manifest).expect("it can be written");
    fs::write(folder.join("src/lib.rs"), "").expect("it can be written");
    fs::create_dir(folder.join(".cargo")).expect("it can be written");
    fs::write(folder.join(".cargo/config.toml"), registry).expect("it can be written");
}

fn describe(name: &str, output: &Output, stand_in: &StandIn) -> String {
    let requests: Vec<_> = stand_in
        .requests()
        .iter()
        .map(|request| {
            let names: Vec<_> = request
                .headers
                .iter()
                .map(|(name, _)| name.as_str())
                .collect();
            format!(
                "  {} {}{} {names:?}",
                request.method, request.authority, request.path
            )
        })
        .collect();
    format!(
        "== {name}\n{output}--- requests that arrived\n{}\n",
        requests.join("\n")
    )
}

fn words(list: &[&str]) -> Vec<OsString> {
    list.iter().map(OsString::from).collect()
}

/// The first thing in a text that looks like a version.
fn version(text: &str) -> String {
    let plain = |c: char| c.is_ascii_digit() || c == '.';
    let mut pieces = text
        .split(|c: char| !plain(c))
        .map(|piece| piece.trim_matches('.'));
    pieces
        .find(|piece| piece.contains('.'))
        .unwrap_or("unknown")
        .to_owned()
}
