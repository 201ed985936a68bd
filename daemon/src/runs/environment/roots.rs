//! The certificates that a run's clients trust, in the forms they read.
//!
//! 1. [`SystemRoots`] is built once by the daemon: the system's roots, already written as PEM and as
//!    entries of a Java trust store, because encoding 150 certificates is most of the work.
//! 2. Per run [`Trusted`] adds the parent's own roots that the system does not have, and the run's
//!    CA, last. Equal certificates are recognised by their DER.
//!
//! Invariant: R1, a CA of another run is never among them, whichever file names it. It is told by
//! [`RUN_CA_MARKER`] in its subject. Else a run inside a run would collect the outer ones, and trust
//! a key that it has no reason to.

use std::collections::HashSet;

use super::jks::Entries;
use super::pem;

/// What the subject of every run's CA contains, and no other certificate's.
pub const RUN_CA_MARKER: &str = "authsome run";

/// The system's roots, prepared for every run to come.
#[derive(Clone, Default)]
pub struct SystemRoots {
    pem: Vec<u8>,
    known: HashSet<Box<[u8]>>,
    java: Entries,
}

impl SystemRoots {
    /// From PEM text, such as `/etc/ssl/certs/ca-certificates.crt`.
    pub fn from_pem(text: &[u8]) -> Self {
        Self::from_der(pem::certificates(text))
    }

    /// From single certificates, such as those that `rustls-native-certs` finds.
    pub fn from_der<D: AsRef<[u8]>>(certificates: impl IntoIterator<Item = D>) -> Self {
        let mut roots = Self::default();
        for certificate in certificates {
            let der = certificate.as_ref();
            if is_run_ca(der) || !roots.known.insert(der.into()) {
                continue;
            }
            pem::append(der, &mut roots.pem);
            roots
                .java
                .push(&format!("system-{}", roots.known.len()), der);
        }
        roots
    }

    /// How many certificates there are.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether the system has none; then only the parent's own roots and the run's CA are trusted.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

impl std::fmt::Debug for SystemRoots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SystemRoots")
            .field("certificates", &self.known.len())
            .finish_non_exhaustive()
    }
}

/// What one run trusts beyond the system: roots of the parent's own, and the run's CA.
#[derive(Debug, Default)]
pub(super) struct Trusted {
    certificates: Vec<Vec<u8>>,
}

impl Trusted {
    /// Adds what is not there yet, neither here nor in the system's roots, and is no run's CA.
    pub(super) fn extend(&mut self, certificates: &[Vec<u8>], system: &SystemRoots) {
        for certificate in certificates {
            if !system.known.contains(certificate.as_slice()) && !is_run_ca(certificate) {
                self.insert(certificate);
            }
        }
    }

    /// The same for a client that has roots of its own, not the system's: adds these as well.
    pub(super) fn extend_with_system(&mut self, certificates: &[Vec<u8>], system: &SystemRoots) {
        for certificate in certificates {
            if system.known.contains(certificate.as_slice()) || !is_run_ca(certificate) {
                self.insert(certificate);
            }
        }
    }

    fn insert(&mut self, certificate: &[u8]) {
        if !self.certificates.iter().any(|known| known == certificate) {
            self.certificates.push(certificate.to_vec());
        }
    }

    /// PEM text: the system's roots if given, these, then the run's CA.
    pub(super) fn bundle(&self, system: Option<&SystemRoots>, run_ca: &[u8]) -> Vec<u8> {
        let system = system.map_or(&[][..], |roots| &roots.pem);
        let mut text = Vec::with_capacity(system.len() + 4096);
        text.extend_from_slice(system);
        for certificate in self.certificates.iter().map(Vec::as_slice).chain([run_ca]) {
            pem::append(certificate, &mut text);
        }
        text
    }

    /// The same as a Java trust store.
    pub(super) fn java_store(&self, system: &SystemRoots, run_ca: &[u8]) -> Vec<u8> {
        let mut more = Entries::default();
        for (number, certificate) in (1..).zip(&self.certificates) {
            more.push(&format!("own-{number}"), certificate);
        }
        more.push("authsome-run", run_ca);
        system.java.store_with(&more)
    }
}

fn is_run_ca(der: &[u8]) -> bool {
    // names stand early in a certificate, as plain bytes; searching all of it is simpler than
    // parsing, and no other certificate says this anywhere
    der.windows(RUN_CA_MARKER.len())
        .any(|window| window == RUN_CA_MARKER.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::super::jks;
    use super::*;

    fn certificate(text: &str) -> Vec<u8> {
        let length = u8::try_from(text.len()).unwrap();
        [&[0x30, length], text.as_bytes()].concat()
    }

    #[test]
    fn a_bundle_holds_system_own_and_run_certificates_once_each() {
        let [a, b, own, run] = ["a", "b", "own", "authsome run r1"].map(certificate);
        let system = SystemRoots::from_der([&a, &b, &a]);
        assert_eq!(system.len(), 2);
        let mut trusted = Trusted::default();
        trusted.extend(&[b.clone(), own.clone(), own.clone()], &system);
        let expected = [a, b, own, run.clone()];
        assert_eq!(
            pem::certificates(&trusted.bundle(Some(&system), &run)),
            expected
        );
        let store = trusted.java_store(&system, &run);
        assert_eq!(jks::trusted_certificates(&store).unwrap(), expected);
    }

    #[test]
    fn a_bundle_of_an_outer_run_adds_nothing() {
        let [a, outer, run] = ["a", "authsome run r1", "authsome run r2"].map(certificate);
        let system = SystemRoots::from_der([&a, &outer]);
        let mut trusted = Trusted::default();
        trusted.extend(&[a.clone(), outer], &system);
        assert_eq!(
            pem::certificates(&trusted.bundle(Some(&system), &run)),
            [a, run]
        );
    }
}
