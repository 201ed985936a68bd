//! The certificates a child sees: minted per host, kept, renewed at half their life.
//!
//! One key for all leaves of the process: it protects only a loopback hop, and making one per host
//! would double the cost. Minting happens under the cache's lock, so that a burst of first
//! connections to one host signs once; it takes about 40 µs.
//!
//! Invariants (threats C3, C4, C5): a subject alternative name and nothing else names the host;
//! `serverAuth` and `digitalSignature` only; valid from a day before to seven days after, never
//! past the authority's end; the serial has 126 random bits.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rcgen::{
    CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber,
};
use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::ca::{BACKDATE, CaError, DAY};
use super::tls;
use crate::routing::Host;

/// Life of a leaf, counted from its making. macOS and some scanners frown on long ones; a leaf is
/// renewed at half of it, so a laptop that slept for days still finds a valid one.
const LIFETIME: Duration = Duration::from_secs(7 * DAY);
/// Most leaves kept per run. A run's definitions name a few hundred hosts at most; subdomain
/// patterns could name more, and each configuration holds about 3 KiB.
const LEAVES_MAX: usize = 512;

/// The leaves of one run.
#[derive(Default)]
pub(super) struct Leaves {
    /// Guards the map and the use counter; never held across an await.
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    by_host: HashMap<Host, Leaf>,
    uses: u64,
}

struct Leaf {
    config: Arc<ServerConfig>,
    renew_at: SystemTime,
    made_at: SystemTime,
    used: u64,
}

impl Leaves {
    /// The configuration for `host`, made now if there is none or it is past half its life.
    pub(super) fn config(
        &self,
        issuer: &Issuer<'_, KeyPair>,
        ca_not_after: SystemTime,
        host: &Host,
        now: SystemTime,
    ) -> Result<Arc<ServerConfig>, CaError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.uses += 1;
        let uses = kept.uses;
        if let Some(leaf) = kept.by_host.get_mut(host)
            // a clock that was set back far would otherwise show a certificate of the future
            && (leaf.made_at - BACKDATE..leaf.renew_at).contains(&now)
        {
            leaf.used = uses;
            return Ok(Arc::clone(&leaf.config));
        }
        let not_after = (now + LIFETIME).min(ca_not_after);
        let config = mint(issuer, host, now, not_after)?;
        let half = not_after.duration_since(now).unwrap_or_default() / 2;
        let leaf = Leaf {
            config: Arc::clone(&config),
            renew_at: now + half,
            made_at: now,
            used: uses,
        };
        if kept.by_host.len() >= LEAVES_MAX && !kept.by_host.contains_key(host) {
            // a walk over 512 entries costs less than the signature that was just made
            let oldest = kept.by_host.iter().min_by_key(|(_, leaf)| leaf.used);
            if let Some(oldest) = oldest.map(|(host, _)| host.clone()) {
                kept.by_host.remove(&oldest);
            }
        }
        kept.by_host.insert(host.clone(), leaf);
        Ok(config)
    }
}

impl fmt::Debug for Leaves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Leaves(..)")
    }
}

/// A positive serial number of 16 octets, 126 bits of them random (RFC 5280, section 4.1.2.2).
pub(super) fn random_serial() -> Result<SerialNumber, CaError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|_| CaError::Random)?;
    bytes[0] &= 0x7f; // the top bit would make it negative
    bytes[0] |= 0x40; // a leading zero would be cut off and the length would vary
    Ok(SerialNumber::from_slice(&bytes))
}

fn mint(
    issuer: &Issuer<'_, KeyPair>,
    host: &Host,
    now: SystemTime,
    not_after: SystemTime,
) -> Result<Arc<ServerConfig>, CaError> {
    static KEY: LazyLock<Result<KeyPair, rcgen::Error>> =
        LazyLock::new(|| KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256));
    let key = KEY.as_ref().map_err(|error| CaError::Sign(error.clone()))?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![match host.ip() {
        Some(ip) => SanType::IpAddress(ip),
        None => SanType::DnsName(host.as_str().try_into().map_err(CaError::Sign)?),
    }];
    // `CA:FALSE`, and with it the subject key identifier
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Python 3.13 insists on it
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(random_serial()?);
    params.not_before = (now - BACKDATE).into();
    params.not_after = not_after.into();
    let certificate = params.signed_by(key, issuer).map_err(CaError::Sign)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(tls::VERSIONS)
        .map_err(CaError::Tls)?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.into()], key)
        .map_err(CaError::Tls)?;
    config.alpn_protocols = tls::both_protocols();
    // no resumption, hence no tickets and no early data: a session must not outlive its decision
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(n: usize) -> Host {
        Host::parse(&format!("h{n}.example.com")).unwrap()
    }

    /// C4: a flood of names costs a bounded number of leaves, and does not push out the one in use.
    #[test]
    fn leaves_are_bounded_and_the_one_in_use_stays() {
        let issuer = Issuer::new(CertificateParams::default(), KeyPair::generate().unwrap());
        let leaves = Leaves::default();
        let now = SystemTime::now();
        let leaf = |n| {
            leaves
                .config(&issuer, now + LIFETIME, &host(n), now)
                .unwrap()
        };
        let used = leaf(0);
        for n in 1..LEAVES_MAX + 100 {
            leaf(n);
            assert!(Arc::ptr_eq(&leaf(0), &used), "pushed out after {n}");
        }
        assert_eq!(leaves.kept.lock().unwrap().by_host.len(), LEAVES_MAX);
    }

    /// C5: a leaf is used for half its life, then made anew; a clock set far back makes it anew too.
    #[test]
    fn a_leaf_is_renewed_at_half_its_life() {
        let issuer = Issuer::new(CertificateParams::default(), KeyPair::generate().unwrap());
        let leaves = Leaves::default();
        let now = SystemTime::now();
        let end = now + 10 * LIFETIME;
        let at = |at| leaves.config(&issuer, end, &host(0), at).unwrap();
        let first = at(now);
        assert!(Arc::ptr_eq(
            &at(now + LIFETIME / 2 - Duration::from_secs(1)),
            &first
        ));
        assert!(!Arc::ptr_eq(&at(now + LIFETIME / 2), &first));
        assert!(!Arc::ptr_eq(&at(now - 3 * BACKDATE), &first));
    }
}
