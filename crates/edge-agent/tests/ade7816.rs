//! A six-channel chip, simulated, through the agent into the journal: own loads, own registers, which outlive the agent and the chip's memory.
#![expect(clippy::expect_used, reason = "a test may panic")]

mod site;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use edge_agent::ade7816::Wire;
use edge_agent::{Options, Running, StartError};
use fleet::ade7816_chip::{Chip, Fault};
use measure::{EventKind, Flags, MeterId, Reading, Record, WattHours};
use meters::ade7816::{FrontEnd, I2cPort, SpiPort};
use tokio::time::timeout;

const HOME: FrontEnd = FrontEnd { divider: 750.0, volts_per_ampere: 0.02 };
const PER_COUNT: f64 = 6e-5;
const WATTS: [f64; 6] = [300.0, 600.0, 1_000.0, -1_500.0, 2_200.0, 3_000.0];

/// An agent whose meters are chips.
struct Site {
    agent: site::Site,
    chips: BTreeMap<MeterId, Chip>,
    spi: bool,
}

impl Site {
    fn new() -> Self {
        let mut agent = site::Site::new();
        agent.config.report.heartbeat_ms = 1_000;
        Self { agent, chips: BTreeMap::new(), spi: false }
    }

    /// A meter with a chip, whose six loads are on.
    fn meter(&mut self, id: &str) -> Chip {
        let chip = Chip::new(HOME, PER_COUNT);
        WATTS.iter().enumerate().for_each(|(channel, watts)| chip.set_load(channel, *watts));
        let keys = format!(
            "device = 'ade7816'\nport = '/dev/i2c-{id}'\npoll_ms = 250\ndivider = 750\nvolts_per_ampere = 0.02\nwh_per_count = {PER_COUNT:e}\n\
             over_voltage_v = 253"
        );
        let id = self.agent.add(id, toml::from_str(&keys).expect("a device"));
        self.chips.insert(id, chip.clone());
        chip
    }

    async fn start(&self) -> Result<Running, StartError> {
        let mut options = Options::default();
        for (id, chip) in &self.chips {
            let (chip, spi) = (chip.clone(), self.spi);
            let open = move || Ok(if spi { Wire::new(SpiPort(chip.spi())) } else { Wire::new(I2cPort(chip.clone())) });
            options = options.chip(id.clone(), open);
        }
        self.agent.start(options).await
    }

    /// Readings of a meter's channel, in order.
    fn readings(&self, meter: &str, channel: u8) -> Vec<Reading> {
        self.agent.readings(meter).into_iter().filter(|reading| reading.channel == channel).collect()
    }

    /// The least readings that any channel has.
    fn least(&self, meter: &str) -> usize {
        (0..6).map(|channel| self.readings(meter, channel).len()).min().unwrap_or(0)
    }

    /// Channels that a kind of event was told of, in ascending order.
    fn told(&self, meter: &str, kind: EventKind) -> Vec<u8> {
        let event = |record| if let Record::Event(event) = record { Some(event) } else { None };
        let events = self.agent.records(meter).into_iter().filter_map(event).filter(|event| event.kind == kind);
        let mut channels: Vec<_> = events.map(|event| event.channel).collect();
        channels.sort_unstable();
        channels
    }

    async fn wait(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        self.agent.wait(what, |_| condition(self)).await;
    }

    /// Waits for so many more readings of every channel.
    async fn more(&self, meter: &str, count: usize) {
        let wanted = self.least(meter).saturating_add(count);
        self.wait("each channel is read", |site| site.least(meter) >= wanted).await;
    }

