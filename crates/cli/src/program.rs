//! Under which name the command line runs, and what follows from it.

/// The name the program was called by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `wharf`: our own name, socket and environment variables first.
    Wharf,
    /// `docker`: a stand-in for docker's client.
    Docker,
}

impl Program {
    /// The word in usage lines.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Program::Wharf => "wharf",
            Program::Docker => "docker",
        }
    }

    /// The name in sentences.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Program::Wharf => "Wharf",
            Program::Docker => "Docker",
        }
    }

    /// Texts are written for docker; under our own name they say so. `Dockerfile` stays.
    pub(crate) fn says(self, text: &str) -> String {
        match self {
            Program::Docker => text.to_owned(),
            Program::Wharf => text
                .replace("docker ", "wharf ")
                .replace("Docker ", "Wharf "),
        }
    }

    /// The environment variables that hold a setting, first wins.
    pub(crate) fn host_variables(self) -> &'static [&'static str] {
        match self {
            Program::Wharf => &["WHARF_HOST", "DOCKER_HOST"],
            Program::Docker => &["DOCKER_HOST"],
        }
    }

    pub(crate) fn context_variables(self) -> &'static [&'static str] {
        match self {
            Program::Wharf => &["WHARF_CONTEXT", "DOCKER_CONTEXT"],
            Program::Docker => &["DOCKER_CONTEXT"],
        }
    }

    /// The sockets to try when nothing says where the daemon is: the first that is there, or
    /// else the first.
    pub(crate) fn default_sockets(self) -> &'static [&'static str] {
        match self {
            Program::Wharf => &["/run/wharf/wharf.sock", "/var/run/docker.sock"],
            Program::Docker => &["/var/run/docker.sock"],
        }
    }
}
