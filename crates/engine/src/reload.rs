//! The daemon read its configuration again.

use std::collections::BTreeMap;

use crate::Engine;
use crate::events::event;

impl Engine {
    /// Journals it. What changed is the caller's: nothing in the engine does.
    pub async fn reloaded(&self, mut attributes: BTreeMap<String, String>) {
        let host = rustix::system::uname();
        attributes.insert(
            "name".into(),
            host.nodename().to_string_lossy().into_owned(),
        );
        let told = event("daemon", "reload", &self.0.identity.id, attributes);
        self.0.emit(told).await;
    }
}
