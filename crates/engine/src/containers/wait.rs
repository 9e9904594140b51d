//! `wait`: registered at once, answered when the container gets there.

use tokio::sync::oneshot;

use super::snapshot::Snapshot;
use crate::model::{WaitCondition, WaitHandle, WaitResult};
use crate::{Engine, Result};

impl Engine {
    /// Waits. The wait is registered when this returns; the handle tells how it ended.
    pub async fn wait(&self, container: &str, until: WaitCondition) -> Result<WaitHandle> {
        let container = self.0.containers.find(container)?;
        let mut watch = container.watch();
        // Marks what is there now as seen: every later change wakes the wait.
        let ends = watch.borrow_and_update().ends;
        let (mut sender, receiver) = oneshot::channel();
        tokio::spawn(async move {
            loop {
                let reached = reached(&watch.borrow_and_update(), ends, until);
                if let Some(result) = reached {
                    let _ = sender.send(result);
                    return;
                }
                tokio::select! {
                    changed = watch.changed() => if changed.is_err() { return },
                    () = sender.closed() => return,
                }
            }
        });
        Ok(WaitHandle(receiver))
    }
}

/// The result, once the condition holds. What is removed never ends again, so that ends every
/// wait.
fn reached(snapshot: &Snapshot, ends: u64, until: WaitCondition) -> Option<WaitResult> {
    let holds = match until {
        WaitCondition::NotRunning => !snapshot.is_running() || snapshot.ends > ends,
        WaitCondition::NextExit => snapshot.ends > ends,
        WaitCondition::Removed => snapshot.gone,
    };
    let state = &snapshot.state;
    (holds || snapshot.gone).then(|| WaitResult {
        code: i64::from(state.exit_code),
        error: (!state.error.is_empty()).then(|| state.error.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;
    use crate::model::Status;

    fn after(ends: u64, status: Status, gone: bool, until: WaitCondition) -> bool {
        let mut snapshot = fixture::snapshot("id", "name");
        snapshot.ends = ends;
        snapshot.state.status = status;
        snapshot.gone = gone;
        reached(&snapshot, 0, until).is_some()
    }

    #[test]
    fn each_condition_has_its_moment() {
        use WaitCondition::{NextExit, NotRunning, Removed};
        assert!(after(0, Status::Created, false, NotRunning));
        assert!(!after(0, Status::Running, false, NotRunning));
        // It ended and was started again before the wait looked.
        assert!(after(1, Status::Running, false, NotRunning));
        assert!(!after(0, Status::Exited, false, NextExit));
        assert!(after(1, Status::Exited, false, NextExit));
        assert!(!after(1, Status::Exited, false, Removed));
        assert!(after(1, Status::Removing, true, Removed));
        assert!(after(0, Status::Removing, true, NextExit));
    }
}
