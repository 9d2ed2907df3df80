//! On its way: signed, into Kafka, and back as an outcome.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use contracts::events::OutcomeRecord;
use contracts::{CommandRecord, EventRecord, ReadingRecord, topics};
use measure::{Account, EventKind, Flags, Verdict};
use rdkafka::Message as _;
use serde_json::json;
use wire::command::{Action, Command};

use super::key;
use super::whom::Whom;
use crate::alerts::duration;
use crate::clock;
use crate::kafka::{self, Address, Reader};
use crate::output::{self, Outcome};

/// The longest life of a command: the topic keeps it no longer.
const LIFE_MAX: Duration = Duration::from_secs(31 * 86_400);

/// To whom, by whose authority, and how long.
#[derive(Debug, Args)]
pub struct Way {
    /// The meter, or an account of it: M0001.3 is channel 3 of M0001
    #[arg(value_name = "METER")]
    pub(super) whom: Whom,
    /// The command authority's key, as `ferraris command keygen` makes it
    #[arg(long, value_name = "FILE", env = "FERRARIS_COMMAND_KEY")]
    key: PathBuf,
    #[command(flatten)]
    address: Address,
    /// How long the meter may carry it out, up to 31d: 30m, 8h, 2d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = life)]
    expires: Duration,
    /// How long to wait for the answer; 0 not at all
    #[arg(long = "wait-s", value_name = "SECONDS", default_value_t = 60)]
    wait_s: u64,
    /// Who sends it, for others to read
    #[arg(long, value_name = "NAME", env = "USER")]
    who: Option<String>,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

fn life(text: &str) -> Result<Duration, String> {
    let life = duration(text)?;
    if life <= LIFE_MAX { Ok(life) } else { Err("a command lives 31 days at most".to_owned()) }
}

impl Way {
    /// Signs and sends, waits for the outcome, prints it.
    pub fn send(&self, action: Action) -> anyhow::Result<Outcome> {
        let authority = key::read(&self.key)?;
        let now = clock::now();
        let life_ms = i64::try_from(self.expires.as_millis()).unwrap_or(i64::MAX);
        let number = u64::try_from(now.0).unwrap_or_default();
        let command = Command { meter: self.whom.meter().clone(), number, expires: now.saturating_add(life_ms), action };
        let record = CommandRecord {
            meter: self.whom.meter().clone(),
            number,
            action: action.kind(),
            channel: action.channel(),
            account: action.channel().map(|channel| Account::new(self.whom.meter(), channel)),
            issued_ms: now,
            expires_ms: command.expires,
            who: self.who.clone(),
            authority: authority.key().to_string(),
            command: hex::encode(command.sign(&authority)),
        };
        // What is listened to is listened to from here on: the answer can't be older.
        let waits = self.wait_s > 0;
        let mut events = waits.then(|| Reader::open_at_end(&self.address, topics::EVENTS.name)).transpose()?;
        let mut readings =
            (waits && action == Action::Read).then(|| Reader::open_at_end(&self.address, topics::READINGS.name)).transpose()?;
        let row = (self.whom.meter().to_string(), Some(serde_json::to_vec(&record)?));
        kafka::write(&self.address, topics::COMMANDS.name, &[row])?;
        let Some(events) = &mut events else {
            output::line(if self.json { serde_json::to_string(&record)? } else { format!("command {number} is in Kafka") })?;
            return Ok(Outcome::Good);
        };
        let start = Instant::now();
        let outcome = self.outcome(events, number)?;
        let reading = match &mut readings {
            Some(readings) if outcome.verdict.is_done() => self.readings(readings)?,
            _ => Vec::new(),
        };
        self.print(&outcome, &reading, start.elapsed())?;
        Ok(Outcome::good_if(outcome.verdict.is_done()))
    }

    fn outcome(&self, events: &mut Reader, number: u64) -> anyhow::Result<OutcomeRecord> {
        let (start, mut refusal) = (Instant::now(), None);
        while start.elapsed() < Duration::from_secs(self.wait_s) {
            let Some(message) = events.next(Duration::from_millis(200))? else { continue };
            match serde_json::from_slice(message.payload().unwrap_or_default()) {
                Ok(EventRecord::Outcome(it)) if it.meter == *self.whom.meter() && it.number == number => return Ok(it),
                // Such a command has no number that could be believed, so this may be about another one.
                Ok(EventRecord::Event(it)) if it.meter == *self.whom.meter() && it.kind == EventKind::CommandRefused => {
                    refusal = u8::try_from(it.value).ok().and_then(Verdict::from_code);
                }
                _ => {}
            }
        }
        match refusal {
            Some(verdict) => bail!("{} refused a command meanwhile: {}; {}", self.whom.meter(), verdict.name(), advice(verdict)),
            None => bail!(
                "no answer within {} s: {} may be offline, or not listen to commands (commands.keys of its agent.toml); \
                 Kafka has command {number}, and it is delivered when the meter comes online, until it expires",
                self.wait_s,
                self.whom.meter()
            ),
        }
    }

    /// What the meter read because it was asked to.
    fn readings(&self, readings: &mut Reader) -> anyhow::Result<Vec<ReadingRecord>> {
        let mut found = Vec::new();
        readings.drain(|message| {
            let reading = serde_json::from_slice::<ReadingRecord>(message.payload().unwrap_or_default()).ok();
            found.extend(reading.filter(|it| it.meter == *self.whom.meter() && it.flags.contains(Flags::REQUESTED)));
        })?;
        found.sort_by_key(|reading| reading.channel);
        Ok(found)
    }

    fn print(&self, outcome: &OutcomeRecord, readings: &[ReadingRecord], took: Duration) -> anyhow::Result<()> {
        if self.json {
            let mut value = json!({ "outcome": outcome });
            if let (Some(object), false) = (value.as_object_mut(), readings.is_empty()) {
                object.insert("readings".to_owned(), serde_json::to_value(readings)?);
            }
            output::line(value)?;
            return Ok(());
        }
        let OutcomeRecord { action, verdict, number, value, account, meter, .. } = outcome;
        let whom = account.as_ref().map_or_else(|| meter.to_string(), ToString::to_string);
        let credit = if *value == 0 { String::new() } else { format!(", credit now {value}") };
        output::line(format_args!("{whom} {} {}{credit} (command {number}, {:.1} s)", action.name(), verdict.name(), took.as_secs_f64()))?;
        for it in readings {
            let registers = format!("{} Wh imported, {} Wh exported", it.import_wh.as_f64(), it.export_wh.as_f64());
            let measured = if it.flags.contains(Flags::REGISTERS_ONLY) {
                String::new()
            } else {
                format!(
                    "{:.1} V, {:.3} A, {:.1} W, {:.2} Hz, ",
                    it.voltage_v.as_f64(),
                    it.current_a.as_f64(),
                    it.active_power_w.as_f64(),
                    it.frequency_hz.as_f64()
                )
            };
            output::line(format_args!("  channel {}: {measured}{registers}", it.channel))?;
        }
        Ok(())
    }
}

/// What to do about a command that its meter did not believe.
const fn advice(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::BadSignature => "the public half of this key is not in commands.keys of its agent.toml",
        Verdict::ClockUnknown => "it does not know the time, and carries it out when it does, until it expires",
        Verdict::Foreign => "that one was for another meter",
        _ => "see docs/commands.md",
    }
}
