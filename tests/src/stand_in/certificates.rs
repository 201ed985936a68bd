//! The certificates of a stand-in: a CA made for it, and a leaf that is good or bad in one way.

use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use time::{Duration, OffsetDateTime};

use super::Options;

/// What is wrong with a certificate (threat D2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// Nothing.
    Good,
    /// It ended yesterday.
    Expired,
    /// It begins tomorrow.
    NotYetValid,
    /// It is for another name.
    OtherName,
    /// It is for clients only.
    ForClients,
    /// Its CA is not the one that the file at [`super::StandIn::ca_path`] names.
    UnknownAuthority,
    /// It signed itself.
    SelfSigned,
}

impl Certificate {
    /// All bad ones.
    pub const BAD: [Self; 6] = [
        Self::Expired,
        Self::NotYetValid,
        Self::OtherName,
        Self::ForClients,
        Self::UnknownAuthority,
        Self::SelfSigned,
    ];
}

/// Makes the CA, writes its certificate to `ca_path`, and gives the server's TLS configuration.
pub(crate) fn server_config(options: &Options, ca_path: &Path) -> Arc<ServerConfig> {
    let (leaf, key) = issue(options, ca_path);
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring supports them")
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .expect("key and certificate belong together");
    config.alpn_protocols = options
        .protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    Arc::new(config)
}

/// Makes the CA, writes its certificate to `ca_path`, and gives a certificate with its key.
pub(crate) fn issue(options: &Options, ca_path: &Path) -> (rcgen::Certificate, KeyPair) {
    let (ca_pem, issuer) = authority();
    std::fs::write(ca_path, ca_pem).expect("the folder is ours");
    let issuer = match options.certificate {
        Certificate::UnknownAuthority => authority().1,
        _ => issuer,
    };
    let key = KeyPair::generate().expect("a P-256 key");
    let leaf = leaf(options);
    let leaf = match options.certificate {
        Certificate::SelfSigned => leaf.self_signed(&key),
        _ => leaf.signed_by(&key, &issuer),
    }
    .expect("the parameters are complete");
    (leaf, key)
}

fn authority() -> (String, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "authsome stand-in CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = OffsetDateTime::now_utc() - Duration::days(30);
    params.not_after = OffsetDateTime::now_utc() + Duration::days(30);
    let key = KeyPair::generate().expect("a P-256 key");
    let certificate = params
        .self_signed(&key)
        .expect("the parameters are complete");
    (certificate.pem(), Issuer::new(params, key))
}

fn leaf(options: &Options) -> CertificateParams {
    let names = match options.certificate {
        Certificate::OtherName => vec!["other.example".to_owned()],
        _ => options.names.clone(),
    };
    let mut params = CertificateParams::new(names).expect("names are DNS names or addresses");
    params
        .distinguished_name
        .push(DnType::CommonName, "authsome stand-in");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params.extended_key_usages = vec![match options.certificate {
        Certificate::ForClients => ExtendedKeyUsagePurpose::ClientAuth,
        _ => ExtendedKeyUsagePurpose::ServerAuth,
    }];
    let now = OffsetDateTime::now_utc();
    (params.not_before, params.not_after) = match options.certificate {
        Certificate::Expired => (now - Duration::days(20), now - Duration::days(1)),
        Certificate::NotYetValid => (now + Duration::days(1), now + Duration::days(20)),
        _ => (now - Duration::days(1), now + Duration::days(20)),
    };
    params
}
