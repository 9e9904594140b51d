//! "Are you sure?"

use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::failure::Failure;
use crate::session::Session;

/// Asks and reads one line; anything but `y` is no.
pub(crate) async fn confirm(session: &Session, question: &str) -> Result<bool, Failure> {
    session.print(&format!("{question} [y/N] "))?;
    let mut answer = String::new();
    BufReader::new(tokio::io::stdin())
        .read_line(&mut answer)
        .await?;
    Ok(is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim(), "y" | "Y")
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_a_plain_y_means_yes() {
        assert!(super::is_yes("y\n") && super::is_yes(" Y \n"));
        assert!(!super::is_yes("yes\n") && !super::is_yes("\n") && !super::is_yes(""));
    }
}
