//! Steps that are taken back, last first, unless the whole succeeds.

use std::fmt;

/// Takes a step back.
type Back = Box<dyn FnOnce() -> crate::Result<()> + Send>;

/// What to do if it fails.
#[derive(Default)]
pub(crate) struct Undo {
    steps: Vec<(&'static str, Back)>,
}

impl Undo {
    /// Nothing done yet.
    pub(crate) fn new() -> Undo {
        Undo::default()
    }

    /// A step was taken; this takes it back. It may block.
    pub(crate) fn push(
        &mut self,
        step: &'static str,
        back: impl FnOnce() -> crate::Result<()> + Send + 'static,
    ) {
        self.steps.push((step, Box::new(back)));
    }

    /// It succeeded: everything stays.
    pub(crate) fn keep(mut self) {
        self.steps.clear();
    }
}

impl Drop for Undo {
    /// Goes on past what cannot be undone, and says it.
    fn drop(&mut self) {
        while let Some((step, back)) = self.steps.pop() {
            if let Err(error) = back() {
                tracing::warn!(step, %error, "a step could not be undone");
            }
        }
    }
}

impl fmt::Debug for Undo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.steps.iter().map(|(step, _)| step))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn steps(seen: &Arc<Mutex<Vec<u8>>>) -> Undo {
        let mut undo = Undo::new();
        for number in [1, 2, 3] {
            let seen = Arc::clone(seen);
            undo.push("step", move || {
                seen.lock().unwrap().push(number);
                if number == 2 {
                    return Err(crate::Error::Internal("stuck".into()));
                }
                Ok(())
            });
        }
        undo
    }

    #[test]
    fn steps_are_undone_last_first_past_those_that_fail() {
        let seen = Arc::default();
        drop(steps(&seen));
        assert_eq!(*seen.lock().unwrap(), [3, 2, 1]);
    }

    #[test]
    fn nothing_is_undone_after_success() {
        let seen = Arc::default();
        steps(&seen).keep();
        assert!(seen.lock().unwrap().is_empty());
    }
}
