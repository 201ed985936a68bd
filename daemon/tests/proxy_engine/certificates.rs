//! The run's authority and its leaves, judged by other TLS libraries (C1-C6).

use std::process::Command;
use std::time::{Duration, SystemTime};

use authsome_proto::RunId;
use authsomed::proxy::{CaError, RunCa};
use authsomed::routing::{Host, HostPattern};
use rustls_pki_types::ServerName;
use rustls_pki_types::pem::PemObject as _;
use tokio_rustls::TlsConnector;

use crate::harness::*;

const DAY: Duration = Duration::from_secs(86_400);

fn derive(names: &[&str], now: SystemTime) -> RunCa {
    let names: Vec<_> = names
        .iter()
        .map(|name| HostPattern::parse(name).unwrap())
        .collect();
    RunCa::derive(&[7; 32], &"run1".parse().unwrap(), &names, now).unwrap()
}

fn host(name: &str) -> Host {
    Host::parse(name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_trusts_the_run_accepts_its_host_and_no_other_name() {
    let ca = Ca::new();
    let origin = Origin::start(&ca, GOOD, &["http/1.1"]).await;
    let proxy = Proxy::start(Setup::to(&ca, origin.address)).await;
    let tls = TlsConnector::from(trusting(proxy.run.ca.certificate_pem()));
    for (sni, accepted) in [(GOOD, true), (EVIL, false), ("x.api.good.test", false)] {
        let stream = proxy.tunnel(&format!("{GOOD}:443")).await;
        let name = ServerName::try_from(sni.to_owned()).unwrap();
        assert_eq!(tls.connect(name, stream).await.is_ok(), accepted, "{sni}");
    }
    // a connection by address sends no SNI, and gets the certificate of the dialled name
    let stream = proxy.tunnel(&format!("{GOOD}:443")).await;
    let blind = TlsConnector::from(blind("http/1.1"));
    let tls = blind
        .connect(ServerName::try_from("127.0.0.1").unwrap(), stream)
        .await
        .unwrap();
    assert!(tls.get_ref().1.peer_certificates().is_some());
}

#[test]
fn the_key_is_the_same_after_a_restart_and_another_runs_certificate_is_refused() {
    let now = SystemTime::now();
    let ca = derive(&[GOOD], now);
    let run: RunId = "run1".parse().unwrap();
    let again = RunCa::resume(&[7; 32], &run, ca.certificate_pem()).unwrap();
    assert_eq!(again.certificate_pem(), ca.certificate_pem());
    let lost = ca.not_after().duration_since(again.not_after()).unwrap();
    assert!(lost < Duration::from_secs(1), "{lost:?}");
    again.server_config(&host(GOOD), now).unwrap();
    for (secret, run) in [([8; 32], "run1"), ([7; 32], "run2")] {
        let result = RunCa::resume(&secret, &run.parse().unwrap(), ca.certificate_pem());
        assert!(matches!(result, Err(CaError::Certificate)), "{run}");
    }
    assert!(RunCa::resume(&[7; 32], &run, "nonsense").is_err());
}

/// Threat C5, with a clock of the test's own.
#[test]
fn leaves_are_kept_renewed_at_half_time_and_refused_past_the_end() {
    let start = SystemTime::now();
    let ca = derive(&[GOOD], start);
    let at = |days: u32| ca.server_config(&host(GOOD), start + DAY * days);
    let first = at(0).unwrap();
    assert!(std::sync::Arc::ptr_eq(&first, &at(3).unwrap()));
    let second = at(4).unwrap();
    assert!(!std::sync::Arc::ptr_eq(&first, &second));
    assert!(!std::sync::Arc::ptr_eq(&second, &at(8).unwrap()));
    assert!(!ca.ends_soon(start + DAY * 350));
    assert!(ca.ends_soon(start + DAY * 352));
    assert!(at(364).is_ok());
    assert!(matches!(at(365), Err(CaError::Expired)));
    assert!(matches!(at(800), Err(CaError::Expired)));
}

/// Threats C2, C3: OpenSSL in its strict mode takes the shape and applies the constraints.
#[test]
fn openssl_strict_accepts_the_host_and_refuses_other_names_and_addresses() {
    let found = Command::new("openssl")
        .arg("version")
        .output()
        .expect("the program `openssl` (Debian package `openssl`)");
    assert!(found.status.success());
    let folder = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    let cases: [(&[&str], &str, bool); 9] = [
        (&[GOOD], GOOD, true),
        (&[GOOD], EVIL, false),
        (&[GOOD], "127.0.0.1", false),
        (&[GOOD], "::1", false),
        (&[GOOD, "*.wild.test"], "a.wild.test", true),
        (&[GOOD, "10.0.0.7"], "10.0.0.7", true),
        (&[GOOD, "10.0.0.7"], "10.0.0.8", false),
        (&[GOOD, "10.0.0.7"], "::1", false),
        (&[], GOOD, false),
    ];
    for (at, (names, leaf, accepted)) in cases.into_iter().enumerate() {
        let ca = derive(names, now);
        let config = ca.server_config(&host(leaf), now).unwrap();
        let ca_file = folder.path().join(format!("{at}.ca.pem"));
        let leaf_file = folder.path().join(format!("{at}.leaf.pem"));
        let certificate = certificate_of(&config, leaf);
        let der = folder.path().join(format!("{at}.der"));
        for (path, bytes) in [
            (&ca_file, ca.certificate_pem().as_bytes()),
            (&der, &*certificate),
        ] {
            #[expect(clippy::disallowed_methods, reason = "a file of the test's own folder")]
            std::fs::write(path, bytes).unwrap();
        }
        let converted = Command::new("openssl")
            .args(["x509", "-inform", "DER", "-in"])
            .arg(&der)
            .arg("-out")
            .arg(&leaf_file)
            .status();
        assert!(converted.unwrap().success());
        let verified = Command::new("openssl")
            .args(["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile"])
            .args([&ca_file, &leaf_file])
            .output()
            .unwrap();
        let said =
            String::from_utf8_lossy(&[verified.stdout, verified.stderr].concat()).into_owned();
        assert_eq!(
            verified.status.success(),
            accepted,
            "{names:?} {leaf}: {said}"
        );
        assert!(
            accepted || said.contains("permitted subtree") || said.contains("excluded"),
            "{said}"
        );
    }
    let text = |file: &str| {
        let out = Command::new("openssl")
            .args(["x509", "-noout", "-text", "-in"])
            .arg(folder.path().join(file))
            .output()
            .unwrap();
        String::from_utf8(out.stdout).unwrap()
    };
    let ca = text("0.ca.pem");
    for expected in [
        "CA:TRUE, pathlen:0",
        "X509v3 Name Constraints: critical",
        "DNS:api.good.test",
        "IP:0.0.0.0/0.0.0.0",
        "authsome run run1",
    ] {
        assert!(ca.contains(expected), "{expected}: {ca}");
    }
    assert!(
        !ca.contains("CRL Sign") && !ca.contains("Digital Signature"),
        "{ca}"
    );
    let leaf = text("0.leaf.pem");
    for expected in [
        "Version: 3",
        "CA:FALSE",
        "TLS Web Server Authentication",
        "Digital Signature",
        "Subject Key Identifier",
        "Authority Key Identifier",
        "DNS:api.good.test",
    ] {
        assert!(leaf.contains(expected), "{expected}: {leaf}");
    }
}

/// The certificate a configuration shows, seen by a client.
fn certificate_of(config: &std::sync::Arc<rustls::ServerConfig>, name: &str) -> Vec<u8> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = rustls::ClientConnection::new(blind("http/1.1"), name).unwrap();
    let mut server = rustls::ServerConnection::new(std::sync::Arc::clone(config)).unwrap();
    while client.is_handshaking() {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        server.read_tls(&mut bytes.as_slice()).unwrap();
        server.process_new_packets().unwrap();
        let mut bytes = Vec::new();
        server.write_tls(&mut bytes).unwrap();
        client.read_tls(&mut bytes.as_slice()).unwrap();
        client.process_new_packets().unwrap();
    }
    client.peer_certificates().unwrap()[0].to_vec()
}

#[test]
fn an_authority_shows_no_key() {
    let ca = derive(&[GOOD], SystemTime::now());
    assert!(!format!("{ca:?}").contains("key"));
    assert!(!ca.certificate_pem().contains("PRIVATE"));
    assert!(
        rustls_pki_types::CertificateDer::from_pem_slice(ca.certificate_pem().as_bytes()).is_ok()
    );
}
