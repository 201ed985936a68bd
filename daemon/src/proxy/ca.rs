//! A run's own certificate authority: its key, its certificate, its end.
//!
//! The key is HKDF-SHA256 of the install secret and the run's name, so that a restarted daemon has
//! it again and nothing of it is ever stored. The certificate is made once and kept beside the
//! run's record; [`RunCa::resume`] signs under the very same one.
//!
//! Invariants (threats C1, C2, C5):
//! - CA1 The key exists only in memory, and is wiped where it passes through buffers of ours.
//! - CA2 The certificate is `CA:TRUE`, path length 0, `keyCertSign` only, with critical name
//!   constraints: the hosts of the run's definitions and nothing else; no IP unless one is named.
//! - CA3 Valid from a day before the run to a year after; past its end nothing is signed.
//!
//! Not here: the certificates a child sees ([`super::leaf`]), and that only hosts with a route are
//! asked for ([`super::connect`]): a permitted name also admits its subdomains.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use authsome_proto::RunId;
use hkdf::Hkdf;
use p256::pkcs8::EncodePrivateKey;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, GeneralSubtree, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, NameConstraints, PublicKeyData,
};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::der::StoredCertificate;
use super::leaf::{self, Leaves};
use crate::routing::{Host, HostPattern};

/// Seconds of a day.
pub(super) const DAY: u64 = 24 * 60 * 60;
/// Back-dating of certificates: clocks of containers and phones are off by minutes to hours.
pub(super) const BACKDATE: Duration = Duration::from_secs(DAY);
/// Life of a run's authority. Longer and a forgotten one stays useful; shorter and a service that
/// runs for months under `authsome run` breaks.
const LIFETIME: Duration = Duration::from_secs(365 * DAY);
/// How long before the end of a run's authority people are told.
const WARN_BEFORE: Duration = Duration::from_secs(14 * DAY);
/// A name that cannot exist (RFC 6761, section 6.4): an empty list of permitted names would
/// permit every name.
const NOWHERE: &str = "authsome.invalid";
const KEY_INFO: &[u8] = b"authsome run ca";

