//! Each command, and the small ones themselves.

use super::args::{Command, Global, List, ListFormat};
use super::report::Report;
use super::state::{self, Status, Store};
use super::{CliError, events, launching, processes, spec, update};

/// Run a command; gives the status to exit with.
pub(super) fn run(global: &Global, command: Command, report: &Report) -> Result<u8, CliError> {
    let root = global.root.as_path();
    match command {
        Command::Create(arguments) => launching::create_container(root, &arguments, report)?,
        Command::Start(container) => launching::start(root, &container.id, report)?,
        Command::Run(arguments) => return launching::run_container(root, &arguments, report),
        Command::Exec(arguments) => return processes::run_exec(root, &arguments, report),
        Command::State(container) => {
            let store = Store::at(root, &container.id)?;
            let record = store.load()?;
            print_pretty(&record.state(store.status(&record)))?;
        }
        Command::Kill(arguments) => processes::kill(root, &arguments)?,
        Command::Delete(arguments) => {
            processes::delete(root, &arguments.id, arguments.force, report)?;
        }
        Command::Ps(arguments) => processes::ps(root, &arguments)?,
        Command::Events(arguments) => events::events(root, &arguments)?,
        Command::Pause(container) => freeze(&Store::at(root, &container.id)?)?,
        Command::Resume(container) => thaw(&Store::at(root, &container.id)?)?,
        Command::Update(arguments) => update::update(root, &arguments, report)?,
        Command::List(arguments) => list(root, &arguments)?,
        Command::Spec(arguments) => spec::write_spec(&arguments.bundle)?,
        Command::Features => print_pretty(&spec::features())?,
    }
    Ok(0)
}

fn print_pretty(value: &serde_json::Value) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(value).map_err(|source| CliError::Json {
        path: "output".into(),
        source,
    })?;
    println!("{text}");
    Ok(())
}

fn freeze(store: &Store) -> Result<(), CliError> {
    let record = store.load()?;
    match (store.status(&record), &record.cgroup) {
        (Status::Running | Status::Created, Some(cgroup)) => Ok(cgroup.freeze()?),
        (status, _) => Err(CliError::Status {
            action: "pause",
            status: status.word().to_owned(),
        }),
    }
}

fn thaw(store: &Store) -> Result<(), CliError> {
    let record = store.load()?;
    match (store.status(&record), &record.cgroup) {
        (Status::Paused, Some(cgroup)) => Ok(cgroup.thaw()?),
        (status, _) => Err(CliError::Status {
            action: "resume",
            status: status.word().to_owned(),
        }),
    }
}

fn list(root: &std::path::Path, arguments: &List) -> Result<(), CliError> {
    let mut containers = Vec::new();
    for id in state::all(root)? {
        let store = Store::at(root, &id)?;
        // One that is being made or removed at this moment.
        if let Ok(record) = store.load() {
            let status = store.status(&record);
            containers.push((record, status));
        }
    }
    if arguments.quiet {
        for (record, _) in &containers {
            println!("{}", record.id);
        }
        return Ok(());
    }
    if arguments.format == ListFormat::Json {
        let all: Vec<_> = containers
            .iter()
            .map(|(record, status)| record.state(*status))
            .collect();
        println!("{}", serde_json::Value::from(all));
        return Ok(());
    }
    println!(
        "{:<24} {:>7} {:<8} {:<32} CREATED",
        "ID", "PID", "STATUS", "BUNDLE"
    );
    for (record, status) in &containers {
        println!(
            "{:<24} {:>7} {:<8} {:<32} {}",
            record.id,
            record.pid,
            status.word(),
            record.bundle.display(),
            record.created
        );
    }
    Ok(())
}
