//! Tests of the whole environment; those of its parts stand beside them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use super::*;

const TOKEN: &str = "tokenTOKEN0123456789";

struct Fixture {
    folder: TempDir,
    system: SystemRoots,
    parent: BTreeMap<String, String>,
    granted: Vec<HostPattern>,
    placeholders: Vec<(String, String)>,
    direct_port: Option<u16>,
}

impl Fixture {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("shared")).unwrap();
        fs::create_dir(folder.path().join("runs")).unwrap();
        let system = SystemRoots::from_pem((ca("system a") + &ca("system b")).as_bytes());
        Self {
            folder,
            system,
            parent: BTreeMap::new(),
            granted: vec![HostPattern::parse("api.intercom.io").unwrap()],
            placeholders: Vec::new(),
            direct_port: Some(7001),
        }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.parent.insert(name.to_owned(), value.to_owned());
        self
    }

    fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.folder.path().join(name);
        write_private(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn prepare(&self, run: &str) -> Environment {
        let id: RunId = run.parse().unwrap();
        prepare(&Inputs {
            parent: &self.parent,
            run: &id,
            token: TOKEN,
            proxy_port: 7000,
            direct_port: self.direct_port,
            ca_pem: &ca(&format!("{RUN_CA_MARKER} {run}")),
            system_roots: &self.system,
            run_dir: &self.folder.path().join("runs").join(run),
            shared_dir: &self.folder.path().join("shared"),
            placeholders: &self.placeholders,
            granted_hosts: &self.granted,
        })
        .unwrap()
    }
}

/// A CA certificate of that name, PEM.
fn ca(name: &str) -> String {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.distinguished_name.push(DnType::CommonName, name);
    params
        .self_signed(&KeyPair::generate().unwrap())
        .unwrap()
        .pem()
}

fn get<'a>(environment: &'a Environment, name: &str) -> &'a str {
    let found = environment.set.iter().find(|(known, _)| known == name);
    found
        .unwrap_or_else(|| panic!("`{name}` is not set"))
        .1
        .as_str()
}

/// Names in the subjects of a PEM file, in order.
fn names(path: &str) -> Vec<String> {
    let found = pem::certificates(&fs::read(path).unwrap());
    found.iter().map(|der| name_of(der)).collect()
}

fn name_of(der: &[u8]) -> String {
    // CommonName: OID 2.5.4.3, then a UTF8String; the last one is the subject's
    let oid = [0x55, 0x04, 0x03, 0x0c];
    let at = der.windows(4).rposition(|window| window == oid).unwrap() + 4;
    String::from_utf8(der[at + 1..][..usize::from(der[at])].to_vec()).unwrap()
}

#[test]
fn every_listed_variable_is_set_and_names_a_file_of_the_run() {
    let environment = Fixture::new().prepare("r1");
    let proxy = format!("http://r1:{TOKEN}@127.0.0.1:7000");
    for name in ["HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"] {
        assert_eq!(get(&environment, name), proxy);
    }
    for name in ["NO_PROXY", "no_proxy"] {
        assert_eq!(get(&environment, name), "localhost,127.0.0.1,::1");
    }
    for name in BUNDLE_VARIABLES {
        assert!(
            get(&environment, name).ends_with("/runs/r1/bundle.pem"),
            "{name}"
        );
    }
    for name in ADDITION_VARIABLES {
        assert!(
            get(&environment, name).ends_with("/runs/r1/ca.pem"),
            "{name}"
        );
    }
    assert!(get(&environment, "WGETRC").ends_with("/runs/r1/wgetrc"));
    assert!(get(&environment, "NODE_OPTIONS").starts_with("--require=/"));
    assert_eq!(get(&environment, "NODE_USE_ENV_PROXY"), "1");
    assert!(get(&environment, "PHP_INI_SCAN_DIR").starts_with(":/"));
    assert_eq!(get(&environment, "AUTHSOME_RUN"), "r1");
    for name in ["ALL_PROXY", "all_proxy"] {
        assert!(environment.remove.iter().any(|removed| removed == name));
    }
    let set: Vec<_> = environment.set.iter().map(|(name, _)| name).collect();
    assert!(!set.iter().any(|name| environment.remove.contains(name)));
    assert!(!set.iter().any(|name| *name == "SSL_CERT_DIR"));
    assert!(
        environment.warnings.is_empty(),
        "{:?}",
        environment.warnings
    );
}

