//! Being in other namespaces for the time of a `clone3`, so that the child is born there.
//!
//! This is how a pid namespace is joined at all (it concerns children only), and for the other
//! kinds it works whatever user namespace the child itself gets.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use wharf_sys::clone::Namespaces as Kinds;
use wharf_sys::namespaces;

use super::error::{Failure, LaunchError, Step};

/// A stay in other namespaces. It must be ended with [`Visit::leave`].
#[derive(Debug)]
#[must_use]
pub(super) struct Visit {
    home: Vec<(Kinds, OwnedFd)>,
}

impl Visit {
    /// Enter the namespaces at these paths.
    pub(super) fn enter(places: &[(Kinds, PathBuf)]) -> Result<Visit, LaunchError> {
        let mut opened = Vec::with_capacity(places.len());
        for (kind, path) in places {
            let open =
                File::open(path).map_err(Failure::at(Step::OpenNamespace, path.display()))?;
            opened.push((*kind, OwnedFd::from(open), path.display().to_string()));
        }
        let mut visit = Visit { home: Vec::new() };
        for (kind, place, path) in &opened {
            if let Err(error) = visit.go(*kind, place.as_fd(), path) {
                visit.leave()?;
                return Err(error);
            }
        }
        Ok(visit)
    }

    /// Make children be born in the pid namespace of a process.
    pub(super) fn pids_of(pidfd: BorrowedFd<'_>) -> Result<Visit, LaunchError> {
        let mut visit = Visit { home: Vec::new() };
        match visit.go(Kinds::PID, pidfd, "pid") {
            Ok(()) => Ok(visit),
            Err(error) => {
                visit.leave()?;
                Err(error)
            }
        }
    }

    fn go(&mut self, kind: Kinds, place: BorrowedFd<'_>, name: &str) -> Result<(), LaunchError> {
        let own = own_path(kind);
        let home = File::open(own).map_err(Failure::at(Step::OpenNamespace, own))?;
        namespaces::join(place, kind).map_err(Failure::at(Step::JoinNamespace, name))?;
        self.home.push((kind, home.into()));
        Ok(())
    }

    /// Go back, all the way even if one step fails.
    pub(super) fn leave(self) -> Result<(), LaunchError> {
        let mut result = Ok(());
        for (kind, home) in self.home.iter().rev() {
            let back = namespaces::join(home.as_fd(), *kind)
                .map_err(Failure::at(Step::JoinNamespace, own_path(*kind)));
            if let Err(error) = back {
                result = Err(error.into());
            }
        }
        result
    }
}

fn own_path(kind: Kinds) -> &'static str {
    match kind {
        Kinds::UTS => "/proc/self/ns/uts",
        Kinds::IPC => "/proc/self/ns/ipc",
        Kinds::NETWORK => "/proc/self/ns/net",
        Kinds::CGROUP => "/proc/self/ns/cgroup",
        Kinds::TIME => "/proc/self/ns/time",
        // What matters is where children are born, which is also what we are in.
        _ => "/proc/self/ns/pid",
    }
}
