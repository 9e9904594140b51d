//! TLS, with or without certificates of the clients, reloaded without a restart.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::ListenError;

/// The files that TLS needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The daemon's certificate and those between it and the authority.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The authority that clients' certificates must come from (`--tlsverify`); without it any
    /// client may connect.
    pub client_authority: Option<PathBuf>,
}

/// TLS as it is now.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    current: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the files.
    pub fn load(files: TlsFiles) -> Result<Self, ListenError> {
        let current = RwLock::new(Arc::new(configure(&files)?));
        Ok(Self { files, current })
    }

    /// Reads them again, for clients that connect from now on. When they are bad, what was read
    /// before stays.
    pub fn reload(&self) -> Result<(), ListenError> {
        let new = Arc::new(configure(&self.files)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&current))
    }
}

fn configure(files: &TlsFiles) -> Result<ServerConfig, ListenError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let certificates = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|e| bad(&files.key, e))?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| bad(&files.certificate, e))?;
    let builder = match &files.client_authority {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            for certificate in self::certificates(file)? {
                roots.add(certificate).map_err(|e| bad(file, e))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|e| bad(file, e))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder
        .with_single_cert(certificates, key)
        .map_err(|e| bad(&files.certificate, e))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, ListenError> {
    let all: Vec<_> = CertificateDer::pem_file_iter(file)
        .map_err(|e| bad(file, e))?
        .collect::<Result<_, _>>()
        .map_err(|e| bad(file, e))?;
    if all.is_empty() {
        return Err(bad(file, "it holds no certificate"));
    }
    Ok(all)
}

fn bad(file: &Path, reason: impl std::fmt::Display) -> ListenError {
    ListenError::Tls {
        file: file.into(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_missing_or_holds_nothing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let empty = dir.path().join("empty.pem");
        std::fs::write(&empty, "").unwrap();
        for certificate in [empty, dir.path().join("absent.pem")] {
            let refused = Tls::load(TlsFiles {
                certificate: certificate.clone(),
                key: dir.path().join("key.pem"),
                client_authority: None,
            })
            .unwrap_err()
            .to_string();
            assert!(
                refused.contains(&certificate.display().to_string()),
                "{refused}"
            );
        }
    }
}
