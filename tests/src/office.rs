//! A command authority: signs commands, puts them into Kafka, and reads what became of them.

use contracts::events::OutcomeRecord;
use contracts::{CommandRecord, EventRecord, topics};
use measure::{Account, EventKind, MeterId, UnixMillis, Verdict};
use testkit::await_until;
use wire::command::{Action, Authority, Command};

use crate::{PATIENCE, Stage, books};

/// See the module.
pub struct Office {
    authority: Authority,
}

impl Default for Office {
    fn default() -> Self {
        Self { authority: Authority::from_secret(&rand::random()) }
    }
}

impl Office {
    /// What meters must know to obey it.
    pub fn key(&self) -> String {
        self.authority.key().to_string()
    }

    /// A command that lives for an hour.
    pub fn command(meter: &MeterId, number: u64, action: Action) -> Command {
        Command { meter: meter.clone(), number, expires: now().saturating_add(3_600_000), action }
    }

    /// The bytes that its meter obeys.
    pub fn sign(&self, command: &Command) -> Vec<u8> {
        command.sign(&self.authority).to_vec()
    }

    /// Hands a command to Kafka, as `ferraris command` does; its bytes.
    pub async fn send(&self, stage: &Stage, command: &Command) -> anyhow::Result<Vec<u8>> {
        let bytes = self.sign(command);
        let record = CommandRecord {
            meter: command.meter.clone(),
            number: command.number,
            action: command.action.kind(),
            channel: command.action.channel(),
            account: command.action.channel().map(|channel| Account::new(&command.meter, channel)),
            issued_ms: now(),
            expires_ms: command.expires,
            who: None,
            authority: self.key(),
            command: bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        };
        stage.write(&topics::COMMANDS, vec![(command.meter.to_string(), serde_json::to_vec(&record)?)]).await?;
        Ok(bytes)
    }
}

/// This instant.
pub fn now() -> UnixMillis {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
}

/// All outcomes of this number in Kafka.
pub async fn outcomes(stage: &Stage, number: u64) -> anyhow::Result<Vec<OutcomeRecord>> {
    let outcome = |event| if let EventRecord::Outcome(it) = event { Some(it) } else { None };
    Ok(books::events(stage).await?.into_iter().filter_map(outcome).filter(|it| it.number == number).collect())
}

/// Waits until Kafka holds what became of a command.
pub async fn await_outcome(stage: &Stage, number: u64) -> anyhow::Result<OutcomeRecord> {
    await_until(&format!("the outcome of command {number}"), PATIENCE, async || Ok(outcomes(stage, number).await?.pop())).await
}

/// Waits until Kafka holds the event of a command that was refused for this reason.
pub async fn await_refusal(stage: &Stage, verdict: Verdict) -> anyhow::Result<()> {
    let is_it = |event: &EventRecord| matches!(event, EventRecord::Event(it) if it.kind == EventKind::CommandRefused && it.value == i64::from(verdict.code()));
    let what = format!("a command refused as {}", verdict.name());
    await_until(&what, PATIENCE, async || Ok(books::events(stage).await?.iter().any(is_it).then_some(()))).await
}