#[test]
fn files_are_private() {
    let fixture = Fixture::new();
    fixture.prepare("r1");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let run = fixture.folder.path().join("runs/r1");
    assert_eq!(mode(&run), 0o700);
    assert_eq!(mode(&run.join(PHP_FOLDER)), 0o700);
    for file in [
        "bundle.pem",
        "ca.pem",
        "truststore.jks",
        "wgetrc",
        "authsome-php/authsome.ini",
    ] {
        assert_eq!(mode(&run.join(file)), 0o600, "{file}");
    }
}

#[test]
fn own_roots_of_the_parent_go_into_the_bundle_and_nodes_into_the_addition() {
    let mut fixture = Fixture::new();
    let corp = fixture.file("corp.pem", ca("corp").as_bytes());
    let node = fixture.file("node.pem", ca("node").as_bytes());
    let wget = fixture.file("wget.pem", ca("wget").as_bytes());
    fixture.file(
        ".wgetrc",
        format!("tries=3\nca_certificate={wget}\n").as_bytes(),
    );
    let home = fixture.folder.path().to_str().unwrap().to_owned();
    fixture = fixture
        .with("SSL_CERT_FILE", &corp)
        .with("REQUESTS_CA_BUNDLE", "corp.pem")
        .with("PWD", &home)
        .with("HOME", &home)
        .with("NODE_EXTRA_CA_CERTS", &node)
        .with("PIP_CERT", "");
    let environment = fixture.prepare("r1");
    assert!(
        environment.warnings.is_empty(),
        "{:?}",
        environment.warnings
    );
    let expected = [
        "system a",
        "system b",
        "node",
        "corp",
        "wget",
        "authsome run r1",
    ];
    assert_eq!(names(get(&environment, "SSL_CERT_FILE")), expected);
    assert_eq!(
        names(get(&environment, "NODE_EXTRA_CA_CERTS")),
        ["node", "authsome run r1"]
    );
    let wgetrc = fs::read_to_string(get(&environment, "WGETRC")).unwrap();
    assert!(wgetrc.starts_with("tries=3\n") && wgetrc.ends_with("/runs/r1/bundle.pem\n"));
}

/// A run inside a run: the environment of the outer one is the parent of the inner one.
#[test]
fn a_run_inside_a_run_replaces_the_outer_one_and_keeps_what_was_before() {
    let mut fixture = Fixture::new();
    let corp = fixture.file("corp.pem", ca("corp").as_bytes());
    let store = {
        let mut entries = jks::Entries::default();
        entries.push("corp", &pem::certificates(ca("java corp").as_bytes())[0]);
        fixture.file("corp.jks", &entries.store_with(&jks::Entries::default()))
    };
    let own_java = format!("-Xmx1g -Djavax.net.ssl.trustStore={store}");
    fixture = fixture
        .with("SSL_CERT_FILE", &corp)
        .with("NODE_EXTRA_CA_CERTS", &corp)
        .with("NO_PROXY", "a.example")
        .with("NODE_OPTIONS", "--no-warnings")
        .with("JAVA_TOOL_OPTIONS", &own_java)
        .with("PHP_INI_SCAN_DIR", "/etc/php");
    let mut before = fixture.prepare("r0");
    for run in ["r1", "r2", "r3"] {
        for (name, value) in &before.set {
            if PARENT_VARIABLES.contains(&name.as_str()) {
                fixture.parent.insert(name.clone(), value.clone());
            }
        }
        let after = fixture.prepare(run);
        assert!(after.warnings.is_empty(), "{:?}", after.warnings);
        let renamed = before.set.iter().map(|(name, value)| {
            let outer = get(&before, "AUTHSOME_RUN");
            (
                name.clone(),
                value
                    .replace(&format!("/{outer}/"), &format!("/{run}/"))
                    .replace(&format!("//{outer}:"), &format!("//{run}:"))
                    .replace(&format!("run={outer}"), &format!("run={run}")),
            )
        });
        let mut renamed: Vec<_> = renamed.filter(|(name, _)| name != "AUTHSOME_RUN").collect();
        renamed.push(("AUTHSOME_RUN".to_owned(), run.to_owned()));
        assert_eq!(after.set, renamed);
        let roots = names(get(&after, "SSL_CERT_FILE"));
        let expected = [
            "system a",
            "system b",
            "corp",
            "java corp",
            &format!("authsome run {run}"),
        ];
        assert_eq!(roots, expected);
        assert_eq!(names(get(&after, "NODE_EXTRA_CA_CERTS")).len(), 2);
        before = after;
    }
    assert!(get(&before, "JAVA_TOOL_OPTIONS").starts_with(&own_java));
    assert!(get(&before, "NODE_OPTIONS").starts_with("--no-warnings --require="));
    assert!(get(&before, "PHP_INI_SCAN_DIR").starts_with("/etc/php:/"));
}

