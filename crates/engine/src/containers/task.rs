//! A container's task: the one owner of a container.
//!
//! ```text
//!   commands --bounded queue-->  +------+  --snapshot--> watch channel --> ps, inspect, wait, stop
//!   events of the shim --------> | task |
//!   (Exited, Oom, EOF)           +------+  --row + event, one fsync--> database
//! ```
//! States: see [`crate::model::Status`].
//!
//! Happy path of a run
//!   1. `Start`: prepared off the async threads ([`super::start`]): layers, files, specification,
//!      a shim with an init that waits. Nothing durable yet.
//!   2. The task watches the shim, joins the clients that attached before to it, lets init go.
//!   3. Row `Running` and event `start`, one fsync; snapshot.
//!   4. The shim tells `Exited` (it wrote the exit record before that); row `Exited` and event
//!      `die`, one fsync; snapshot; the shim may leave, its directory goes.
//!
//! Failure paths
//!   - A step of 1 or 2 fails: what was done is undone, the state stays `Created` or `Exited` with
//!     the error and the exit code 126, 127 or 128.
//!   - The row of 3 cannot be written (the disk is full): the run is killed, the start fails. A
//!     process nobody knows of does not stay.
//!   - The shim is killed (EOF without an exit record): nobody reaps and nobody can tell the exit
//!     code. The processes are killed by their cgroup, the container is reported dead with 137.
//!   - The row of 4 cannot be written: the snapshot says the truth, the exit record stays where it
//!     is, and the next start of the daemon takes it from there.
//!   - The daemon dies anywhere: the shim holds the container; [`super::restore`] finds it.
//!
//! Who may hold what: the task alone holds the shim's watch connection and the run's pending
//! clients. Everybody else has snapshots, and may open connections of their own to the shim.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use wharf_store::Batch;

use super::command::{Command, Purpose, Reply};
use super::record::{Paths, Record};
use super::registry::Container;
use super::snapshot::Snapshot;
use super::{cgroup, end, live, network, remove, signal, start};
use crate::attach::Client;
use crate::blocking::blocking;
use crate::model::{ContainerState, EndpointSpec, Event, RemoveOptions, Status, Update};
use crate::shim::{self, Watch, WatchEvent};
use crate::{Engine, Error, Result, events, exec};

/// Commands that wait in a container's queue.
const QUEUE: usize = 16;

/// Clients that may wait for a container to start.
const MAX_WAITING: usize = 64;

/// The task's own half.
pub(super) struct Task {
    pub(super) engine: Engine,
    commands: mpsc::Receiver<Box<Command>>,
    snapshots: watch::Sender<Arc<Snapshot>>,
    /// The shim, while it runs.
    pub(super) live: Option<Watch>,
    /// Clients that attached before the start.
    waiting: Vec<Client>,
}

/// Starts the task of a container that has its row, and makes it findable. With `live`, it
/// already runs.
pub(super) fn spawn(
    engine: &Engine,
    record: Record,
    state: ContainerState,
    paths: Paths,
    live: Option<Watch>,
) -> Container {
    let id = record.id.clone();
    let (sender, commands) = mpsc::channel(QUEUE);
    let (snapshots, receiver) = watch::channel(Arc::new(Snapshot {
        record: Arc::new(record),
        state,
        paths: Arc::new(paths),
        ends: 0,
        gone: false,
    }));
    let container = Container {
        commands: sender,
        snapshots: receiver,
    };
    engine.0.containers.insert(&id, container.clone());
    let task = Task {
        engine: engine.clone(),
        commands,
        snapshots,
        live,
        waiting: Vec::new(),
    };
    tokio::spawn(task.run());
    container
}

/// What woke the task.
enum Wake {
    Command(Box<Command>),
    Shim(Option<WatchEvent>),
    Stopping,
}

impl Task {
    async fn run(mut self) {
        while !self.snapshot().gone {
            match self.wake().await {
                Wake::Command(command) => self.obey(*command).await,
                Wake::Shim(event) => self.shim_said(event).await,
                Wake::Stopping => return,
            }
        }
        // What is still in the queue is answered by its dropping: no such container.
    }

