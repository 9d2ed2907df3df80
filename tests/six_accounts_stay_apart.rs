//! Promise: six modules on one line are six accounts. What Kafka holds of each, readings, registers and intervals, is of its own load and
//! of no other's, under the key of the meter. When the credit of one runs out its relay opens, and no other. `kill -9` of the agent in between
//! loses nothing, doubles nothing, mixes nothing up, and gives nobody credit.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "test code: small numbers, and what is not there fails the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use contracts::intervals::{IntervalLength, Quality};
use contracts::topics::{EVENTS, INTERVALS, KafkaTopic, READINGS};
use contracts::{EventRecord, IntervalRecord, ReadingRecord};
use edge_agent::config::{Channel, Credit, Device};
use fleet::audit::Identity;
use fleet::load::Load;
use fleet::pzem_module::PzemLine;
use measure::{Account, Channel as Number, EventKind, MeterId, UnixMillis, Verdict, WattHours, Watts};
use promises::child::{Child, Halt};
use promises::office::{self, Office};
use promises::{PATIENCE, Stage, books, home};
use testkit::await_until;
use wire::command::{Action, Amount};

/// What the six take, in W; their registers begin a thousand kWh apart.
const LOADS_W: [f64; 6] = [600.0, 1_100.0, 1_900.0, 2_900.0, 4_200.0, 6_000.0];
/// Who has little credit: for some 18 s.
const POOR: Number = 3;
const LITTLE_MWH: i64 = 15_000;
const MUCH_MWH: i64 = 1_000_000_000;
/// From the warning to the cut.
const GRACE_S: u64 = 2;
/// Registers show whole Wh.
const WATT_HOUR: f64 = 1.0;
/// A minute begins, is over, and the meter shows the registers behind it.
const MINUTES: Duration = Duration::from_secs(300);

/// What is true of an account.
struct Flat {
    number: Number,
    account: Account,
    load: Load,
    watts: f64,
    begin: WattHours,
    relay: PathBuf,
}

fn flats(meter: &MeterId, dir: &Path) -> Vec<Flat> {
    let flat = |(number, watts): (Number, f64)| {
        let (begin, relay) = (WattHours::from_centiwatthours(100_000_000 * (i64::from(number) + 1)), dir.join(format!("relay-{number}")));
        let contact = relay.clone();
        // A file that is being written is empty for a moment.
        let load = Load::new(watts, begin, move || std::fs::read_to_string(&contact).map_or(true, |it| it != "0"));
        Flat { number, account: Account::new(meter, number), load, watts, begin, relay }
    };
    (0..).zip(LOADS_W).map(flat).collect()
}

impl Flat {
    fn channel(&self) -> Channel {
        Channel {
            address: (self.number > 0).then_some(self.number + 1),
            credit: Some(Credit::Energy),
            low: 0.005,
            grace_s: if self.is_poor() { GRACE_S } else { 86_400 },
            relay_file: Some(self.relay.clone()),
            ..Channel::new(self.number)
        }
    }

    const fn is_poor(&self) -> bool {
        self.number == POOR
    }

    fn relay(&self) -> String {
        std::fs::read_to_string(&self.relay).unwrap_or_default()
    }

    /// Whether a register could have shown this.
    fn is_own(&self, register: WattHours) -> bool {
        (self.begin.as_f64() - WATT_HOUR..=self.load.register().as_f64()).contains(&register.as_f64())
    }
}

/// The readings that Kafka holds, by account.
type Seen = BTreeMap<Account, Vec<ReadingRecord>>;

async fn seen(stage: &Stage) -> anyhow::Result<Seen> {
    let mut seen = Seen::new();
    for reading in books::readings(stage).await? {
        let account = reading.account.clone().context("a reading without its account")?;
        seen.entry(account).or_default().push(reading);
    }
    seen.values_mut().for_each(|all| all.sort_by_key(|it| it.time_ms));
    Ok(seen)
}

fn of<'a>(seen: &'a Seen, flat: &Flat) -> &'a [ReadingRecord] {
    seen.get(&flat.account).map_or(&[], Vec::as_slice)
}

