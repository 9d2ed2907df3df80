//! The course of the demo: set up, measure, kill, measure, drain, count.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use fleet::audit::{self, Held, record};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, interval, sleep_until};

use super::Options;
use super::accounts::Accounts;
use super::age::Ages;
use super::cast::Cast;
use super::flats::Flats;
use super::follow::{Followers, Seen};
use super::hints::{self, Operator};
use super::homes::{Accepted, Homes, Site};
use super::papers::{self, Papers};
use super::screen::{Counts, Screen};
use super::stage::Stage;
use super::summary::{self, Summary};
use super::thief;
use crate::clock;
use crate::output::{self, Outcome};

/// Least time to measure after the restart: backlog and new samples side by side.
const AFTERWARDS_MIN: Duration = Duration::from_secs(3);

/// Plays it from beginning to end, and clears the stage whatever happens.
pub async fn play(options: &Options) -> anyhow::Result<Outcome> {
    let stop = signals()?;
    let dir = tempfile::Builder::new().prefix("ferraris-demo-").tempdir().context("cannot make a temporary directory")?;
    let stage = match &options.kafka {
        None => Stage::mock()?,
        Some(kafka) => {
            let fresh = format!("demo-{}-", std::process::id());
            Stage::real(kafka, options.topic_prefix.as_deref(), &options.kafka_options, &fresh).await?
        }
    };
    let outcome = on(&stage, options, dir.path(), stop).await;
    let cleared = stage.close().await;
    let outcome = outcome?;
    cleared?;
    dir.close().context("cannot remove the demo's temporary directory")?;
    Ok(outcome)
}

async fn on(stage: &Stage, options: &Options, dir: &Path, mut stop: watch::Receiver<u8>) -> anyhow::Result<Outcome> {
    let mut papers = Papers::new(&dir.join("pki"))?;
    let mut cast = Cast::start(&papers, stage, options.seed).await?;
    let (followers, seen) = Followers::start(stage.address())?;
    let journals = dir.join("journals");
    std::fs::create_dir(&journals).context("cannot make a directory for journals")?;
    let site = Site { broker: cast.address(), journals, homes: options.homes, seed: options.seed };
    let flats = Flats::start(&dir.join("flats"), options.seconds)?;
    let homes = Homes::start(&site, &mut papers, &flats).await?;
    homes.load_credit(&flats).await?;

    let (news, reports) = mpsc::unbounded_channel();
    let mut show = Show::open(stage, &cast, &papers, &homes, seen, reports)?;
    let trial = tokio::task::spawn_blocking({
        let (seed, news) = (options.seed, news.clone());
        // Whoever listens to the news has gone only if the demo is over.
        move || thief::run(seed, |text| drop(news.send(text)))
    });
    let (half, end) = times(options.seconds);
    show.during(&mut stop.clone(), Some(&homes), or_stop(sleep_until(half), &mut stop)).await?;
    // Who wants the end does not want to wait for a restart.
    if *stop.borrow() == 0 {
        show.during(&mut stop.clone(), Some(&homes), cast.restart(stage, &news)).await??;
    }
    let end = end.max(after(AFTERWARDS_MIN));
    show.during(&mut stop.clone(), Some(&homes), or_stop(sleep_until(end), &mut stop)).await?;

    show.screen.news("no more samples; waiting until every journal is empty")?;
    let (accepted, left) = show.during(&mut stop.clone(), None, homes.drain()).await??;
    if left > 0 {
        show.screen.news(&format!("{left} rows are still in the journals"))?;
    }
    show.during(&mut stop.clone(), None, cast.retire()).await??;
    show.screen.news("reading Kafka to its end")?;
    followers.finish();
    show.read_on().await?;
    followers.outcome()?;

    let trial = show.during(&mut stop, None, trial).await??.context("the simulated feeder")?;
    let verdict = audit::compare(&accepted, &show.held);
    let prepaid = show.accounts.end(&flats.truth());
    let summary = Summary::new(&verdict, show.dead_letters, &show.ages, stage.name(), trial, prepaid);
    output::line("")?;
    summary::accusations(&verdict).iter().try_for_each(output::line)?;
    if options.json {
        output::line(serde_json::to_string(&summary)?)?;
    } else {
        output::line(&summary)?;
    }
    Ok(Outcome::good_if(verdict.is_clean()))
}

