//! What a long operation tells whoever waits for it.

/// Receives progress. The texts are those that Docker streams to its clients.
pub trait Progress {
    /// `current` of `total` bytes of the thing `id` are done (`total` 0: unknown).
    fn report(&mut self, id: &str, action: &str, current: u64, total: u64);
    /// A whole line, such as `Loaded image: busybox:latest`.
    fn message(&mut self, text: &str);
}

/// Nobody waits.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn report(&mut self, _id: &str, _action: &str, _current: u64, _total: u64) {}
    fn message(&mut self, _text: &str) {}
}
