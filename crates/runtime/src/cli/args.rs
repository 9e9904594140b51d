//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "wharf runtime",
    about = "OCI runtime: runs containers from bundles",
    version = concat!(env!("CARGO_PKG_VERSION"), "\nspec: 1.2.1")
)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Flags of all commands.
#[derive(Debug, Args)]
pub(super) struct Global {
    /// Directory for what is known about containers
    #[arg(long, default_value = "/run/wharf/runtime")]
    pub(super) root: PathBuf,
    /// File that errors are also written to
    #[arg(long)]
    pub(super) log: Option<PathBuf>,
    /// Form of that file
    #[arg(long, value_enum, default_value = "text")]
    pub(super) log_format: LogFormat,
    /// Accepted; there is nothing more to say
    #[arg(long)]
    pub(super) debug: bool,
    /// Refused: cgroups are made by cgroupfs
    #[arg(long)]
    pub(super) systemd_cgroup: bool,
    /// Accepted; decided by what is permitted
    #[arg(long, value_name = "auto")]
    pub(super) rootless: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a container that waits to be started
    Create(Create),
    /// Let a created container's program run
    Start(Id),
    /// Print a container's state as JSON
    State(Id),
    /// Send a signal to a container's first process, or to all
    Kill(Kill),
    /// Remove a container that has ended
    Delete(Delete),
    /// Make a container, start it and, unless detached, wait for its end
    Run(Run),
    /// Run a further program in a running container
    Exec(Exec),
    /// List the processes of a container
    Ps(Ps),
    /// Print what a container uses, and when it runs out of memory
    Events(Events),
    /// Stop all processes of a container where they are
    Pause(Id),
    /// Let them go on
    Resume(Id),
    /// Change a container's limits
    Update(Box<Update>),
    /// List containers
    List(List),
    /// Write a config.json to begin with
    Spec(SpecArgs),
    /// Print what this runtime can do as JSON
    Features,
}

#[derive(Debug, Args)]
pub(super) struct Id {
    /// The container
    pub(super) id: String,
}

/// What create and run have in common.
#[derive(Debug, Args)]
pub(super) struct Create {
    /// The container's name, unique on this machine
    pub(super) id: String,
    /// Directory with config.json
    #[arg(long, short, default_value = ".")]
    pub(super) bundle: PathBuf,
    /// Socket that the terminal's master end is sent to
    #[arg(long)]
    pub(super) console_socket: Option<PathBuf>,
    /// File to write the first process's number to
    #[arg(long)]
    pub(super) pid_file: Option<PathBuf>,
    /// Refused: without pivot_root a container can get out
    #[arg(long)]
    pub(super) no_pivot: bool,
    /// Accepted; containers get a session keyring of their own in any case
    #[arg(long)]
    pub(super) no_new_keyring: bool,
    /// How many descriptors from 3 on the program inherits
    #[arg(long, default_value_t = 0)]
    pub(super) preserve_fds: u32,
}

#[derive(Debug, Args)]
pub(super) struct Run {
    #[command(flatten)]
    pub(super) create: Create,
    /// Leave it running
    #[arg(long, short)]
    pub(super) detach: bool,
    /// Do not delete it when it has ended
    #[arg(long)]
    pub(super) keep: bool,
    /// Accepted; orphans of a container are its own
    #[arg(long)]
    pub(super) no_subreaper: bool,
}

#[derive(Debug, Args)]
pub(super) struct Kill {
    /// The container
    pub(super) id: String,
    /// By name or number
    #[arg(default_value = "SIGTERM")]
    pub(super) signal: String,
    /// Send it to all processes
    #[arg(long, short)]
    pub(super) all: bool,
}

#[derive(Debug, Args)]
pub(super) struct Delete {
    /// The container
    pub(super) id: String,
    /// Kill it first
    #[arg(long, short)]
    pub(super) force: bool,
}

