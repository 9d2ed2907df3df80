//! `ferraris alerts`: what was found on the feeders, and what people do about it.

mod act;
mod book;
mod text;

use std::time::Duration;

use clap::{Args, Subcommand};
use contracts::alerts::AlertState;
use contracts::{AlertRecord, topics};
use measure::{FeederId, UnixMillis};

use crate::clock;
use crate::kafka::{Address, Reader};
use crate::output::{self, Outcome};

pub use text::{duration, line};

use act::Deed;
use book::Book;

/// What can be done with alerts.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show open alerts
    #[command(after_help = "Examples:\n  ferraris alerts list --kafka localhost:9092\n  \
        ferraris alerts list --kafka localhost:9092 --feeder F1 --all\n  \
        ferraris alerts list --kafka localhost:9092 --json | jq '{alert, rule, meter, statistic, threshold, evidence}'\n\n\
        The first column is the start of the alert's id; all commands take that. With --json a record of alerts.v1 a line, evidence included.")]
    List {
        #[command(flatten)]
        source: Source,
        /// Those that are cleared as well
        #[arg(long)]
        all: bool,
    },
    /// Show changes as they come, until Ctrl-C
    #[command(
        after_help = "Examples:\n  ferraris alerts follow --kafka localhost:9092\n  ferraris alerts follow --kafka localhost:9092 --feeder F1 --json"
    )]
    Follow {
        #[command(flatten)]
        source: Source,
    },
    /// Say that you know of an alert
    #[command(after_help = "Examples:\n  ferraris alerts acknowledge 7f3a --kafka localhost:9092 --note 'crew sent'")]
    Acknowledge {
        #[command(flatten)]
        deed: Deed,
    },
    /// Not to hear of an alert for a while
    #[command(
        after_help = "Examples:\n  ferraris alerts shelve 7f3a --kafka localhost:9092 --for 8h --note 'meter is exchanged on Monday'\n  \
        ferraris alerts shelve 7f3a --kafka localhost:9092 --until 2026-12-01T08:00:00Z\n\n\
        When the time is over and the condition still holds, the alert is raised again."
    )]
    Shelve {
        #[command(flatten)]
        deed: Deed,
        #[command(flatten)]
        end: End,
    },
    /// Say that an alert is over
    #[command(after_help = "Examples:\n  ferraris alerts clear 7f3a --kafka localhost:9092 --note 'hook removed'\n\n\
        An alert clears by itself when its condition ends. One that somebody clears before is raised anew only after its condition has ended.")]
    Clear {
        #[command(flatten)]
        deed: Deed,
    },
}

/// Which alerts, and how they are shown.
#[derive(Debug, Args)]
pub struct Source {
    #[command(flatten)]
    address: Address,
    /// Only those of this feeder
    #[arg(long, value_name = "FEEDER")]
    feeder: Option<FeederId>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// When a shelf ends.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct End {
    /// For how long: 30m, 8h, 2d
    #[arg(long = "for", value_name = "TIME", value_parser = text::duration)]
    duration: Option<Duration>,
    /// Until when, as 2026-12-01T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = text::instant)]
    until: Option<UnixMillis>,
}

impl End {
    fn at(&self, now: UnixMillis) -> UnixMillis {
        let lasts = self.duration.map_or(0, |it| i64::try_from(it.as_millis()).unwrap_or(i64::MAX));
        self.until.unwrap_or_else(|| now.saturating_add(lasts))
    }
}

/// Runs the command.
pub fn run(command: &Command) -> anyhow::Result<Outcome> {
    use contracts::alerts::AlertActionKind as Kind;
    match command {
        Command::List { source, all } => list(source, *all),
        Command::Follow { source } => follow(source),
        Command::Acknowledge { deed } => deed.run(Kind::Acknowledge, None),
        Command::Shelve { deed, end } => deed.run(Kind::Shelve, Some(end.at(clock::now()))),
        Command::Clear { deed } => deed.run(Kind::Clear, None),
    }
}

fn list(source: &Source, all: bool) -> anyhow::Result<Outcome> {
    let (_, book) = Book::read(&source.address)?;
    let shown: Vec<&AlertRecord> = book.alerts().filter(|it| source.shows(it) && (all || it.state != AlertState::Cleared)).collect();
    if source.json {
        shown.iter().try_for_each(|it| anyhow::Ok(output::line(serde_json::to_string(it)?)?))?;
    } else if shown.is_empty() {
        output::line(if all { "no alerts" } else { "no open alerts" })?;
    } else {
        text::table(&shown).try_for_each(output::line)?;
    }
    Ok(Outcome::Good)
}

fn follow(source: &Source) -> anyhow::Result<Outcome> {
    let (mut reader, _) = Book::read(&source.address)?;
    loop {
        let Some(record) = next(&mut reader, Duration::from_secs(1))?.filter(|it| source.shows(it)) else { continue };
        output::line(if source.json { serde_json::to_string(&record)? } else { line(&record) })?;
    }
}

/// The next alert in Kafka, if one comes within `patience`; what is none is passed over.
fn next(reader: &mut Reader, patience: Duration) -> anyhow::Result<Option<AlertRecord>> {
    Ok(reader.next(patience)?.and_then(|message| book::record(&message)))
}

impl Source {
    fn shows(&self, record: &AlertRecord) -> bool {
        self.feeder.as_ref().is_none_or(|it| *it == record.feeder)
    }
}

/// The topic of all alerts.
const TOPIC: &str = topics::ALERTS.name;