#[test]
fn what_cannot_be_read_is_a_warning_that_names_it() {
    let fixture = Fixture::new()
        .with("AWS_CA_BUNDLE", "/absent/aws.pem")
        .with("WGETRC", "/absent/wgetrc")
        .with("NO_PROXY", "*.intercom.io,b.example")
        .with(
            "JAVA_TOOL_OPTIONS",
            "-Djavax.net.ssl.trustStore=/absent/store.p12",
        );
    let environment = fixture.prepare("r1");
    let named = [
        "*.intercom.io",
        "/absent/aws.pem",
        "/absent/store.p12",
        "/absent/wgetrc",
    ];
    for name in named {
        let warnings = environment
            .warnings
            .iter()
            .filter(|warning| warning.contains(name));
        assert_eq!(warnings.count(), 1, "{name}: {:?}", environment.warnings);
    }
    assert_eq!(environment.warnings.len(), named.len());
    assert_eq!(
        get(&environment, "NO_PROXY"),
        "localhost,127.0.0.1,::1,b.example"
    );
}

/// Threat L5: a real secret in a variable of a granted provider is overwritten, and nothing of the
/// run's token is where Java prints it or in a file.
#[test]
fn placeholders_replace_real_secrets_and_the_token_stands_in_proxy_variables_only() {
    let mut fixture = Fixture::new().with("INTERCOM_ACCESS_TOKEN", "");
    fixture.placeholders = vec![(
        "INTERCOM_ACCESS_TOKEN".to_owned(),
        "authsome-proxy-managed".to_owned(),
    )];
    let environment = fixture.prepare("r1");
    assert_eq!(
        get(&environment, "INTERCOM_ACCESS_TOKEN"),
        "authsome-proxy-managed"
    );
    for (name, value) in &environment.set {
        assert_eq!(
            value.contains(TOKEN),
            name.to_lowercase().ends_with("_proxy") && !name.to_lowercase().starts_with("no"),
            "{name}"
        );
    }
    assert!(!format!("{environment:?}").contains(TOKEN));
    let mut folders = vec![fixture.folder.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let content = fs::read(&path).unwrap();
                assert!(!content.windows(TOKEN.len()).any(|w| w == TOKEN.as_bytes()));
            }
        }
    }
}

#[test]
fn without_a_port_of_its_own_java_keeps_the_parents_options() {
    let mut fixture = Fixture::new();
    fixture.direct_port = None;
    assert!(
        !fixture
            .prepare("r1")
            .set
            .iter()
            .any(|(name, _)| name == "JAVA_TOOL_OPTIONS")
    );
    let fixture = fixture.with("JAVA_TOOL_OPTIONS", "-ea");
    assert_eq!(get(&fixture.prepare("r2"), "JAVA_TOOL_OPTIONS"), "-ea");
}