    async fn wake(&mut self) -> Wake {
        let shim = async {
            match &mut self.live {
                Some(live) => live.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.engine.0.stopping.cancelled() => Wake::Stopping,
            event = shim => Wake::Shim(event),
            command = self.commands.recv() => command.map_or(Wake::Stopping, Wake::Command),
        }
    }

    /// Commands whose work is large are boxed, so that a thousand idle tasks stay small.
    async fn obey(&mut self, command: Command) {
        match command {
            Command::Start(reply) => {
                let result = Box::pin(self.start()).await;
                let _ = reply.send(result);
            }
            Command::Signal {
                signal,
                purpose,
                reply,
            } => {
                let _ = reply.send(Box::pin(self.signal(signal, purpose)).await);
            }
            Command::Pause(reply) => {
                let _ = reply.send(Box::pin(self.pause()).await);
            }
            Command::Unpause(reply) => {
                let _ = reply.send(Box::pin(self.unpause()).await);
            }
            Command::Rename { name, reply } => {
                let _ = reply.send(Box::pin(self.rename(name)).await);
            }
            Command::Update { update, reply } => {
                let _ = reply.send(Box::pin(self.update(*update)).await);
            }
            Command::Connect {
                network,
                settings,
                reply,
            } => {
                let _ = reply.send(Box::pin(self.connect(network, *settings)).await);
            }
            Command::Disconnect { network, reply } => {
                let _ = reply.send(Box::pin(self.disconnect(network)).await);
            }
            Command::Remove { options, reply } => {
                Box::pin(self.remove(options, reply)).await;
            }
            Command::Attach { client, reply } => {
                let _ = reply.send(Box::pin(self.attach(*client)).await);
            }
        }
    }

    /// How it is now.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }

    /// Publishes a change.
    pub(super) fn publish(&self, change: impl FnOnce(&mut Snapshot)) {
        self.snapshots
            .send_modify(|current| change(Arc::make_mut(current)));
    }

    /// Writes a new state with its events, then publishes it.
    pub(super) async fn commit(
        &self,
        state: ContainerState,
        events: &[Event],
        change: impl FnOnce(&mut Snapshot),
    ) -> Result<()> {
        let snapshot = self.snapshot();
        let mut batch = Batch::new();
        snapshot.record.put(&mut batch, &state);
        for event in events {
            events::add(&mut batch, event)?;
        }
        self.engine.0.commit(batch).await?;
        self.publish(|snapshot| {
            snapshot.state = state;
            change(snapshot);
        });
        Ok(())
    }

    // ---- start ------------------------------------------------------------------------------

    async fn start(&mut self) -> Result<()> {
        let snapshot = self.snapshot();
        match snapshot.state.status {
            Status::Paused => {
                return Err(Error::Conflict(
                    "cannot start a paused container, try unpause instead".to_owned(),
                ));
            }
            Status::Running => {
                return Err(Error::NotModified(
                    "Container is already started".to_owned(),
                ));
            }
            Status::Removing | Status::Dead => {
                return Err(Error::Conflict(
                    "container is marked for removal and cannot be started".to_owned(),
                ));
            }
            Status::Created | Status::Exited => {}
        }
        let waiting = std::mem::take(&mut self.waiting);
        match start::run(&self.engine, &snapshot, waiting).await {
            Ok(started) => self.started(started).await,
            Err(error) => {
                self.start_failed(&error).await;
                Err(error)
            }
        }
    }

    async fn started(&mut self, started: start::Started) -> Result<()> {
        let snapshot = self.snapshot();
        let state = ContainerState {
            status: Status::Running,
            pid: started.pid,
            started_at: started.at,
            exit_code: 0,
            error: String::new(),
            oom_killed: false,
            stopped_by_user: false,
            finished_at: snapshot.state.finished_at,
            endpoints: started.seats.endpoints(),
            ports: started.seats.ports,
        };
        let event = snapshot.record.event("start", []);
        self.live = Some(started.watch);
        let _until_others_see_it = started.volumes;
        let running = Arc::new(Snapshot {
            state: state.clone(),
            ..Snapshot::clone(&snapshot)
        });
        let mounted = end::volume_events(&snapshot, "mount");
        let connected = network::events(&running, "connect");
        let told: Vec<Event> = mounted
            .into_iter()
            .chain(connected)
            .chain([event])
            .collect();
        match self.commit(state, &told, |_| {}).await {
            Ok(()) => Ok(()),
            Err(error) => {
                self.live = None;
                end::abandon(&self.engine, &running).await;
                self.start_failed(&error).await;
                Err(error)
            }
        }
    }

    /// The state keeps its status, with what went wrong.
    async fn start_failed(&mut self, error: &Error) {
        let snapshot = self.snapshot();
        let exit_code = match error {
            Error::Start { exit_code, .. } => *exit_code,
            // dockerd's code for "never came to run".
            _ => 128,
        };
        let state = ContainerState {
            error: error.to_string(),
            exit_code,
            ..snapshot.state.clone()
        };
        let fallback = state.clone();
        if let Err(error) = self.commit(state, &[], |_| {}).await {
            tracing::error!(id = snapshot.id(), %error, "a failed start was not recorded");
            self.publish(|snapshot| snapshot.state = fallback);
        }
        if snapshot.record.spec.host.auto_remove {
            self.remove_itself().await;
        }
    }

    // ---- what the shim says -----------------------------------------------------------------

    async fn shim_said(&mut self, event: Option<WatchEvent>) {
        match event {
            Some(WatchEvent::ExecExited { id, code }) => {
                exec::report_end(&self.engine, &self.snapshot(), &id, code).await;
            }
            Some(WatchEvent::ExecStarted { id, pid }) => self.engine.0.execs.started(&id, pid),
            // Told when the row of the start was written.
            Some(WatchEvent::Started(_)) => {}
            Some(WatchEvent::Exited(exit)) => Box::pin(self.ended(Some(exit))).await,
            None => Box::pin(self.shim_left()).await,
        }
    }

    /// EOF: there is an exit record, or the shim was killed.
    async fn shim_left(&mut self) {
        let dir = self.snapshot().paths.exec.clone();
        let exit = match blocking(move || shim::read_exit(&dir)).await {
            Ok(exit) => exit,
            Err(error) => {
                tracing::error!(%error, "an exit record cannot be read");
                None
            }
        };
        self.ended(exit).await;
    }

    /// The run is over. Without an exit record, the shim is gone and what it held must go, too.
    pub(super) async fn ended(&mut self, exit: Option<shim::Exit>) {
        let snapshot = self.snapshot();
        self.live = None;
        let exit = match exit {
            Some(exit) => exit,
            None => end::bury(&self.engine, &snapshot).await,
        };
        let state = end::state(&snapshot.state, &exit);
        let told = end::events(&snapshot, &exit);
        // Before anybody hears of the end: who waits for it may want the same port.
        end::leave_networks(&self.engine, &snapshot).await;
        let fallback = state.clone();
        match self
            .commit(state, &told, |snapshot| snapshot.ends += 1)
            .await
        {
            Ok(()) => end::clean_up(&self.engine, &snapshot).await,
            Err(error) => {
                tracing::error!(id = snapshot.id(), %error, "the end of a container was not recorded; its exit record stays");
                self.publish(|snapshot| {
                    snapshot.state = fallback;
                    snapshot.ends += 1;
                });
            }
        }
        self.engine.0.execs.container_ended(snapshot.id());
        if snapshot.record.spec.host.auto_remove {
            self.remove_itself().await;
        }
    }

    async fn remove_itself(&mut self) {
        let (reply, answer) = tokio::sync::oneshot::channel();
        let options = RemoveOptions {
            force: true,
            volumes: true,
            link: false,
        };
        self.remove(options, reply).await;
        if let Ok(Err(error)) = answer.await {
            tracing::error!(id = self.snapshot().id(), %error, "a container was not removed at its end");
        }
    }

    // ---- while it runs ----------------------------------------------------------------------

    fn must_run(&self) -> Result<Arc<Snapshot>> {
        let snapshot = self.snapshot();
        if snapshot.is_running() {
            return Ok(snapshot);
        }
        Err(not_running(snapshot.id()))
    }

    async fn signal(&mut self, signal: i32, purpose: Purpose) -> Result<()> {
        let snapshot = self.must_run()?;
        shim::signal(&snapshot.paths.exec, signal).await?;
        let stop_signal = signal::of_stop(&snapshot.record.spec);
        if snapshot.is_paused() && (signal == signal::KILL || signal == stop_signal) {
            // A frozen process does not hear anything.
            self.thaw().await?;
        }
        if purpose == Purpose::Stop {
            self.publish(|snapshot| snapshot.state.stopped_by_user = true);
        }
        let event = snapshot
            .record
            .event("kill", [("signal", signal.to_string())]);
        self.engine.0.emit(event).await;
        Ok(())
    }

    async fn pause(&mut self) -> Result<()> {
        let snapshot = self.must_run()?;
        if snapshot.is_paused() {
            return Err(Error::Conflict(format!(
                "Container {} is already paused",
                snapshot.id()
            )));
        }
        cgroup::freeze(&self.engine, &snapshot, cgroup::Freezer::Freeze).await?;
        let event = snapshot.record.event("pause", []);
        let state = ContainerState {
            status: Status::Paused,
            ..snapshot.state.clone()
        };
        let written = self.commit(state, &[event], |_| {}).await;
        if written.is_err() {
            // Nobody would know that it is, nor could anybody undo it.
            cgroup::freeze(&self.engine, &snapshot, cgroup::Freezer::Thaw).await?;
        }
        written
    }

    async fn unpause(&mut self) -> Result<()> {
        let snapshot = self.must_run()?;
        if !snapshot.is_paused() {
            return Err(Error::Conflict(format!(
                "Container {} is not paused",
                snapshot.id()
            )));
        }
        self.thaw().await
    }

    async fn thaw(&mut self) -> Result<()> {
        let snapshot = self.snapshot();
        cgroup::freeze(&self.engine, &snapshot, cgroup::Freezer::Thaw).await?;
        let event = snapshot.record.event("unpause", []);
        let state = ContainerState {
            status: Status::Running,
            ..snapshot.state.clone()
        };
        let fallback = state.clone();
        if let Err(error) = self.commit(state, &[event], |_| {}).await {
            // It goes on, whatever the disk says (a full one, most likely). A daemon that starts
            // before the next change shows it as paused: unpausing it again does no harm.
            tracing::error!(id = snapshot.id(), %error, "that it goes on was not recorded");
            self.publish(|snapshot| snapshot.state = fallback);
        }
        Ok(())
    }

    async fn attach(&mut self, client: Client) -> Result<()> {
        let snapshot = self.snapshot();
        if snapshot.is_paused() {
            return Err(Error::Conflict(format!(
                "Container {} is paused, unpause the container before attach",
                snapshot.id()
            )));
        }
        if snapshot.is_running() {
            return client.join(&snapshot.paths.exec).await;
        }
        self.waiting.retain(|client| !client.has_left());
        if self.waiting.len() >= MAX_WAITING {
            return Err(Error::Unavailable(format!(
                "too many clients wait for container {} to start",
                snapshot.id()
            )));
        }
        self.waiting.push(client);
        Ok(())
    }

    // ---- at any time ------------------------------------------------------------------------

    async fn rename(&mut self, name: String) -> Result<()> {
        let snapshot = self.snapshot();
        let old = snapshot.name().to_owned();
        let registry = &self.engine.0.containers;
        registry
            .reserve(&name, snapshot.id())
            .map_err(|error| match error {
                Error::Conflict(text) => {
                    Error::Conflict(format!("Error when allocating new name: {text}"))
                }
                error => error,
            })?;
        let record = Record {
            name: name.clone(),
            ..Record::clone(&snapshot.record)
        };
        let state = network::renamed(&self.engine.0.networks, &record, &snapshot.state);
        match self
            .commit_both(record, state, |record| {
                vec![record.event("rename", [("oldName", format!("/{old}"))])]
            })
            .await
        {
            Ok(()) => {
                registry.release(&old, snapshot.id());
                let now = self.snapshot();
                network::tell(&self.engine.0.networks, &now);
                Ok(())
            }
            Err(error) => {
                registry.release(&name, snapshot.id());
                Err(error)
            }
        }
    }

    async fn update(&mut self, update: Update) -> Result<Vec<String>> {
        let snapshot = self.snapshot();
        if matches!(snapshot.state.status, Status::Removing | Status::Dead) {
            return Err(Error::Conflict(format!(
                "Cannot update container {}: container is marked for removal and cannot be \"update\"",
                snapshot.id()
            )));
        }
        let mut record = Record::clone(&snapshot.record);
        let changes = live::Changes::of(&update);
        let warnings = super::update::apply(&self.engine, &mut record, update)?;
        if snapshot.is_running() {
            cgroup::limit(&self.engine, &snapshot, &record.spec.host.resources).await?;
        }
        let state = live::update(&self.engine, &snapshot, &mut record, changes).await?;
        self.commit_both(record, state, |record| vec![record.event("update", [])])
            .await?;
        Ok(warnings)
    }

    async fn connect(&mut self, network: String, settings: EndpointSpec) -> Result<()> {
        let snapshot = self.snapshot();
        live::must_stay(&snapshot)?;
        let changed = live::connect(&self.engine, &snapshot, network, settings).await?;
        self.commit_both(changed.record, changed.state, |_| changed.told)
            .await
    }

    async fn disconnect(&mut self, network: String) -> Result<()> {
        let snapshot = self.snapshot();
        live::must_stay(&snapshot)?;
        let changed = live::disconnect(&self.engine, &snapshot, network).await?;
        self.commit_both(changed.record, changed.state, |_| changed.told)
            .await
    }

    /// Writes a new record and a new state with their events, then publishes them.
    async fn commit_both(
        &self,
        record: Record,
        state: ContainerState,
        told: impl FnOnce(&Record) -> Vec<Event>,
    ) -> Result<()> {
        let mut batch = Batch::new();
        record.put(&mut batch, &state);
        for event in told(&record) {
            events::add(&mut batch, &event)?;
        }
        self.engine.0.commit(batch).await?;
        self.publish(|snapshot| {
            snapshot.record = Arc::new(record);
            snapshot.state = state;
        });
        Ok(())
    }

    // ---- the end ----------------------------------------------------------------------------

    /// Kills it first when forced to; its end is then seen here before anything is removed.
    async fn remove(&mut self, options: RemoveOptions, reply: Reply<()>) {
        let result = self.try_remove(options).await;
        if let Err(error) = &result
            && !matches!(error, Error::Conflict(_))
        {
            tracing::warn!(id = self.snapshot().id(), %error, "a container was not removed");
        }
        let _ = reply.send(result);
    }

    async fn try_remove(&mut self, options: RemoveOptions) -> Result<()> {
        let snapshot = self.snapshot();
        if snapshot.gone {
            return Ok(());
        }
        if snapshot.is_running() {
            if !options.force {
                return Err(remove::refusal(&snapshot));
            }
            self.kill_and_wait().await?;
            if self.snapshot().gone {
                // It was to remove itself at its end.
                return Ok(());
            }
        }
        self.waiting.clear();
        remove::remove(self, options).await
    }

    /// For a forced removal. The kill cannot be refused by the container; the shim's report of
    /// the end is waited for here, because this task is who hears it.
    async fn kill_and_wait(&mut self) -> Result<()> {
        match self.signal(signal::KILL, Purpose::Stop).await {
            // It has ended by now, of an earlier kill perhaps, and the report is on its way.
            Ok(()) | Err(Error::Conflict(_)) => {}
            Err(error) => return Err(error),
        }
        let deadline = tokio::time::Instant::now() + remove::KILL_PATIENCE;
        while self.snapshot().is_running() {
            let Some(live) = &mut self.live else {
                break;
            };
            match tokio::time::timeout_at(deadline, live.next()).await {
                Ok(event) => self.shim_said(event).await,
                Err(_) => {
                    return Err(Error::Internal(format!(
                        "cannot remove container \"/{}\": could not kill container: tried to kill container, but did not receive an exit event",
                        self.snapshot().name()
                    )));
                }
            }
        }
        Ok(())
    }
}

/// dockerd's refusal of what needs a running container.
pub(crate) fn not_running(id: &str) -> Error {
    Error::Conflict(format!("container {id} is not running"))
}
