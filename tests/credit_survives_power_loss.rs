//! Promise: a power cut at any write to the journal, and between any two, neither loses nor doubles credit: at the end the channel has
//! what was topped up less what its register counted, to the last milliwatt-hour, and each top-up is answered once.
//!
//! The journal is the agent's own, on disk. The cut takes the process away in the middle of a transaction: the file is opened anew by the
//! next start, as after a power cut. The meter behind it counts on while the power fails.
#![expect(clippy::arithmetic_side_effects, clippy::expect_used, reason = "test code: what cannot be built fails the test")]

use std::path::Path;

use edge_agent::journal_sqlite::{MeterJournal, Store, StoreError};
use edge_core::code::{Code, Secret};
use edge_core::credit::{self, Unit};
use edge_core::journal::{Append, Head, Journal, Note, OpenStream, Place, Room, Row, RowId, Waiting};
use edge_core::{CommandConfig, Config, Edge, Now, PrepaidConfig, Registers, Wall, relay};
use estimator::SensorNoise;
use measure::{ClockQuality, MeterId, Record, Seq, StreamId, UnixMillis, WattHours};
use promises::Office;
use wire::command::{Action, Amount};

const SECRET: Secret = Secret([5; 32]);
/// 1 Wh in 0.01 Wh, and in mWh.
const WATT_HOUR: (i64, i64) = (100, 1_000);

/// What happens, in order.
#[derive(Clone, Debug)]
enum Step {
    /// The register stands so many Wh above its start.
    Register(i64),
    /// A signed command.
    Command(Vec<u8>),
    /// Digits at the keypad.
    Code(String),
}

/// A journal whose power fails at the n-th write.
struct Failing<'a> {
    journal: MeterJournal<'a>,
    writes_left: &'a mut u64,
}

#[derive(Debug)]
enum Fault {
    PowerCut,
    Store(StoreError),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Failing<'_> {
    fn write<T>(&mut self, write: impl FnOnce(&mut MeterJournal<'_>) -> Result<T, StoreError>) -> Result<T, Fault> {
        *self.writes_left = self.writes_left.checked_sub(1).ok_or(Fault::PowerCut)?;
        Ok(write(&mut self.journal)?)
    }
}

impl Journal for Failing<'_> {
    type Error = Fault;

    fn head(&self) -> Result<Head, Fault> {
        Ok(self.journal.head()?)
    }

    fn set_head(&mut self, head: &Head) -> Result<(), Fault> {
        self.write(|it| it.set_head(head))
    }

    fn append(&mut self, record: &Record, unclocked: Option<u64>, room: Room) -> Result<Append, Fault> {
        self.write(|it| it.append(record, unclocked, room))
    }

    fn waiting(&self, which: Waiting, limit: usize) -> Result<Vec<Row>, Fault> {
        Ok(self.journal.waiting(which, limit)?)
    }

    fn row(&self, id: RowId) -> Result<Option<Row>, Fault> {
        Ok(self.journal.row(id)?)
    }

    fn replace(&mut self, id: RowId, record: &Record, unclocked: Option<u64>) -> Result<(), Fault> {
        self.write(|it| it.replace(id, record, unclocked))
    }

    fn discard(&mut self, id: RowId) -> Result<(), Fault> {
        self.write(|it| it.discard(id))
    }

    fn streams(&self) -> Result<Vec<OpenStream>, Fault> {
        Ok(self.journal.streams()?)
    }

    fn open_stream(&mut self, stream: StreamId) -> Result<(), Fault> {
        self.write(|it| it.open_stream(stream))
    }

    fn number(&mut self, id: RowId, place: Place) -> Result<(), Fault> {
        self.write(|it| it.number(id, place))
    }

    fn numbered(&self, stream: StreamId, from: Seq, limit: usize) -> Result<Vec<Row>, Fault> {
        Ok(self.journal.numbered(stream, from, limit)?)
    }

    fn delete_through(&mut self, stream: StreamId, through: Seq) -> Result<(), Fault> {
        self.write(|it| it.delete_through(stream, through))
    }

    fn unnumber(&mut self, id: RowId) -> Result<(), Fault> {
        self.write(|it| it.unnumber(id))
    }

    fn discard_numbered(&mut self, id: RowId) -> Result<(), Fault> {
        self.write(|it| it.discard_numbered(id))
    }

    fn close_stream(&mut self, stream: StreamId) -> Result<(), Fault> {
        self.write(|it| it.close_stream(stream))
    }

    fn clock(&self, start: u64) -> Result<Option<i64>, Fault> {
        Ok(self.journal.clock(start)?)
    }

    fn set_clock(&mut self, start: u64, offset_ms: i64) -> Result<(), Fault> {
        self.write(|it| it.set_clock(start, offset_ms))
    }

    fn note(&self, note: Note) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.journal.note(note)?)
    }

    fn set_note(&mut self, note: Note, value: &[u8]) -> Result<(), Fault> {
        self.write(|it| it.set_note(note, value))
    }
}

/// One power cycle: starts, and takes steps from `next` on, a transaction each, until they end or the power fails.
struct Cycle<'a> {
    path: &'a Path,
    meter: &'a MeterId,
    key: &'a str,
    steps: &'a [Step],
    epoch: UnixMillis,
}