/// Halfway, and the end.
fn times(seconds: u64) -> (Instant, Instant) {
    (after(Duration::from_millis(seconds.saturating_mul(500))), after(Duration::from_secs(seconds)))
}

fn after(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now)
}

/// What people see, and what the demo knows.
struct Show {
    screen: Screen,
    seen: mpsc::Receiver<Seen>,
    reports: mpsc::UnboundedReceiver<String>,
    accepted: Accepted,
    held: Held,
    ages: Ages,
    accounts: Accounts,
    dead_letters: u64,
}

impl Show {
    fn open(
        stage: &Stage,
        cast: &Cast,
        papers: &Papers,
        homes: &Homes,
        seen: mpsc::Receiver<Seen>,
        reports: mpsc::UnboundedReceiver<String>,
    ) -> anyhow::Result<Self> {
        let operator = |name| Operator { name, pki: papers.dir() };
        let hints = hints::lines(cast.address(), &operator(papers::OPERATOR), &operator(papers::WATCHER), stage);
        let screen = Screen::open(stage.describe(), hints)?;
        let (held, ages, accounts) = (Held::default(), Ages::default(), Accounts::new(clock::now()));
        Ok(Self { screen, seen, reports, accepted: homes.accepted(), held, ages, accounts, dead_letters: 0 })
    }

    /// Shows what comes until `act` is done, or somebody has lost patience.
    async fn during<T>(
        &mut self,
        stop: &mut watch::Receiver<u8>,
        homes: Option<&Homes>,
        act: impl Future<Output = T>,
    ) -> anyhow::Result<T> {
        let mut act = std::pin::pin!(act);
        let mut tick = interval(Screen::TICK);
        loop {
            tokio::select! {
                output = &mut act => return Ok(output),
                Some(seen) = self.seen.recv() => self.take(seen)?,
                Some(report) = self.reports.recv() => self.screen.news(&report)?,
                _ = tick.tick() => self.draw(homes)?,
                _ = stop.wait_for(|times| *times >= 2) => bail!("interrupted before the count"),
            }
        }
    }

    /// Takes everything that is still to come.
    async fn read_on(&mut self) -> anyhow::Result<()> {
        while let Some(seen) = self.seen.recv().await {
            self.take(seen)?;
        }
        self.draw(None)
    }

    fn take(&mut self, seen: Seen) -> anyhow::Result<()> {
        match seen {
            Seen::Reading(reading, at) => {
                let (number, identity) = record::reading(&reading);
                self.held.add(number, identity);
                self.ages.add(reading.time_ms, at);
                self.screen.reading((&*reading).into());
            }
            Seen::Event(event) => {
                if let Some((number, identity)) = record::event(&event) {
                    self.held.add(number, identity);
                }
                if let Some(news) = self.accounts.hear(&event) {
                    self.screen.news(&news)?;
                }
            }
            Seen::DeadLetter => self.dead_letters = self.dead_letters.saturating_add(1),
        }
        Ok(())
    }

    fn draw(&mut self, homes: Option<&Homes>) -> anyhow::Result<()> {
        for (meter, records) in homes.map(Homes::waiting).unwrap_or_default() {
            self.screen.waiting(&meter, records);
        }
        let counts = Counts { produced: self.accepted.total(), committed: self.held.total(), dead_lettered: self.dead_letters };
        self.screen.tick(counts, &self.ages)
    }
}

/// Until `time` is over, or somebody wants it to end.
async fn or_stop(time: impl Future<Output = ()>, stop: &mut watch::Receiver<u8>) {
    tokio::select! {
        () = time => {}
        _ = stop.wait_for(|times| *times >= 1) => {}
    }
}

/// How often somebody wanted it to end: the first time means "count now", the second "at once".
fn signals() -> anyhow::Result<watch::Receiver<u8>> {
    let (sender, receiver) = watch::channel(0_u8);
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            sender.send_modify(|times| *times = times.saturating_add(1));
        }
    });
    Ok(receiver)
}
