//! Whom TLS trusts.

use std::sync::Arc;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The authorities that certificates of receivers are checked against. Read once, while their files may still be read.
#[derive(Clone)]
pub struct Trust {
    pub(crate) connector: TlsConnector,
    pub(crate) certificates: Vec<CertificateDer<'static>>,
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Trust")
    }
}

impl Trust {
    /// The authorities that this host trusts.
    ///
    /// # Errors
    /// Where the protocol cannot be set up; a host that trusts nobody is no error until somebody has to be trusted.
    pub fn of_host() -> Result<Self, String> {
        Self::in_these(rustls_native_certs::load_native_certs().certs).map(|(trust, _)| trust)
    }

    /// The authorities in a PEM file, and nobody else.
    ///
    /// # Errors
    /// Where there is none in it.
    pub fn from_pem(pem: &[u8]) -> Result<Self, String> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let certificates = certificates.map_err(|error| error.to_string())?;
        match Self::in_these(certificates)? {
            (_, 0) => Err("there is no certificate in it".to_owned()),
            (trust, _) => Ok(trust),
        }
    }

    /// Trusts what of these can be used, and says how many that are.
    fn in_these(certificates: Vec<CertificateDer<'static>>) -> Result<(Self, usize), String> {
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(certificates.iter().cloned());
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok((Self { connector: TlsConnector::from(Arc::new(config)), certificates }, added))
    }
}
