//! docker's commands that Wharf does not have: they exist, and say so.
//!
//! None of them contacts anything. Each names what is missing and, where there is one, the way
//! to the same end.

use crate::command::{Command, Heading};
use crate::failure::Failure;
use crate::program::Program;

const SWARM_TEXT: &str = "Wharf does not run swarms: it manages the containers of one host";
const REGISTRY_TEXT: &str = "this version of Wharf does not talk to registries yet. Bring images in with 'docker load' or 'docker import', and out with 'docker save'";
const BUILD_TEXT: &str = "this version of Wharf does not build images yet. Make one from a container with 'docker commit', or from a file tree with 'docker import'";
const TRUST_TEXT: &str = "Wharf does not implement Docker Content Trust";

pub(crate) const BUILD: Command =
    Command::missing("build", "Build an image from a Dockerfile", BUILD_TEXT);
pub(crate) const BUILDER: Command =
    Command::missing("builder", "Manage builds", BUILD_TEXT).under(Heading::Management);
pub(crate) const BUILDX: Command = Command::missing("buildx", "Docker Buildx", BUILD_TEXT).hidden();
pub(crate) const COMPOSE: Command = Command::missing(
    "compose",
    "Docker Compose",
    "this version of Wharf does not read Compose files yet",
)
.hidden();
pub(crate) const PULL: Command =
    Command::missing("pull", "Download an image from a registry", REGISTRY_TEXT);
pub(crate) const PUSH: Command =
    Command::missing("push", "Upload an image to a registry", REGISTRY_TEXT);
pub(crate) const LOGIN: Command =
    Command::missing("login", "Authenticate to a registry", REGISTRY_TEXT);
pub(crate) const LOGOUT: Command =
    Command::missing("logout", "Log out from a registry", REGISTRY_TEXT);
pub(crate) const SEARCH: Command =
    Command::missing("search", "Search Docker Hub for images", REGISTRY_TEXT);
pub(crate) const MANIFEST: Command = Command::missing(
    "manifest",
    "Manage Docker image manifests and manifest lists",
    REGISTRY_TEXT,
)
.under(Heading::Management);
pub(crate) const CHECKPOINT: Command =
    Command::missing("checkpoint", "Manage checkpoints", CHECKPOINT_TEXT)
        .under(Heading::Management);
pub(crate) const PLUGIN: Command = Command::missing(
    "plugin",
    "Manage plugins",
    "Wharf has no engine plugins: what plugins do for others is built in or not there",
)
.under(Heading::Management);
pub(crate) const TRUST: Command =
    Command::missing("trust", "Manage trust on Docker images", TRUST_TEXT)
        .under(Heading::Management);
pub(crate) const CONFIG: Command =
    Command::missing("config", "Manage Swarm configs", SWARM_TEXT).under(Heading::Swarm);
pub(crate) const NODE: Command =
    Command::missing("node", "Manage Swarm nodes", SWARM_TEXT).under(Heading::Swarm);
pub(crate) const SECRET: Command =
    Command::missing("secret", "Manage Swarm secrets", SWARM_TEXT).under(Heading::Swarm);
pub(crate) const SERVICE: Command =
    Command::missing("service", "Manage Swarm services", SWARM_TEXT).under(Heading::Swarm);
pub(crate) const STACK: Command =
    Command::missing("stack", "Manage Swarm stacks", SWARM_TEXT).under(Heading::Swarm);
pub(crate) const SWARM: Command =
    Command::missing("swarm", "Manage Swarm", SWARM_TEXT).under(Heading::Swarm);

const CHECKPOINT_TEXT: &str = "Wharf does not checkpoint processes. 'docker pause' stops a container in place, 'docker commit' keeps its files";

/// `'docker pull' is not available: ...`
pub(crate) fn failure(program: Program, path: &str, what: &str) -> Failure {
    Failure::Missing(format!("'{path}' is not available: {}", program.says(what)))
}

pub(crate) fn checkpoints() -> Failure {
    Failure::Missing(CHECKPOINT_TEXT.to_owned())
}
