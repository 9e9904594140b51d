//! The sockets of `-H`.

use std::path::PathBuf;
use std::sync::Arc;

use wharf_docker_api::{Address, ListenError, Listener, Tls, TlsFiles};

use crate::config::Settings;

/// What was opened.
pub(super) struct Opened {
    pub(super) listeners: Vec<Listener>,
    pub(super) sockets: Sockets,
    pub(super) tls: Option<Arc<Tls>>,
    /// Sentences about listeners that anybody may use, for `info`.
    pub(super) warnings: Vec<String>,
}

/// Paths of our own sockets.
pub(super) struct Sockets(Vec<PathBuf>);

impl Sockets {
    /// Takes them away at the end, so that clients see at once that nobody is there.
    pub(super) fn remove(&self) {
        for path in &self.0 {
            if let Err(error) = std::fs::remove_file(path) {
                tracing::debug!(%error, path = %path.display(), "cannot remove the socket");
            }
        }
    }
}

/// Opens all of them, or none.
pub(super) fn open(settings: &Settings) -> Result<Opened, ListenError> {
    let tls = match &settings.tls {
        None => None,
        Some(files) => Some(Arc::new(Tls::load(TlsFiles {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
            client_authority: files.client_authority.clone(),
        })?)),
    };
    let mut opened = Opened {
        listeners: Vec::new(),
        sockets: Sockets(Vec::new()),
        tls: tls.clone(),
        warnings: Vec::new(),
    };
    for host in &settings.hosts {
        if host.starts_with("fd://") {
            inherit(host, &mut opened)?;
            continue;
        }
        let address = Address::parse(host, tls.is_some())?;
        opened
            .listeners
            .push(Listener::bind(&address, &settings.group, tls.clone())?);
        match &address {
            Address::Unix(path) => opened.sockets.0.push(path.clone()),
            Address::Tcp(at) => opened.warnings.extend(warning(at, settings)),
        }
    }
    for warning in &opened.warnings {
        tracing::warn!("{warning}");
    }
    Ok(opened)
}

fn inherit(host: &str, opened: &mut Opened) -> Result<(), ListenError> {
    let refuse = |reason: &str| ListenError::Address {
        address: host.into(),
        reason: reason.into(),
    };
    if !matches!(host, "fd://" | "fd://*") {
        return Err(refuse(
            "only fd://, all sockets that systemd passes, is known",
        ));
    }
    let inherited = wharf_sys::activation::sockets().map_err(|error| refuse(&error.to_string()))?;
    if inherited.is_empty() {
        return Err(refuse(
            "no sockets found via socket activation: make sure the service was started by systemd",
        ));
    }
    for socket in inherited {
        opened
            .listeners
            .push(Listener::inherit(socket, opened.tls.clone())?);
    }
    Ok(())
}

/// dockerd's words about an API that anybody on the network may use.
fn warning(at: &str, settings: &Settings) -> Option<String> {
    const ATTACK_SURFACE: &str = "
         Access to the remote API is equivalent to root access on the host. Refer
         to the 'Docker daemon attack surface' section in the documentation for
         more information: https://docs.docker.com/go/attack-surface/";

    match &settings.tls {
        None => Some(format!(
            "WARNING: API is accessible on http://{at} without encryption.{ATTACK_SURFACE}"
        )),
        Some(tls) if tls.client_authority.is_none() => Some(format!(
            "WARNING: API is accessible on https://{at} without TLS client verification.{ATTACK_SURFACE}"
        )),
        Some(_) => None,
    }
}