#[test]
fn a_folder_name_with_a_line_break_is_refused() {
    let fixture = Fixture::new();
    let id: RunId = "r1".parse().unwrap();
    let run_dir = fixture.folder.path().join("runs/a\nb");
    let refused = prepare(&Inputs {
        parent: &fixture.parent,
        run: &id,
        token: TOKEN,
        proxy_port: 1,
        direct_port: None,
        ca_pem: &ca("authsome run r1"),
        system_roots: &fixture.system,
        run_dir: &run_dir,
        shared_dir: &fixture.folder.path().join("shared"),
        placeholders: &[],
        granted_hosts: &[],
    });
    assert!(matches!(refused, Err(PrepareError::FolderName { .. })));
}

/// Java's own tool accepts the store and its checksum, and sees every certificate.
#[test]
fn keytool_lists_the_trust_store() {
    let fixture = Fixture::new();
    fixture.prepare("r1");
    let store = fixture.folder.path().join("runs/r1/truststore.jks");
    let mut keytool = Command::new("keytool");
    keytool.args([
        "-list",
        "-storetype",
        "jks",
        "-storepass",
        jks::PASSWORD,
        "-keystore",
    ]);
    let output = keytool
        .arg(store)
        .output()
        .expect("`keytool` is missing (openjdk-17-jre-headless)");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("contains 3 entries") && text.contains("authsome-run,"),
        "{text}"
    );
}

/// Node and the JVM read odd folder names from the options as they are meant.
#[test]
fn node_and_java_read_options_with_odd_folder_names() {
    let mut fixture = Fixture::new();
    let odd = fixture.folder.path().join(r#"it's "odd"\ place"#);
    fs::create_dir(&odd).unwrap();
    let parent = fixture.file("own.cjs", b"globalThis.own = 1;");
    fixture = fixture.with("NODE_OPTIONS", &format!("-r {parent}"));
    let id: RunId = "r1".parse().unwrap();
    let run_dir = odd.join("r1");
    let environment = prepare(&Inputs {
        parent: &fixture.parent,
        run: &id,
        token: TOKEN,
        proxy_port: 1,
        direct_port: Some(2),
        ca_pem: &ca("authsome run r1"),
        system_roots: &fixture.system,
        run_dir: &run_dir,
        shared_dir: &odd,
        placeholders: &[],
        granted_hosts: &[],
    })
    .unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(environment.set.iter().map(|(name, value)| (name, value)));
        let output = command
            .output()
            .unwrap_or_else(|_| panic!("`{program}` is missing"));
        let text = [output.stdout, output.stderr].concat();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&text)
        );
        String::from_utf8_lossy(&text).into_owned()
    };
    let node = run(
        "node",
        &["-p", "[own, process.execArgv, Object.keys(require.cache)]"],
    );
    assert!(node.starts_with("[\n  1"), "{node}");
    let java = run("java", &["-XshowSettings:properties", "-version"]);
    let store = run_dir.join("truststore.jks");
    assert!(
        java.contains(&format!("trustStore = {}\n", store.display())),
        "{java}"
    );
    // PHP cannot be told such a folder, and that is said
    assert!(
        environment
            .warnings
            .iter()
            .any(|warning| warning.starts_with("PHP"))
    );
}

/// D7: no placeholder can take the place of what leads programs to the proxy.
#[test]
fn every_variable_of_a_run_is_known_as_its_own() {
    let mut fixture = Fixture::new().with("JAVA_TOOL_OPTIONS", "-Dx=y");
    for name in BUNDLE_VARIABLES_IF_THERE {
        fixture = fixture.with(name, "");
    }
    let environment = fixture.prepare("runown");
    let set = environment.set.iter().map(|(name, _)| name);
    for name in set.chain(&environment.remove) {
        assert!(is_own(name), "{name}");
        assert!(is_own(&name.to_ascii_lowercase()), "{name}");
    }
    for name in ["PATH", "LD_PRELOAD", "DYLD_INSERT_LIBRARIES"] {
        assert!(is_own(name), "{name}");
    }
    assert!(!is_own("INTERCOM_API_KEY"));
}
