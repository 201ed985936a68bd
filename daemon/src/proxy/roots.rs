//! The roots that upstream certificates are verified against: the system's, and the user's extra.
//!
//! The variables `SSL_CERT_FILE` and `SSL_CERT_DIR` are not read: a daemon started from inside a
//! run would inherit a bundle that trusts the run's own authority.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// Where systems keep their bundle: Debian and its kin, Fedora and its kin, SUSE, Alpine and BSDs.
#[cfg(not(target_os = "macos"))]
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Roots, read once.
#[derive(Debug, Clone)]
pub struct TrustedRoots {
    /// The roots for the TLS library.
    pub store: Arc<RootCertStore>,
    /// Certificates of the system that the TLS library does not take (very old or odd ones).
    pub ignored: usize,
    /// Whether the system had none, so that the built-in list of Mozilla stands in.
    pub built_in: bool,
}

/// Why an extra root cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadRootsError {
    /// There is no certificate in the file.
    #[error("`{}` holds no certificate", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A certificate in it is not usable as a root.
    #[error("a certificate in `{}` cannot be used as a root", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What the TLS library says.
        #[source]
        source: rustls::Error,
    },
    /// The file is not a list of certificates in PEM form.
    #[error("`{}` is not a PEM file", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// Where it fails.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// The file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

impl TrustedRoots {
    /// Reads the system's roots and the files of `[upstream] extra_ca`.
    ///
    /// An unusable certificate of the system is skipped, as every TLS program does; an unusable
    /// one of `extra` is an error, because the user named it.
    pub fn load(extra: &[PathBuf]) -> Result<Self, LoadRootsError> {
        let mut store = RootCertStore::empty();
        let (_, ignored) = store.add_parsable_certificates(system_certificates());
        let built_in = store.is_empty();
        if built_in {
            store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        for path in extra {
            add_file(&mut store, path)?;
        }
        Ok(Self {
            store: Arc::new(store),
            ignored,
            built_in,
        })
    }
}

fn add_file(store: &mut RootCertStore, path: &Path) -> Result<(), LoadRootsError> {
    let bytes = std::fs::read(path).map_err(|source| LoadRootsError::Read {
        path: path.to_owned(),
        source,
    })?;
    let mut found = false;
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|source| LoadRootsError::Pem {
            path: path.to_owned(),
            source,
        })?;
        store
            .add(certificate)
            .map_err(|source| LoadRootsError::Invalid {
                path: path.to_owned(),
                source,
            })?;
        found = true;
    }
    if found {
        Ok(())
    } else {
        Err(LoadRootsError::Empty {
            path: path.to_owned(),
        })
    }
}

/// The system's roots as they are, without those that stand in where it has none.
#[cfg(not(target_os = "macos"))]
pub fn system_certificates() -> Vec<CertificateDer<'static>> {
    let bundle = BUNDLES.iter().map(Path::new).find(|path| path.is_file());
    let folder = Path::new("/etc/ssl/certs");
    let folder = (bundle.is_none() && folder.is_dir()).then_some(folder);
    let result = rustls_native_certs::load_certs_from_paths(bundle, folder);
    for error in &result.errors {
        tracing::warn!(%error, "a root certificate of the system cannot be read");
    }
    result.certs
}

/// The keychain; the variables are looked at by the crate, which the daemon's start-up clears.
#[cfg(target_os = "macos")]
pub fn system_certificates() -> Vec<CertificateDer<'static>> {
    rustls_native_certs::load_native_certs().certs
}
