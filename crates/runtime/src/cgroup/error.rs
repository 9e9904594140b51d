//! What can go wrong with a cgroup.

use std::io;
use std::path::{Path, PathBuf};

/// A call on a cgroup that failed.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// A file or directory of it could not be read, written, made or removed.
    #[error("cgroup: {action} {}: {source}", path.display())]
    File {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A limit that makes no sense, or that this host's kind of cgroups cannot express.
    #[error("cgroup: {field}: {reason}")]
    Limit {
        /// The field, named as in the specification.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The state asked for did not come about in time.
    #[error("cgroup: {} did not become {state}", path.display())]
    State {
        /// The cgroup's directory.
        path: PathBuf,
        /// The state.
        state: &'static str,
    },
}

impl CgroupError {
    pub(super) fn limit(field: impl Into<String>, reason: impl Into<String>) -> CgroupError {
        CgroupError::Limit {
            field: field.into(),
            reason: reason.into(),
        }
    }
}

/// For `map_err` on a call on `path`.
pub(super) fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CgroupError {
    move |source| CgroupError::File {
        action,
        path: path.to_path_buf(),
        source,
    }
}
