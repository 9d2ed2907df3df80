//! What a command prints, where its logs go, and how it ends.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

/// How a command that did its work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All is well.
    Good,
    /// The work is done and the answer is bad: something is missing, doubled or malformed.
    Bad,
}

impl Outcome {
    /// `Good` if so.
    pub const fn good_if(good: bool) -> Self {
        if good { Self::Good } else { Self::Bad }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Good => Self::SUCCESS,
            Outcome::Bad => Self::from(1),
        }
    }
}

/// Writes one line to stdout. A closed pipe is an error like any other, for `main` to end quietly on.
pub fn line(text: impl std::fmt::Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Says on stderr, in one line, what is wrong.
pub fn complain(text: impl std::fmt::Display) {
    // With stderr closed too there is nobody left to tell.
    let _ = writeln!(io::stderr(), "ferraris: {}", one_line(&text.to_string()));
}

/// Whether people look at stdout.
pub fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Whether the error is that nobody reads our output any more.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>()).any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// An error text as one line, whatever a library put into it.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Logs go to stderr, by `RUST_LOG`. librdkafka's own are off unless asked for: it logs the end of a partition as an error, and what matters we report.
/// The demo kills its own services and shows how they recover: unless asked for, their complaints would only tear its table.
pub fn start_logging(demo: bool) {
    let default = if demo { "error,librdkafka=off,rdkafka=off,rumqttd=off" } else { "warn,librdkafka=off,rdkafka=off" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_found_under_its_context() {
        let error = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).context("printing");
        assert!(is_broken_pipe(&error));
        assert!(!is_broken_pipe(&anyhow::anyhow!("broken pipe")));
    }

    #[test]
    fn errors_are_one_line() {
        assert_eq!(one_line("a\n  b\tc\n"), "a b c");
    }
}
