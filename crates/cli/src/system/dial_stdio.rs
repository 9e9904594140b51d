//! `docker system dial-stdio`: the daemon's socket on stdin and stdout, for `ssh://`.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::command::{Arity, Command, Run, Verb};
use crate::failure::Failure;
use crate::flags::FlagSet;
use crate::session::Session;

pub(crate) const COMMAND: Command = Command::verb(
    "dial-stdio",
    "",
    "Proxy the stdio stream to the daemon connection. Should not be invoked manually.",
    Arity::None,
    || Box::new(DialStdio),
)
.hidden();

struct DialStdio;

impl Verb for DialStdio {
    fn flags<'a>(&'a mut self, _: &mut FlagSet<'a>) {}

    fn run<'a>(&'a mut self, session: &'a Session, _: Vec<String>) -> Run<'a> {
        Box::pin(async move {
            let connection = session.client()?.dial().await?;
            let (mut from, mut to) = tokio::io::split(connection);
            let send = async {
                let mut stdin = tokio::io::stdin();
                tokio::io::copy(&mut stdin, &mut to).await?;
                // The daemon may still answer.
                to.shutdown().await?;
                std::future::pending::<std::io::Result<()>>().await
            };
            let receive = async {
                let mut buffer = vec![0; 64 * 1024];
                loop {
                    let count = from.read(&mut buffer).await?;
                    if count == 0 {
                        return Ok::<(), std::io::Error>(());
                    }
                    session.out.send(&buffer[..count]).await?;
                }
            };
            // The end of the daemon's side is the end.
            let ended = tokio::select! {
                received = receive => received,
                sent = send => sent,
            };
            ended.map_err(Failure::from)
        })
    }
}
