//! The configuration is read again. What can change while containers run, changes; what cannot is
//! said, and a file that is wrong changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use wharf_docker_api::{Server, Tls};
use wharf_engine::Engine;

use super::logging::Logging;
use super::{live, notify};
use crate::config::{Settings, Source};

/// What a reload needs to know.
pub(super) struct Reloader {
    source: Source,
    current: Settings,
    logging: Logging,
    tls: Option<Arc<Tls>>,
}

impl Reloader {
    pub(super) fn new(
        source: Source,
        current: Settings,
        logging: Logging,
        tls: Option<Arc<Tls>>,
    ) -> Self {
        Self {
            source,
            current,
            logging,
            tls,
        }
    }

    /// Reads and applies. A file that is wrong changes nothing.
    pub(super) async fn reload(&mut self, engine: &Engine, server: &Server) {
        notify::tell("RELOADING=1");
        match self.source.load() {
            Err(error) => tracing::error!("the configuration stays as it is: {error}"),
            Ok(configuration) => {
                let new = configuration.settings;
                for name in fixed(&self.current, &new) {
                    tracing::warn!("{name} can change only when the daemon starts");
                }
                self.current.debug = new.debug;
                self.current.level = new.level;
                self.current.engine.labels = new.engine.labels;
                self.logging.set(self.current.level);
                server.set_live(live(&self.current));
                if let Some(tls) = &self.tls
                    && let Err(error) = tls.reload()
                {
                    tracing::error!("the certificates stay as they are: {error}");
                }
                engine.reloaded(attributes(&self.current)).await;
                tracing::info!("Reloaded configuration");
            }
        }
        notify::tell("READY=1");
    }
}

/// What the event says.
fn attributes(settings: &Settings) -> BTreeMap<String, String> {
    [
        ("debug".to_owned(), settings.debug.to_string()),
        ("labels".to_owned(), format!("{:?}", settings.engine.labels)),
        (
            "live-restore".to_owned(),
            settings.engine.live_restore.to_string(),
        ),
    ]
    .into()
}

/// The keys that changed in the file and cannot change in the daemon.
fn fixed(old: &Settings, new: &Settings) -> Vec<&'static str> {
    let (a, b) = (&old.engine, &new.engine);
    [
        ("hosts", old.hosts != new.hosts),
        ("group", old.group != new.group),
        ("tls", old.tls != new.tls),
        ("pidfile", old.pidfile != new.pidfile),
        ("log-format", old.format != new.format),
        ("experimental", old.experimental != new.experimental),
        ("min-api-version", old.oldest_api != new.oldest_api),
        ("data-root", a.data_root != b.data_root),
        ("exec-root", a.exec_root != b.exec_root),
        ("storage-opts", a.layers != b.layers),
        ("default-shm-size", a.default_shm_size != b.default_shm_size),
        ("default-ulimits", a.default_ulimits != b.default_ulimits),
        ("log-driver", a.default_log_driver != b.default_log_driver),
        ("log-opts", a.default_log_options != b.default_log_options),
        ("init", a.default_init != b.default_init),
        ("cgroup-parent", a.cgroup_parent != b.cgroup_parent),
        ("default-runtime", a.default_runtime != b.default_runtime),
        (
            "default-cgroupns-mode",
            a.default_cgroupns != b.default_cgroupns,
        ),
        ("default-ipc-mode", a.default_ipc != b.default_ipc),
        ("seccomp-profile", a.seccomp_profile != b.seccomp_profile),
        (
            "no-new-privileges",
            a.no_new_privileges != b.no_new_privileges,
        ),
        ("dns", a.dns != b.dns),
        ("dns-opts", a.dns_options != b.dns_options),
        ("dns-search", a.dns_search != b.dns_search),
        ("the networks' options", a.network != b.network),
        ("live-restore", a.live_restore != b.live_restore),
        ("shutdown-timeout", a.shutdown_timeout != b.shutdown_timeout),
    ]
    .into_iter()
    .filter_map(|(name, changed)| changed.then_some(name))
    .collect()
}