#[derive(Debug, Args)]
pub(super) struct Exec {
    /// The container
    pub(super) id: String,
    /// The program and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(super) command: Vec<String>,
    /// The whole process, from a JSON file
    #[arg(long, short)]
    pub(super) process: Option<PathBuf>,
    /// Working directory
    #[arg(long)]
    pub(super) cwd: Option<PathBuf>,
    /// Further variables
    #[arg(long, short)]
    pub(super) env: Vec<String>,
    /// With a terminal
    #[arg(long, short)]
    pub(super) tty: bool,
    /// uid[:gid]
    #[arg(long, short)]
    pub(super) user: Option<String>,
    /// Further groups
    #[arg(long, short = 'g')]
    pub(super) additional_gids: Vec<u32>,
    /// Leave it running
    #[arg(long, short)]
    pub(super) detach: bool,
    /// File to write the process's number to
    #[arg(long)]
    pub(super) pid_file: Option<PathBuf>,
    /// Socket that the terminal's master end is sent to
    #[arg(long)]
    pub(super) console_socket: Option<PathBuf>,
    /// How many descriptors from 3 on the program inherits
    #[arg(long, default_value_t = 0)]
    pub(super) preserve_fds: u32,
    /// Further capabilities
    #[arg(long, short)]
    pub(super) cap: Vec<String>,
    /// Without gaining privileges by set-user-ID programs
    #[arg(long)]
    pub(super) no_new_privs: bool,
    /// Also in a paused container, where it will wait
    #[arg(long)]
    pub(super) ignore_paused: bool,
}

#[derive(Debug, Args)]
pub(super) struct Ps {
    /// The container
    pub(super) id: String,
    /// Form of the list
    #[arg(long, short, value_enum, default_value = "table")]
    pub(super) format: ListFormat,
    /// Accepted for compatibility
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    pub(super) ps_options: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ListFormat {
    Table,
    Json,
}

#[derive(Debug, Args)]
pub(super) struct Events {
    /// The container
    pub(super) id: String,
    /// Once, and end
    #[arg(long)]
    pub(super) stats: bool,
    /// Between two readings (5s, 500ms)
    #[arg(long, default_value = "5s")]
    pub(super) interval: String,
}

#[derive(Debug, Args)]
pub(super) struct Update {
    /// The container
    pub(super) id: String,
    /// JSON file with linux.resources, - for standard input
    #[arg(long, short)]
    pub(super) resources: Option<PathBuf>,
    /// Memory, in bytes
    #[arg(long)]
    pub(super) memory: Option<String>,
    /// Memory kept for it, in bytes
    #[arg(long)]
    pub(super) memory_reservation: Option<String>,
    /// Memory and swap, in bytes; -1 for no limit
    #[arg(long, allow_hyphen_values = true)]
    pub(super) memory_swap: Option<String>,
    /// Relative weight
    #[arg(long, alias = "cpu-share")]
    pub(super) cpu_shares: Option<u64>,
    /// Length of a period, in microseconds
    #[arg(long)]
    pub(super) cpu_period: Option<u64>,
    /// Time in each period, in microseconds
    #[arg(long, allow_hyphen_values = true)]
    pub(super) cpu_quota: Option<i64>,
    /// Processors
    #[arg(long)]
    pub(super) cpuset_cpus: Option<String>,
    /// Memory nodes
    #[arg(long)]
    pub(super) cpuset_mems: Option<String>,
    /// Processes and threads
    #[arg(long, allow_hyphen_values = true)]
    pub(super) pids_limit: Option<i64>,
    /// Relative weight on block devices, 10 to 1000
    #[arg(long)]
    pub(super) blkio_weight: Option<u16>,
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// Form of the list
    #[arg(long, short, value_enum, default_value = "table")]
    pub(super) format: ListFormat,
    /// Names alone
    #[arg(long, short)]
    pub(super) quiet: bool,
}

#[derive(Debug, Args)]
pub(super) struct SpecArgs {
    /// Directory to write it to
    #[arg(long, short, default_value = ".")]
    pub(super) bundle: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn what_conmon_and_containerd_type_is_understood() {
        let arguments = Arguments::try_parse_from([
            "wharf",
            "--root",
            "/r",
            "--log",
            "/l",
            "--log-format",
            "json",
            "--systemd-cgroup",
            "create",
            "--bundle",
            "/b",
            "--pid-file",
            "/p",
            "--console-socket",
            "/s",
            "id",
        ])
        .unwrap();
        assert!(arguments.global.systemd_cgroup);
        assert!(matches!(arguments.command, Command::Create(create) if create.id == "id"));
        Arguments::try_parse_from(["wharf", "kill", "--all", "id", "9"]).unwrap();
        Arguments::try_parse_from(["wharf", "exec", "-d", "--process", "/p", "id"]).unwrap();
        let exec = Arguments::try_parse_from(["wharf", "exec", "id", "ls", "-l", "--all"]).unwrap();
        assert!(matches!(exec.command, Command::Exec(exec) if exec.command.len() == 3));
    }
}