    /// No register was told lower than before, whatever happened in between, and nothing was counted the wrong way.
    fn none_fell(&self, meter: &str) {
        for (channel, watts) in (0..).zip(WATTS) {
            let wrong = |it: &Reading| if watts > 0.0 { it.export.raw } else { it.import.raw };
            assert!(self.readings(meter, channel).iter().all(|it| wrong(it) == WattHours::default()), "channel {channel}");
            for pair in self.readings(meter, channel).windows(2) {
                let [before, after] = pair else { continue };
                assert!(after.import.raw >= before.import.raw && after.export.raw >= before.export.raw, "{before:?} then {after:?}");
            }
        }
        assert!(self.told(meter, EventKind::RegisterDecreased).is_empty());
    }

    /// What a channel's register stands at, export subtracted, in Wh.
    fn register(&self, meter: &str, channel: u8) -> f64 {
        self.readings(meter, channel).last().map_or(0.0, |it| it.import.raw.as_f64() - it.export.raw.as_f64())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn six_channels_are_six_accounts_and_a_restart_keeps_their_registers() {
    for spi in [false, true] {
        let mut site = Site::new();
        site.spi = spi;
        let chip = site.meter("flats");
        let running = site.start().await.expect("starts");
        site.more("flats", 4).await;
        running.shutdown().await;
        let meter: MeterId = "flats".parse().expect("an id");
        for (channel, watts) in (0..).zip(WATTS) {
            let readings = site.readings("flats", channel);
            assert!(readings.iter().all(|it| it.account(&meter).to_string() == format!("flats.{channel}")));
            // A busy machine may stretch an interval after its time was taken; not all of them.
            let off = readings.iter().map(|it| (it.raw.active_power.as_f64() - watts).abs()).fold(f64::MAX, f64::min);
            assert!(off <= watts.abs() * 0.02, "channel {channel} shows its own load: {readings:?}");
            let (shown, counted) = (site.register("flats", channel).abs(), chip.counted_wh(channel.into()).abs());
            assert!(shown > 0.0 && shown <= counted + 0.01, "channel {channel} shows {shown} of {counted} Wh");
        }
        let before: Vec<_> = (0..6).map(|channel| site.register("flats", channel)).collect();
        let first_of_second = site.least("flats");

        let running = site.start().await.expect("starts again");
        site.more("flats", 3).await;
        running.shutdown().await;
        assert_eq!(chip.starts(), 2);
        site.none_fell("flats");
        for (channel, before) in (0..6).zip(before) {
            let (after, counted) = (site.register("flats", channel), chip.counted_wh(channel.into()));
            // What it counted between the last poll and its next start is lost: some seconds' worth.
            assert!(
                after.abs() > before.abs() && (after.abs() - counted.abs()).abs() < 20.0,
                "channel {channel}: {before}, {after} of {counted} Wh"
            );
        }
        assert!(site.least("flats") > first_of_second);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_power_cut_no_register_is_below_what_was_told() {
    let mut site = Site::new();
    let _ = site.meter("flats");
    let running = site.start().await.expect("starts");
    site.more("flats", 3).await;
    let told: Vec<Vec<Reading>> = (0..6).map(|channel| site.readings("flats", channel)).collect();
    // What a power cut leaves of the journal at this instant. Its log was never emptied yet, so that both files are of one mind.
    let after = site.agent.folder.path().join("after");
    for end in ["", "-wal"] {
        std::fs::copy(format!("{}{end}", site.agent.config.journal.path.display()), format!("{}{end}", after.display())).expect("copies");
    }
    running.shutdown().await;

    site.agent.config.journal.path = after;
    site.agent.accepted = Arc::default();
    // Its memory is gone with the power.
    site.chips.values_mut().for_each(|chip| *chip = Chip::new(HOME, PER_COUNT));
    let running = site.start().await.expect("starts");
    site.more("flats", 1).await;
    running.shutdown().await;
    for (channel, before) in (0..6).zip(told) {
        let (before, after) = (before.last().expect("some"), site.readings("flats", channel).remove(0));
        assert!(after.import.raw >= before.import.raw && after.export.raw >= before.export.raw, "{before:?} then {after:?}");
        let moved = after.import.raw.as_f64() - before.import.raw.as_f64() + after.export.raw.as_f64() - before.export.raw.as_f64();
        assert!(moved < 10.0, "and not far above: {moved} Wh");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chip_that_vanishes_is_told_as_silence_and_goes_on_with_what_it_counted() {
    let mut site = Site::new();
    let chip = site.meter("flats");
    let running = site.start().await.expect("starts");
    site.more("flats", 2).await;
    chip.set_fault(Fault::Absent);
    site.wait("all are silent", |site| site.told("flats", EventKind::DeviceSilent) == [0, 1, 2, 3, 4, 5]).await;
    chip.set_fault(Fault::None);
    site.wait("all are back", |site| site.told("flats", EventKind::DeviceBack) == [0, 1, 2, 3, 4, 5]).await;
    site.more("flats", 1).await;
    let metrics = running.metrics().encode();
    running.shutdown().await;
    assert_eq!(chip.starts(), 1, "it has not forgotten anything");
    site.none_fell("flats");
    // Ten seconds at 3 kW are more than 8 Wh: they are not lost.
    let (shown, counted) = (site.register("flats", 5), chip.counted_wh(5));
    assert!(shown > 8.0 && counted - shown < 20.0, "{shown} of {counted} Wh");
    assert!(metrics.contains("ferraris_agent_bus_faults_total{reason=\"chip_silent\"}"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chip_that_was_reset_or_disturbed_goes_on_from_its_totals_and_alarms_are_told() {
    let mut site = Site::new();
    let chip = site.meter("flats");
    let running = site.start().await.expect("starts");
    site.more("flats", 2).await;
    chip.reset();
    site.wait("it is started again", |_| chip.starts() == 2).await;
    site.more("flats", 2).await;
    // 64 kWh in a moment are a bit that flipped.
    chip.disturb(1 << 30);
    site.wait("the damage is counted", |_| running.metrics().encode().contains("reason=\"chip_damaged\"")).await;
    chip.set_supply(290.0);
    let alarmed =
        |site: &Site| (0..6).all(|channel| site.readings("flats", channel).last().is_some_and(|it| it.flags.contains(Flags::METER_ALARM)));
    site.wait("a reading at its end is an alarm", alarmed).await;
    site.wait("the alarm is an event", |site| site.told("flats", EventKind::PowerAlarm) == [0, 1, 2, 3, 4, 5]).await;
    let metrics = running.metrics().encode();
    running.shutdown().await;
    site.none_fell("flats");
    assert_eq!(chip.starts(), 2);
    assert!(site.register("flats", 5) < 60.0, "nothing was added that was not taken");
    for line in ["chip_events_total{reason=\"over_voltage\"}", "chip_events_total{reason=\"reset\"} 1", "chip_readings_clipped_total"] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chip_that_is_late_is_started_and_one_that_hangs_delays_nobody() {
    let mut site = Site::new();
    let (hanging, late) = (site.meter("hanging"), site.meter("late"));
    late.set_fault(Fault::NotReady);
    let running = site.start().await.expect("starts");
    site.more("hanging", 1).await;
    assert_eq!(site.least("late"), 0);
    late.set_fault(Fault::None);
    site.more("late", 1).await;

    hanging.set_fault(Fault::Hangs);
    site.wait("it is told as silent", |site| site.told("hanging", EventKind::DeviceSilent) == [0, 1, 2, 3, 4, 5]).await;
    site.more("late", 3).await;
    let drained = timeout(Duration::from_secs(60), running.shutdown()).await;
    // The thread that hangs may go before anything is asserted.
    hanging.set_fault(Fault::None);
    assert!(drained.is_ok(), "the end waits for no chip");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_is_not_there_is_a_mistake() {
    let mut site = Site::new();
    site.meter("flats");
    site.chips.clear();
    let error = site.start().await.expect_err("no such bus").to_string();
    assert!(error.starts_with("can't open /dev/i2c-flats (port of meter flats): ") && error.contains("group"), "{error}");
}
