//! The daemon: configuration, listeners, engine, API, signals.
//!
//! ```text
//!  flags and file -> Settings -> log -> pid file -> listeners open (clients queue)
//!     -> engine opens: containers taken back -> READY=1 -> serve
//!  SIGHUP, or the file or a certificate is another: read again; what can change, changes
//!  SIGTERM, SIGINT   no new requests, streams cut off, containers go on, gone
//! ```

mod listeners;
mod logging;
mod notify;
mod pidfile;
mod reload;
mod watch;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use wharf_docker_api::{Daemon, Live, Server};
use wharf_engine::{Engine, EngineOptions};

use crate::config::{self, Configuration, Program, Settings, Source};
use logging::Logging;

/// Threads that run requests. They never block; work that does has threads of its own.
const WORKERS: usize = 2;

/// Threads for work that blocks: hashing, unpacking, copying, waiting for a disk. They end when
/// they are idle.
const BLOCKING: usize = 256;

/// Stack of each thread: none of ours recurses deeply.
const STACK: usize = 1 << 20;

/// How long an idle blocking thread stays.
const IDLE: std::time::Duration = std::time::Duration::from_secs(2);

/// Why the daemon ended.
#[derive(Debug, thiserror::Error)]
enum DaemonError {
    #[error(transparent)]
    Config(#[from] config::ConfigError),
    #[error("{} needs to be started with root privileges", .0.words())]
    NotRoot(Program),
    #[error("failed to start daemon: {0}")]
    Pidfile(#[from] pidfile::PidfileError),
    #[error("failed to load listeners: {0}")]
    Listen(#[from] wharf_docker_api::ListenError),
    #[error("failed to start daemon: {0}")]
    Engine(#[from] wharf_engine::Error),
    #[error("cannot {what}: {source}")]
    System {
        what: &'static str,
        source: std::io::Error,
    },
}

/// Runs it.
pub(crate) fn main(words: &[OsString], program: Program) -> ExitCode {
    let words: Vec<String> = words
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    match prepare(&words, program) {
        Ok(Some((source, configuration))) => match run(&source, configuration, program) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!("{error}");
                ExitCode::FAILURE
            }
        },
        Ok(None) => ExitCode::SUCCESS,
        // There is no log yet: what is wrong may be how to write it.
        Err(error) => {
            eprintln!("{}: {error}", program.words());
            ExitCode::FAILURE
        }
    }
}

/// Reads the configuration; `None` when that was all that was asked for.
fn prepare(
    words: &[String],
    program: Program,
) -> Result<Option<(Source, Configuration)>, DaemonError> {
    let source = Source::of_flags(words, program)?;
    if source.asks_for("help") {
        print!("{}", config::help(program));
        return Ok(None);
    }
    if source.asks_for("version") {
        println!("Wharf version {}, build {}", version(), commit());
        return Ok(None);
    }
    let configuration = source.load()?;
    if source.asks_for("validate") {
        // On standard error, as dockerd has it.
        eprintln!("configuration OK");
        return Ok(None);
    }
    if !rustix::process::geteuid().is_root() {
        return Err(DaemonError::NotRoot(program));
    }
    Ok(Some((source, configuration)))
}

fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

fn commit() -> &'static str {
    option_env!("WHARF_GIT_COMMIT").unwrap_or("unknown")
}

fn run(source: &Source, configuration: Configuration, program: Program) -> Result<(), DaemonError> {
    let Configuration { settings, ignored } = configuration;
    let logging = Logging::start(settings.level, settings.format);
    tracing::info!(version = version(), "Starting up");
    for sentence in ignored {
        tracing::warn!("{sentence}");
    }
    raise_file_limit();
    let _pidfile = settings
        .pidfile
        .as_deref()
        .map(pidfile::write)
        .transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(BLOCKING)
        .thread_stack_size(STACK)
        .thread_keep_alive(IDLE)
        .thread_name(program.words().replace(' ', "-"))
        .enable_all()
        .build()
        .map_err(|source| DaemonError::System {
            what: "start threads",
            source,
        })?;
    let served = runtime.block_on(serve(source, settings, logging));
    // What still blocks holds nothing that must be put in order.
    runtime.shutdown_background();
    served
}

/// Many containers need many descriptors: everything that we may have. Not being root enough for
/// more than the hard limit, we take that.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, wanted) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}

async fn serve(source: &Source, settings: Settings, logging: Logging) -> Result<(), DaemonError> {
    let signals = |kind| {
        signal(kind).map_err(|source| DaemonError::System {
            what: "listen for signals",
            source,
        })
    };
    let mut hangup = signals(SignalKind::hangup())?;
    let mut terminate = signals(SignalKind::terminate())?;
    let mut interrupt = signals(SignalKind::interrupt())?;

    let opened = listeners::open(&settings)?;
    let engine = tokio::select! {
        engine = Engine::open(engine_options(&settings)) => engine?,
        // Told to end before it has begun.
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    let server = Server::new(
        engine.clone(),
        describe(&settings, opened.warnings),
        live(&settings),
    );
    let stop = CancellationToken::new();
    let serving = server.serve(opened.listeners, stop.clone());
    tracing::info!("Daemon has completed initialization");
    notify::tell("READY=1");

    let mut watch = watch::Watch::new(watched(source, &settings));
    let mut reloader = reload::Reloader::new(source.clone(), settings, logging, opened.tls);
    let ending = async {
        loop {
            tokio::select! {
                _ = hangup.recv() => {
                    tracing::info!("Got signal to reload configuration");
                    watch.take_note();
                    reloader.reload(&engine, &server).await;
                }
                () = watch.changed() => {
                    tracing::info!("The configuration or a certificate has changed");
                    reloader.reload(&engine, &server).await;
                }
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
            }
        }
        tracing::info!("Shutting down");
        notify::tell("STOPPING=1");
        stop.cancel();
    };
    tokio::join!(serving, ending);
    engine.shutdown().await;
    opened.sockets.remove();
    tracing::info!("Daemon shutdown complete");
    Ok(())
}

/// The files that can change what the daemon does while it runs.
fn watched(source: &Source, settings: &Settings) -> Vec<PathBuf> {
    let mut files = vec![source.file()];
    if let Some(tls) = &settings.tls {
        files.extend([tls.certificate.clone(), tls.key.clone()]);
        files.extend(tls.client_authority.clone());
    }
    files
        .into_iter()
        .filter_map(|file| std::path::absolute(file).ok())
        .collect()
}

/// Shims are this very program. By this name it is found even when its file was replaced by a newer
/// one meanwhile: a daemon and its shims speak the same protocol.
fn engine_options(settings: &Settings) -> EngineOptions {
    EngineOptions {
        shim: vec!["/proc/self/exe".into()],
        ..settings.engine.clone()
    }
}

fn describe(settings: &Settings, warnings: Vec<String>) -> Daemon {
    Daemon {
        version: version().into(),
        git_commit: commit().into(),
        build_time: option_env!("WHARF_BUILD_TIME").unwrap_or_default().into(),
        log_driver: settings.engine.default_log_driver.clone(),
        default_runtime: settings.engine.default_runtime.clone(),
        live_restore: settings.engine.live_restore,
        experimental: settings.experimental,
        warnings,
        http_proxy: settings.http_proxy.clone(),
        https_proxy: settings.https_proxy.clone(),
        no_proxy: settings.no_proxy.clone(),
        oldest: settings.oldest_api,
    }
}

fn live(settings: &Settings) -> Live {
    Live {
        debug: settings.debug,
        labels: settings.engine.labels.clone(),
    }
}
