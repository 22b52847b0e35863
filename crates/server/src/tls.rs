//! TLS: a certificate and its key, and which protocols are spoken behind it.

use std::sync::Arc;
use tokio_rustls::rustls;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What a server shows to its clients.
#[derive(Debug, Clone)]
pub struct Tls(pub(crate) Arc<ServerConfig>);

/// Why a certificate and a key are none.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Not PEM, or without a certificate.
    #[error("server.certificate holds no certificate in PEM: {0}")]
    Certificate(String),
    /// Not PEM, or without a key.
    #[error("server.key holds no private key in PEM: {0}")]
    Key(String),
    /// Both are well, but not together.
    #[error("server.certificate and server.key cannot be used together: {0}")]
    Pair(rustls::Error),
}

impl Tls {
    /// Reads the text of both files. TLS 1.2 and 1.3 are spoken, and HTTP/2 is preferred.
    ///
    /// # Errors
    /// [`TlsError`] says which of both is wrong.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
        let chain = chain.map_err(|error| TlsError::Certificate(error.to_string()))?;
        if chain.is_empty() {
            return Err(TlsError::Certificate("there is none".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| TlsError::Key(error.to_string()))?;
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Pair)?;
        let mut config =
            builder.with_no_client_auth().with_single_cert(chain, key).map_err(TlsError::Pair)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_or_no_key_is_told_apart() {
        let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let error = Tls::from_pem(b"x", b"x").map(|_| ()).expect_err("no certificate");
        assert_eq!(error.to_string(), "server.certificate holds no certificate in PEM: there is none");
        let error = Tls::from_pem(certificate.as_bytes(), b"x").map(|_| ()).expect_err("no key");
        assert!(error.to_string().starts_with("server.key holds no private key in PEM: "), "{error}");
    }
}