async fn top_up(stage: &Stage, office: &Office, meter: &MeterId, flats: &[Flat]) -> anyhow::Result<()> {
    // The one with little credit comes last: it is spent while nobody waits for others.
    let (poor, others): (Vec<_>, Vec<_>) = flats.iter().partition(|flat| flat.is_poor());
    for (flat, number) in others.into_iter().chain(poor).zip(1..) {
        let amount = Amount::MilliwattHours(if flat.is_poor() { LITTLE_MWH } else { MUCH_MWH });
        office.send(stage, &Office::command(meter, number, Action::TopUp { channel: flat.number, amount })).await?;
        let outcome = office::await_outcome(stage, number).await?;
        assert_eq!((outcome.verdict, outcome.account), (Verdict::Done, Some(flat.account.clone())));
        assert!(outcome.value > 0, "{}: what was owed is more than what was bought", flat.account);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn six_accounts_stay_apart() -> anyhow::Result<()> {
    let (mut stage, office) = (Stage::new().await?, Office::default());
    (stage.commands, stage.intervals) = (true, true);
    // One meter alone: what it says comes in order.
    stage.keys.insert("intervals", "rules.lateness_ms = 0".to_owned());
    let processor_config = stage.processor_config("processor")?;
    let mut processor = Child::processor(env!("CARGO_BIN_EXE_processor"), &processor_config, Halt::Never)?;
    processor.owns(&[0, 1, 2, 3]).await?;

    let meter: MeterId = "flats".parse()?;
    let flats = flats(&meter, stage.dir());
    let line = PzemLine::start((1..).zip(&flats).map(|(address, flat)| (address, flat.load.source())))?;
    let device: Device = toml::from_str("device = 'pzem-004t'\nbus = 'main'\naddress = 1\npoll_ms = 1000")?;
    let mut config = home::on_line(&mut stage, &meter, ("main", line.path()), device)?;
    config.commands.keys = vec![office.key()];
    // The registers behind a minute's end come soon.
    config.report.heartbeat_ms = 5_000;
    config.meter[0].channel = flats.iter().map(Flat::channel).collect();
    let path = stage.dir().join("agent.toml");
    std::fs::write(&path, toml::to_string(&config)?)?;

    // Everybody buys credit; while the little of one is being spent, the agent dies.
    let (program, mut accepted) = (env!("CARGO_BIN_EXE_agent"), Vec::new());
    let mut agent = Child::agent(program, &path, &[])?;
    top_up(&stage, &office, &meter, &flats).await?;
    await_until("all have credit", PATIENCE, async || Ok(flats.iter().all(|flat| flat.relay() == "1").then_some(()))).await?;
    agent.kill().await?;
    accepted.extend(agent.remaining_lines().await.iter().filter_map(|line| identity(line)));
    let mut agent = Child::agent(program, &path, &[])?;

    // It runs out, and the others go on.
    let poor = &flats[usize::from(POOR)];
    await_until("the relay of the one opens", PATIENCE, async || Ok((poor.relay() == "0").then_some(()))).await?;
    let stopped = poor.load.register();
    let then: Vec<_> = flats.iter().map(|flat| flat.load.register()).collect();
    await_until("the registers of the others go on", PATIENCE, async || {
        let seen = seen(&stage).await?;
        let goes_on = |flat: &Flat, then: f64| of(&seen, flat).last().is_some_and(|it| it.import_wh.as_f64() > then + WATT_HOUR);
        Ok(flats.iter().zip(&then).all(|(flat, then)| flat.is_poor() || goes_on(flat, then.as_f64())).then_some(()))
    })
    .await?;
    assert_eq!(poor.load.register(), stopped, "behind an open relay nothing is taken");
    for flat in &flats {
        assert_eq!(flat.relay(), if flat.is_poor() { "0" } else { "1" }, "{}", flat.account);
    }
    let minutes = minutes_of_all(&stage, &flats, now()?).await?;
    assert!(agent.terminate(PATIENCE).await?.success());
    let rest = agent.remaining_lines().await;
    accepted.extend(rest.iter().filter_map(|line| identity(line)));
    assert!(rest.iter().any(|line| line == "left 0"), "the journal is empty at the end: {rest:?}");

    each_once(&stage, &accepted).await?;
    let measured = seen(&stage).await?;
    assert_eq!(measured.keys().collect::<Vec<_>>(), flats.iter().map(|flat| &flat.account).collect::<Vec<_>>());
    for flat in &flats {
        shows_its_own_load(&measured, flat);
        took_its_own_energy(&minutes, flat);
    }
    the_credit_was_spent_once(&measured, poor);
    nobody_else_was_cut(&stage, poor).await?;
    keys_are_the_meter(&stage, &meter, &[READINGS, EVENTS, INTERVALS]).await
}

/// Everything that the journal said it accepted is in Kafka once, and nothing is there twice.
async fn each_once(stage: &Stage, accepted: &[Identity]) -> anyhow::Result<()> {
    let held = books::held(stage).await?;
    for identity in accepted {
        assert_eq!(held.count(identity), 1, "{identity:?}");
    }
    assert_eq!(fleet::audit::compare(&Default::default(), &held).repeated, []);
    Ok(())
}

async fn keys_are_the_meter(stage: &Stage, meter: &MeterId, topics: &[KafkaTopic]) -> anyhow::Result<()> {
    let mut partitions = BTreeSet::new();
    for topic in topics {
        for row in stage.topic(topic).await? {
            assert_eq!(row.key.as_deref(), Some(meter.as_str().as_bytes()), "{}", topic.name);
            partitions.insert(row.partition);
        }
    }
    assert_eq!(partitions.len(), 1, "what belongs together lies together: {partitions:?}");
    Ok(())
}

fn shows_its_own_load(seen: &Seen, flat: &Flat) {
    let (account, own) = (&flat.account, Watts::from_f64(flat.watts).unwrap());
    let readings = of(seen, flat);
    for reading in readings {
        let power = reading.raw_active_power_w;
        assert!(power == own || (flat.is_poor() && power == Watts::default()), "{account} shows {power:?}");
        assert!(flat.is_own(reading.import_wh), "{account} shows the register {:?}", reading.import_wh);
        assert_eq!((reading.channel, &reading.meter), (account.channel(), account.meter()));
    }
    assert!(readings.windows(2).all(|pair| pair[0].import_wh <= pair[1].import_wh), "{account}: its register went back");
    let last = readings.last().unwrap();
    let expected = if flat.is_poor() { 0.0 } else { flat.watts };
    assert!((last.active_power_w.as_f64() - expected).abs() <= 0.01 * flat.watts, "{account}'s filter says {:?}", last.active_power_w);
}

fn now() -> anyhow::Result<UnixMillis> {
    Ok(UnixMillis(i64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis())?))
}

/// Minutes that begin after `from`, as soon as there is one of each account.
async fn minutes_of_all(stage: &Stage, flats: &[Flat], from: UnixMillis) -> anyhow::Result<Vec<IntervalRecord>> {
    await_until("each account has a minute", MINUTES, async || {
        let rows = stage.topic(&INTERVALS).await?;
        let records = rows.iter().map(|row| Ok(serde_json::from_slice(row.value.as_deref().unwrap_or_default())?));
        let mut minutes = records.collect::<anyhow::Result<Vec<IntervalRecord>>>()?;
        minutes.retain(|it| it.length == IntervalLength::Minute && it.start_ms >= from);
        let has_one = |flat: &Flat| minutes.iter().any(|it| it.account.as_ref() == Some(&flat.account));
        Ok(flats.iter().all(has_one).then_some(minutes))
    })
    .await
}

fn took_its_own_energy(minutes: &[IntervalRecord], flat: &Flat) {
    let account = &flat.account;
    let expected = if flat.is_poor() { 0.0 } else { flat.watts / 60.0 };
    for minute in minutes.iter().filter(|it| it.account.as_ref() == Some(account)) {
        assert!(matches!(minute.quality, Quality::Actual | Quality::RegisterScaled), "{account}: {minute:?}");
        assert!((minute.import_wh.as_f64() - expected).abs() <= WATT_HOUR, "{account} took {expected} Wh: {minute:?}");
        assert!(minute.import_register_wh.is_some_and(|it| flat.is_own(it)), "{account}: {minute:?}");
        assert_eq!((minute.channel, &minute.meter), (account.channel(), account.meter()));
    }
}

/// What was bought was delivered, and what was taken during the grace, by an agent that looks once a second.
fn the_credit_was_spent_once(seen: &Seen, poor: &Flat) {
    let readings = of(seen, poor);
    let taken = readings.last().unwrap().import_wh.as_f64() - readings[0].import_wh.as_f64();
    let bought = LITTLE_MWH as f64 / 1_000.0;
    let slack = poor.watts / 3_600.0 * (GRACE_S as f64 + 10.0);
    assert!((bought..=bought + slack).contains(&taken), "{} took {taken} Wh for {bought} Wh", poor.account);
}

async fn nobody_else_was_cut(stage: &Stage, poor: &Flat) -> anyhow::Result<()> {
    let event = |event| if let EventRecord::Event(it) = event { Some(it) } else { None };
    let events: Vec<_> = books::events(stage).await?.into_iter().filter_map(event).collect();
    let mut cut = events.iter().filter(|it| it.kind == EventKind::Disconnected);
    assert!(cut.clone().count() > 0 && cut.all(|it| it.account.as_ref() == Some(&poor.account)), "{events:?}");
    let warned =
        |it: &&contracts::events::HappenedRecord| it.kind == EventKind::DisconnectWarning && it.account.as_ref() == Some(&poor.account);
    assert!(events.iter().filter(warned).count() >= 1, "a warning comes first: {events:?}");
    assert!(events.iter().filter(|it| it.kind == EventKind::Started).all(|it| it.account.is_none()), "a start is nobody's");
    Ok(())
}

fn identity(line: &str) -> Option<Identity> {
    let mut words = line.strip_prefix("accepted ")?.split(' ');
    let meter: MeterId = words.next()?.parse().ok()?;
    Some(Identity { meter, time: UnixMillis(words.next()?.parse().ok()?), digest: words.next()?.parse().ok()? })
}
