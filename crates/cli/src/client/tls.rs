//! TLS to a daemon, with docker's three files.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio::net::TcpStream;

use super::ClientError;
use super::connect::Io;

/// Where the system keeps its roots; the first that exists is used.
const SYSTEM_ROOTS: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What proves the daemon to us, and us to the daemon.
#[derive(Debug, Clone, Default)]
pub(crate) struct TlsFiles {
    /// Roots to trust; the system's when there is none.
    pub(crate) ca: Option<PathBuf>,
    /// Our certificate and its key.
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
    /// Take whatever certificate the daemon shows (`--tls` without `--tlsverify`).
    pub(crate) skip_verify: bool,
}

pub(super) async fn connect(
    files: &TlsFiles,
    host: &str,
    stream: TcpStream,
) -> Result<Box<dyn Io>, ClientError> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|error| ClientError::Tls(format!("{host}: {error}")))?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config(files)?));
    match connector.connect(name, stream).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => Err(ClientError::Tls(format!("{host}: {error}"))),
    }
}

fn config(files: &TlsFiles) -> Result<ClientConfig, ClientError> {
    let tls = |error: rustls::Error| ClientError::Tls(error.to_string());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(tls)?;
    let builder = if files.skip_verify {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
    } else {
        builder.with_root_certificates(roots(files.ca.as_ref())?)
    };
    match &files.identity {
        None => Ok(builder.with_no_client_auth()),
        Some((certificate, key)) => {
            let chain = certificates(certificate)?;
            let key = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| ClientError::Tls(format!("{}: {error}", key.display())))?;
            builder.with_client_auth_cert(chain, key).map_err(tls)
        }
    }
}

fn roots(file: Option<&PathBuf>) -> Result<RootCertStore, ClientError> {
    let system = || {
        SYSTEM_ROOTS
            .iter()
            .map(PathBuf::from)
            .find(|path| path.exists())
    };
    let mut store = RootCertStore::empty();
    if let Some(path) = file.cloned().or_else(system) {
        // A single root that rustls cannot read must not make the others useless.
        store.add_parsable_certificates(certificates(&path)?);
    }
    Ok(store)
}

fn certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let fault = |error: rustls_pki_types::pem::Error| {
        ClientError::Tls(format!(
            "could not read certificate {}: {error}",
            path.display()
        ))
    };
    CertificateDer::pem_file_iter(path)
        .map_err(fault)?
        .collect::<Result<_, _>>()
        .map_err(fault)
}

/// `--tls` alone: encrypted, and nobody's identity checked, as docker has it.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