/// Why a run's authority cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// The stored certificate cannot be read.
    #[error("the run's stored certificate cannot be read")]
    Certificate,
    /// A year has passed.
    #[error("the run's certificate authority has expired; start the run again")]
    Expired,
    /// The key cannot be derived or loaded.
    #[error("the run's key cannot be derived")]
    Key,
    /// The kernel gave no random bytes.
    #[error("no random bytes for a serial number")]
    Random,
    /// A certificate cannot be signed.
    #[error("a certificate cannot be signed")]
    Sign(#[source] rcgen::Error),
    /// The TLS library refuses the certificate.
    #[error("the certificate cannot be used for TLS")]
    Tls(#[source] rustls::Error),
}

/// A run's certificate authority.
pub struct RunCa {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
    not_after: SystemTime,
    leaves: Leaves,
}

impl RunCa {
    /// Makes the authority of `run`, limited to `names`, valid from a day before `now`.
    pub fn derive(
        install_secret: &[u8],
        run: &RunId,
        names: &[HostPattern],
        now: SystemTime,
    ) -> Result<Self, CaError> {
        let key = derive_key(install_secret, run)?;
        let not_after = now + LIFETIME;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.not_before = (now - BACKDATE).into();
        params.not_after = not_after.into();
        params.serial_number = Some(leaf::random_serial()?);
        params
            .distinguished_name
            .push(DnType::OrganizationName, "authsome");
        params
            .distinguished_name
            .push(DnType::CommonName, format!("authsome run {run}"));
        params.name_constraints = Some(constraints(names));
        let certificate = params.self_signed(&key).map_err(CaError::Sign)?;
        let issuer = Issuer::new(params, key);
        Ok(Self {
            pem: certificate.pem(),
            issuer,
            not_after,
            leaves: Leaves::default(),
        })
    }

    /// Takes the authority of `run` up again from its stored certificate, after a restart.
    pub fn resume(
        install_secret: &[u8],
        run: &RunId,
        certificate_pem: &str,
    ) -> Result<Self, CaError> {
        let key = derive_key(install_secret, run)?;
        let der = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(|_| CaError::Certificate)?;
        // a certificate of another key would make every handshake fail in a way nobody understands
        let stored = StoredCertificate::read(&der).ok_or(CaError::Certificate)?;
        if stored.public_key != key.subject_public_key_info() {
            return Err(CaError::Certificate);
        }
        let issuer = Issuer::from_ca_cert_der(&der, key).map_err(|_| CaError::Certificate)?;
        Ok(Self {
            pem: certificate_pem.to_owned(),
            issuer,
            not_after: stored.not_after,
            leaves: Leaves::default(),
        })
    }

    /// The certificate that the child is told to trust.
    pub fn certificate_pem(&self) -> &str {
        &self.pem
    }

    /// When this authority ends.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Whether people should be told that the run must be started again soon (threat C5).
    pub fn ends_soon(&self, now: SystemTime) -> bool {
        self.not_after
            .duration_since(now)
            .is_ok_and(|left| left < WARN_BEFORE)
    }

    /// The TLS configuration that shows `host`'s certificate. Call it only for a host that the
    /// run's table covers.
    pub fn server_config(
        &self,
        host: &Host,
        now: SystemTime,
    ) -> Result<Arc<ServerConfig>, CaError> {
        if now >= self.not_after {
            return Err(CaError::Expired);
        }
        self.leaves.config(&self.issuer, self.not_after, host, now)
    }
}

impl fmt::Debug for RunCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunCa")
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

fn derive_key(install_secret: &[u8], run: &RunId) -> Result<KeyPair, CaError> {
    let hkdf = Hkdf::<Sha256>::new(None, install_secret);
    let mut scalar = Zeroizing::new([0_u8; 32]);
    // about one value in 2^32 is not a scalar of the curve; the counter makes the next one
    for counter in 0_u8..=255 {
        let retry = [counter];
        let tail: &[u8] = if counter == 0 { &[] } else { &retry };
        hkdf.expand_multi_info(&[KEY_INFO, run.as_str().as_bytes(), tail], scalar.as_mut())
            .map_err(|_| CaError::Key)?;
        let Ok(secret) = p256::SecretKey::from_slice(scalar.as_ref()) else {
            continue;
        };
        let der = secret.to_pkcs8_der().map_err(|_| CaError::Key)?;
        return KeyPair::try_from(&PrivatePkcs8KeyDer::from(der.as_bytes()))
            .map_err(|_| CaError::Key);
    }
    Err(CaError::Key)
}

fn constraints(names: &[HostPattern]) -> NameConstraints {
    let mut permitted: Vec<GeneralSubtree> = Vec::with_capacity(names.len().max(1));
    let (mut v4, mut v6) = (false, false);
    for pattern in names {
        let (HostPattern::Exact(host) | HostPattern::Subdomains(host)) = pattern;
        let subtree = match host.ip() {
            Some(ip @ IpAddr::V4(_)) => {
                v4 = true;
                GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(ip, 32))
            }
            Some(ip @ IpAddr::V6(_)) => {
                v6 = true;
                GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(ip, 128))
            }
            None => GeneralSubtree::DnsName(host.as_str().to_owned()),
        };
        if !permitted.contains(&subtree) {
            permitted.push(subtree);
        }
    }
    if !permitted
        .iter()
        .any(|subtree| matches!(subtree, GeneralSubtree::DnsName(_)))
    {
        permitted.push(GeneralSubtree::DnsName(NOWHERE.to_owned()));
    }
    // a named address is permitted by its own entry, which bars all others of its family
    let mut excluded = Vec::new();
    if !v4 {
        excluded.push(GeneralSubtree::IpAddress(CidrSubnet::V4([0; 4], [0; 4])));
    }
    if !v6 {
        excluded.push(GeneralSubtree::IpAddress(CidrSubnet::V6([0; 16], [0; 16])));
    }
    NameConstraints {
        permitted_subtrees: permitted,
        excluded_subtrees: excluded,
    }
}
