//! `ssh://`: the API through `ssh HOST docker system dial-stdio`.
//!
//! Spawning ssh gives the user's own configuration, agent, jump hosts and control sockets,
//! which no library would read the same way. Docker does the same.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStdin, ChildStdout};

use super::ClientError;

/// Run on the remote side: Wharf's own client where there is one, docker's otherwise.
const REMOTE: &str = "docker system dial-stdio";
const REMOTE_EITHER: &str = "if command -v wharf >/dev/null 2>&1; then exec wharf system dial-stdio; else exec docker system dial-stdio; fi";

/// `ssh://[user@]host[:port][/path/to/socket]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SshTarget {
    pub(crate) user: Option<String>,
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) socket: Option<String>,
    /// May the remote command be `wharf`?
    pub(crate) prefer_wharf: bool,
}

impl SshTarget {
    pub(super) fn parse(text: &str) -> Option<SshTarget> {
        let (authority, socket) = match text.split_once('/') {
            Some((authority, path)) if !path.is_empty() => (authority, Some(format!("/{path}"))),
            Some((authority, _)) => (authority, None),
            None => (text, None),
        };
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user.to_owned()), place),
            None => (None, authority),
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (place, None),
        };
        // A password has no place on a command line, and a host that looks like an option is one.
        let plain = user
            .as_deref()
            .is_none_or(|user| !user.contains(':') && !user.starts_with('-'));
        (plain && !host.is_empty() && !host.starts_with('-')).then(|| SshTarget {
            user,
            host: host.to_owned(),
            port,
            socket,
            prefer_wharf: false,
        })
    }

    /// The command line, for errors.
    pub(super) fn command(&self) -> String {
        format!("ssh {}", self.arguments().join(" "))
    }

    fn arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> =
            ["-o", "ConnectTimeout=30", "-T"].map(str::to_owned).into();
        if let Some(user) = &self.user {
            arguments.extend(["-l".to_owned(), user.clone()]);
        }
        if let Some(port) = self.port {
            arguments.extend(["-p".to_owned(), port.to_string()]);
        }
        arguments.extend(["--".to_owned(), self.host.clone()]);
        arguments.push(match &self.socket {
            Some(path) => {
                format!(
                    "docker --host {} system dial-stdio",
                    shell_quote(&format!("unix://{path}"))
                )
            }
            None if self.prefer_wharf => REMOTE_EITHER.to_owned(),
            None => REMOTE.to_owned(),
        });
        arguments
    }
}

fn shell_quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

impl fmt::Display for SshTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ssh://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        f.write_str(&self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(self.socket.as_deref().unwrap_or_default())
    }
}

/// The two pipes of a running ssh; dropping it ends ssh.
pub(super) struct SshStream {
    _child: Child,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
}

#[allow(
    clippy::disallowed_methods,
    reason = "ssh is the transport; see the module's header"
)]
pub(super) fn connect(target: &SshTarget) -> Result<SshStream, ClientError> {
    let mut child = tokio::process::Command::new("ssh")
        .args(target.arguments())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // ssh asks for passwords on the terminal itself; its complaints go where ours go.
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .map_err(ClientError::NoSsh)?;
    match (child.stdin.take(), child.stdout.take()) {
        (Some(stdin), Some(stdout)) => Ok(SshStream {
            _child: child,
            stdin: Some(stdin),
            stdout,
        }),
        _ => Err(ClientError::NoSsh(io::ErrorKind::BrokenPipe.into())),
    }
}

impl AsyncRead for SshStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdout).poll_read(context, buffer)
    }
}

impl AsyncWrite for SshStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stdin {
            Some(stdin) => Pin::new(stdin).poll_write(context, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stdin {
            Some(stdin) => Pin::new(stdin).poll_flush(context),
            None => Poll::Ready(Ok(())),
        }
    }

    // Half close is the end of the pipe: dial-stdio passes it on to the daemon's socket.
    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stdin = None;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_comes_after_a_double_dash() {
        let target = SshTarget::parse("me@box:22").unwrap();
        assert_eq!(
            target.arguments(),
            [
                "-o",
                "ConnectTimeout=30",
                "-T",
                "-l",
                "me",
                "-p",
                "22",
                "--",
                "box",
                REMOTE
            ]
        );
    }

    #[test]
    fn nothing_in_the_address_becomes_an_option_or_a_command() {
        assert_eq!(SshTarget::parse("-oProxyCommand=x"), None);
        assert_eq!(SshTarget::parse("-l@host"), None);
        let target = SshTarget::parse("box/run/a'b.sock").unwrap();
        let last = target.arguments().pop().unwrap();
        assert_eq!(
            last,
            "docker --host 'unix:///run/a'\\''b.sock' system dial-stdio"
        );
    }
}