impl Cycle<'_> {
    fn config(&self) -> Config {
        let keys = vec![self.key.parse().expect("a key")];
        let commands = CommandConfig { meter: Some(self.meter.clone()), keys, read_patience_ms: 1_000 };
        let credit = Some(credit::Config { unit: Unit::Energy, low: 0 });
        let prepaid = vec![Some(PrepaidConfig { credit, relay: relay::Config { grace_ms: 3_600_000, ..relay::Config::default() } })];
        let channels = vec![estimator::Config::new(SensorNoise::PZEM_004T)];
        Config { commands, prepaid, code_secret: Some(SECRET), channels, ..Config::default() }
    }

    /// Credit at the end and outcomes in the journal, or nothing if the power failed; `next` is then the step that was not committed.
    fn run(&self, next: &mut usize, start: u8, writes_left: &mut u64) -> anyhow::Result<Option<(i64, Vec<u64>)>> {
        let (store, salvaged) = Store::open(self.path, std::slice::from_ref(self.meter), 1 << 20, None)?;
        assert_eq!(salvaged, [], "the file is sound after every cut");
        let now = |step: usize| {
            let ms = u64::from(start) * 1_000_000 + step as u64 * 1_000;
            let time = self.epoch.saturating_add(i64::try_from(ms).unwrap_or(0));
            Now { monotonic_ms: ms, wall: Some(Wall { time, quality: ClockQuality::Synchronised }) }
        };
        store.begin()?;
        let journal = store.meter(0).expect("one meter");
        let mut failing = Failing { journal, writes_left };
        let mut edge = match Edge::start(self.config(), [start; 32], now(0), &mut failing) {
            Ok(edge) => edge,
            Err(Fault::PowerCut) => return Ok(None),
            Err(Fault::Store(error)) => return Err(error.into()),
        };
        // The commit is a write, too: it fails before it has done anything, or when it is done.
        let Some(left) = failing.writes_left.checked_sub(1) else { return Ok(None) };
        *failing.writes_left = left;
        store.commit()?;
        edge.handle_committed();
        while let Some(step) = self.steps.get(*next) {
            store.begin()?;
            let now = now(*next + 1);
            let done = match step {
                Step::Register(watt_hours) => {
                    let import = WattHours::from_centiwatthours(7_000_000 + watt_hours * WATT_HOUR.0);
                    edge.handle_registers(now, &mut failing, 0, &Registers { import, export: WattHours::default() })
                }
                Step::Command(bytes) => edge.handle_command(now, &mut failing, bytes),
                Step::Code(digits) => edge.handle_code(now, &mut failing, 0, digits).map(drop),
            };
            match done {
                Ok(()) => {}
                Err(Fault::PowerCut) => return Ok(None),
                Err(Fault::Store(error)) => return Err(error.into()),
            }
            let Some(left) = failing.writes_left.checked_sub(1) else { return Ok(None) };
            *failing.writes_left = left;
            store.commit()?;
            edge.handle_committed();
            // After this commit, before anybody hears of it: who sent the command or typed the code does so again.
            let Some(left) = failing.writes_left.checked_sub(1) else { return Ok(None) };
            *failing.writes_left = left;
            *next += 1;
        }
        let rows = failing.waiting(Waiting::Kind(measure::RowKind::Urgent), 1_000);
        let rows = rows.map_err(|fault| anyhow::anyhow!("{fault:?}"))?;
        let outcome = |row: Row| if let Record::Outcome(it) = row.record { Some(it.number) } else { None };
        Ok(Some((edge.credit(0).expect("prepaid"), rows.into_iter().filter_map(outcome).collect())))
    }
}

#[test]
fn credit_survives_power_loss() -> anyhow::Result<()> {
    let (office, meter): (Office, MeterId) = (Office::default(), "prepaid".parse()?);
    let top_up = |number, watt_hours: i64| {
        let amount = Amount::MilliwattHours(watt_hours * WATT_HOUR.1);
        Step::Command(office.sign(&Office::command(&meter, number, Action::TopUp { channel: 0, amount })))
    };
    let code = |serial, tenths| {
        let code = Code { meter: meter.clone(), channel: 0, serial, tenths };
        Step::Code(code.digits(&SECRET).expect("a small amount").to_string())
    };
    let steps = [
        Step::Register(0),
        top_up(1, 500),
        Step::Register(3),
        Step::Register(10),
        code(1, 2),
        Step::Register(11),
        Step::Register(600),
        top_up(2, 7),
        code(2, 1),
        top_up(3, -4),
        Step::Register(613),
    ];
    // 500 + 200 + 7 + 100 - 4 topped up, 613 taken.
    let expected = (500 + 200 + 7 + 100 - 4 - 613) * WATT_HOUR.1;
    let key = office.key();
    let folder = tempfile::tempdir()?;
    let mut cuts = 0_u64;
    loop {
        let path = folder.path().join(format!("{cuts}.sqlite"));
        let cycle = Cycle { path: &path, meter: &meter, key: &key, steps: &steps, epoch: promises::office::now() };
        let (mut next, mut writes_left) = (0, cuts);
        let uncut = cycle.run(&mut next, 1, &mut writes_left)?;
        let (credit, mut numbers) = match &uncut {
            Some(end) => end.clone(),
            // The power is back, and stays.
            None => cycle.run(&mut next, 2, &mut u64::MAX.clone())?.expect("nothing fails any more"),
        };
        assert_eq!(credit, expected, "the power failed at write {cuts}, in step {next}");
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2, 3], "the power failed at write {cuts}");
        if uncut.is_some() {
            break;
        }
        cuts += 1;
    }
    assert!(cuts > 40, "{cuts} cuts are too few to have met every write");
    Ok(())
}
