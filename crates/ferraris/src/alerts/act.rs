//! Doing something to an alert: a record for the analytics, and their answer.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use contracts::alerts::{AlertActionKind, AlertState};
use contracts::{AlertActionRecord, AlertRecord, topics};
use measure::{StreamId, UnixMillis};

use super::book::Book;
use super::{line, next};
use crate::clock;
use crate::kafka::{self, Address};
use crate::output::{self, Outcome};

/// How long the analytics may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// Bytes of who and note, as the analytics take them.
const TEXT_MAX: usize = stream_processor::alert::TEXT_MAX;

/// To which alert, by whom.
#[derive(Debug, Args)]
pub struct Deed {
    /// The alert's id, or the start of it
    #[arg(value_name = "ALERT")]
    alert: String,
    #[command(flatten)]
    address: Address,
    /// Who does it
    #[arg(long, value_name = "NAME", env = "USER", value_parser = who)]
    who: String,
    /// Why, for others to read
    #[arg(long, value_name = "TEXT", default_value = "", value_parser = note)]
    note: String,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

impl Deed {
    /// Does it, and waits until it is so.
    pub fn run(&self, kind: AlertActionKind, until: Option<UnixMillis>) -> anyhow::Result<Outcome> {
        let (mut reader, book) = Book::read(&self.address)?;
        let alert = book.find(&self.alert)?;
        possible(alert, kind, until, clock::now())?;
        let action = AlertActionRecord {
            action: StreamId(getrandom::u64().context("no random number")?),
            alert: alert.alert,
            feeder: alert.feeder.clone(),
            kind,
            until_ms: until,
            who: self.who.clone(),
            note: self.note.clone(),
        };
        let row = (action.feeder.to_string(), Some(serde_json::to_vec(&action)?));
        kafka::write(&self.address, topics::ALERT_ACTIONS.name, &[row])?;
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(record) = next(&mut reader, Duration::from_millis(200))?.filter(|it| it.action == Some(action.action)) {
                output::line(if self.json { serde_json::to_string(&record)? } else { line(&record) })?;
                return Ok(Outcome::Good);
            }
        }
        bail!(
            "Kafka has it, but no analytics answered within {} s: is a stream processor running with analytics.enabled? It is taken as soon as one does",
            PATIENCE.as_secs()
        )
    }
}

/// Fails if the analytics would refuse it.
fn possible(alert: &AlertRecord, kind: AlertActionKind, until: Option<UnixMillis>, now: UnixMillis) -> anyhow::Result<()> {
    let by = alert.who.as_deref().map_or_else(String::new, |who| format!(" by {who}"));
    match (alert.state, kind) {
        (AlertState::Cleared, _) => bail!("alert {} is cleared already{by}: nothing is left to be done to it", alert.alert),
        (AlertState::Acknowledged, AlertActionKind::Acknowledge) => bail!("alert {} is acknowledged already{by}", alert.alert),
        _ if until.is_some_and(|until| until <= now) => bail!("the time until which it is to be shelved is past: give a later one"),
        _ => Ok(()),
    }
}

fn who(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("say who you are".to_owned()) } else { note(text) }
}

fn note(text: &str) -> Result<String, String> {
    if text.len() <= TEXT_MAX { Ok(text.to_owned()) } else { Err(format!("{} bytes, at most {TEXT_MAX}", text.len())) }
}

#[cfg(test)]
mod tests {
    use super::super::book::tests::alert;
    use super::*;

    #[test]
    fn what_would_change_nothing_is_said_before_it_is_written() {
        let in_state = |state| AlertRecord { state, who: Some("ann".to_owned()), ..alert(1) };
        let now = UnixMillis(100);
        let why = |state, kind, until| possible(&in_state(state), kind, until, now).unwrap_err().to_string();
        assert!(why(AlertState::Cleared, AlertActionKind::Clear, None).contains("cleared already by ann"));
        assert!(why(AlertState::Acknowledged, AlertActionKind::Acknowledge, None).contains("acknowledged already by ann"));
        assert!(why(AlertState::Raised, AlertActionKind::Shelve, Some(now)).contains("past"));
        assert!(possible(&in_state(AlertState::Shelved), AlertActionKind::Acknowledge, None, now).is_ok());
    }

    #[test]
    fn names_and_notes_have_their_limits() {
        assert!(who("").is_err() && who("ann").is_ok() && note("").is_ok());
        assert!(note(&"x".repeat(TEXT_MAX + 1)).is_err());
    }
}
