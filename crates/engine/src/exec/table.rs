//! The execs there are: in memory only, because an exec ends with its container at the latest.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::model::{ExecSpec, ExecView};
use crate::{Error, Result};

/// Execs of one container, running or remembered.
const MAX_PER_CONTAINER: usize = 1024;

/// How long the exit code of an ended one can be asked for, as with dockerd.
const REMEMBERED: Duration = Duration::from_secs(300);

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Execs(Mutex<HashMap<String, Entry>>);

#[derive(Debug)]
struct Entry {
    container: String,
    spec: ExecSpec,
    phase: watch::Sender<Phase>,
}

/// Where an exec is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Registered.
    Created,
    /// Being made.
    Starting,
    /// Runs, with this process.
    Running(i32),
    /// Ended.
    Ended {
        /// With this process; 0 if it never ran.
        pid: i32,
        /// So.
        code: i32,
        /// Then.
        at: Instant,
    },
}

impl Execs {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers one.
    pub(crate) fn add(&self, id: &str, container: &str, spec: ExecSpec) -> Result<()> {
        let mut entries = self.lock();
        entries.retain(|_, entry| {
            !matches!(*entry.phase.borrow(), Phase::Ended { at, .. } if at.elapsed() > REMEMBERED)
        });
        let siblings = entries
            .values()
            .filter(|entry| entry.container == container)
            .count();
        if siblings >= MAX_PER_CONTAINER {
            return Err(Error::Unavailable(format!(
                "container {container} has {siblings} exec instances; no more are made before some end"
            )));
        }
        entries.insert(
            id.to_owned(),
            Entry {
                container: container.to_owned(),
                spec,
                phase: watch::Sender::new(Phase::Created),
            },
        );
        Ok(())
    }

    /// Its container and specification.
    pub(crate) fn get(&self, id: &str) -> Result<(String, ExecSpec)> {
        self.lock()
            .get(id)
            .map(|entry| (entry.container.clone(), entry.spec.clone()))
            .ok_or_else(|| Error::NoSuchExec(id.to_owned()))
    }

    /// Takes the right to start it, which there is once.
    pub(crate) fn begin(&self, id: &str) -> Result<()> {
        let entries = self.lock();
        let entry = entries
            .get(id)
            .ok_or_else(|| Error::NoSuchExec(id.to_owned()))?;
        let refused = match *entry.phase.borrow() {
            Phase::Created => None,
            Phase::Starting | Phase::Running(_) => Some("is already running"),
            Phase::Ended { .. } => Some("has already run"),
        };
        match refused {
            None => {
                entry.phase.send_replace(Phase::Starting);
                Ok(())
            }
            Some(why) => Err(Error::Conflict(format!("Error: Exec command {id} {why}"))),
        }
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Phase)) {
        if let Some(entry) = self.lock().get(id) {
            entry.phase.send_modify(change);
        }
    }

    /// It runs. Does nothing if its end was heard of first.
    pub(crate) fn started(&self, id: &str, pid: i32) {
        self.change(id, |phase| match phase {
            Phase::Created | Phase::Starting => *phase = Phase::Running(pid),
            Phase::Running(_) => {}
            Phase::Ended { pid: known, .. } => *known = pid,
        });
    }

    /// It ended, or never came to run. The first report counts; says whether this was it.
    pub(crate) fn ended(&self, id: &str, code: i32) -> bool {
        let mut first = false;
        self.change(id, |phase| {
            let pid = match *phase {
                Phase::Running(pid) => pid,
                Phase::Created | Phase::Starting => 0,
                Phase::Ended { .. } => return,
            };
            first = true;
            *phase = Phase::Ended {
                pid,
                code,
                at: Instant::now(),
            };
        });
        first
    }

    /// Its container ended: nobody asks for them any more but those who attached.
    pub(crate) fn container_ended(&self, container: &str) {
        self.lock().retain(|_, entry| entry.container != container);
    }

    /// Those of a container that run.
    pub(crate) fn of_container(&self, container: &str) -> Vec<String> {
        let mut ids: Vec<String> = self
            .lock()
            .iter()
            .filter(|(_, entry)| {
                entry.container == container && matches!(*entry.phase.borrow(), Phase::Running(_))
            })
            .map(|(id, _)| id.clone())
            .collect();
        ids.sort_unstable();
        ids
    }

    /// As inspected.
    pub(crate) fn view(&self, id: &str) -> Result<ExecView> {
        let entries = self.lock();
        let entry = entries
            .get(id)
            .ok_or_else(|| Error::NoSuchExec(id.to_owned()))?;
        let (running, pid, exit_code) = match *entry.phase.borrow() {
            Phase::Created | Phase::Starting => (false, 0, None),
            Phase::Running(pid) => (true, pid, None),
            Phase::Ended { pid, code, .. } => (false, pid, Some(code)),
        };
        Ok(ExecView {
            id: id.to_owned(),
            container_id: entry.container.clone(),
            spec: entry.spec.clone(),
            running,
            pid,
            exit_code,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one() -> Execs {
        let execs = Execs::default();
        execs.add("e", "c", ExecSpec::default()).unwrap();
        execs
    }

    #[test]
    fn an_exec_is_started_once() {
        let execs = one();
        execs.begin("e").unwrap();
        assert_eq!(
            execs.begin("e").unwrap_err().to_string(),
            "Error: Exec command e is already running"
        );
        execs.started("e", 7);
        assert_eq!(execs.of_container("c"), ["e"]);
        assert!(execs.ended("e", 3));
        assert!(
            execs
                .begin("e")
                .unwrap_err()
                .to_string()
                .ends_with("has already run")
        );
        assert_eq!(execs.view("e").unwrap().exit_code, Some(3));
    }

    #[test]
    fn an_end_that_is_heard_of_before_the_start_counts_once() {
        let execs = one();
        execs.begin("e").unwrap();
        assert!(execs.ended("e", 5));
        execs.started("e", 7);
        assert!(!execs.ended("e", 9));
        let view = execs.view("e").unwrap();
        assert_eq!(
            (view.running, view.pid, view.exit_code),
            (false, 7, Some(5))
        );
    }

    #[test]
    fn execs_are_bounded_and_go_with_their_container() {
        let execs = Execs::default();
        for n in 0..MAX_PER_CONTAINER {
            execs.add(&n.to_string(), "c", ExecSpec::default()).unwrap();
        }
        assert!(execs.add("more", "c", ExecSpec::default()).is_err());
        execs.add("other", "d", ExecSpec::default()).unwrap();
        execs.container_ended("c");
        assert!(execs.get("0").is_err());
        execs.get("other").unwrap();
    }
}
