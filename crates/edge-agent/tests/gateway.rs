//! One agent with several buses and drivers side by side: each meter comes through, and a failing one delays no other.
#![expect(clippy::expect_used, reason = "a test may panic")]

mod site;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use edge_agent::config::{Bus, Channel};
use edge_agent::{Options, StartError, calibration};
use fleet::load::Load;
use fleet::optical_meter::{Mode, OpticalMeter, Settings};
use fleet::push_meter::{PushMeter, telegram, transmission};
use fleet::pzem_module::{Fault, PzemLine, Source, captured};
use measure::{EventKind, Flags, Record, WattHours};
use meters::iec62056_21::identification::Baud;
use site::Site;

/// A bus at a port by a name of our own, and a meter on it.
fn plug(site: &mut Site, id: &str, line: Option<&Path>, device: &str) {
    let port = site.folder.path().join(id);
    if let Some(line) = line {
        std::os::unix::fs::symlink(line, &port).expect("a link");
    }
    site.config.bus.insert(id.to_owned(), Bus::at(port));
    site.add(id, toml::from_str(&format!("bus = '{id}'\n{device}")).expect("a device"));
}

/// A module whose load changes with each poll.
fn module() -> PzemLine {
    let mut polls = 0usize;
    let source: Source = Box::new(move || {
        polls = polls.wrapping_add(1);
        captured().into_iter().cycle().nth(polls % 11)
    });
    PzemLine::start([(1, source)]).expect("a terminal")
}

fn optical(mode: Mode) -> OpticalMeter {
    let settings = Settings { manufacturer: "ABC".into(), name: "T".into(), address: "1".into(), mode, password: None };
    let shown = || [("1.8.0", "001234.567*kWh"), ("2.8.0", "000010.490*kWh")].map(|(a, v)| (a.to_owned(), v.to_owned())).into();
    OpticalMeter::start(settings, Box::new(shown), false).expect("a terminal")
}

#[tokio::test(flavor = "multi_thread")]
async fn four_drivers_side_by_side_and_a_silent_meter_delays_none() {
    let pzem = module();
    let optical = optical(Mode::C(Baud::B19200));
    let sets =
        || telegram("ABC5P1", &[("1-0:1.8.1", "000576.239*kWh".into()), ("1-0:1.8.2", "1*kWh".into()), ("1-0:2.8.1", "2*kWh".into())]);
    let p1 = PushMeter::start(115_200, Duration::from_millis(500), Box::new(sets)).expect("a terminal");
    let count = Arc::new(AtomicU32::new(0));
    let sml = PushMeter::start(
        9_600,
        Duration::from_millis(300),
        Box::new({
            let count = count.clone();
            move || {
                let mut bytes = transmission(b"\x0a\x01ABC\0\0\0\0\x07", &[(1, 319_906), (2, 10)]);
                // Each second one is damaged.
                if count.fetch_add(1, Ordering::Relaxed).is_multiple_of(2)
                    && let Some(byte) = bytes.get_mut(40)
                {
                    *byte ^= 1;
                }
                bytes
            }
        }),
    )
    .expect("a terminal");

    let mut site = Site::new();
    plug(&mut site, "pzem", Some(pzem.path()), "device = 'pzem-004t'\naddress = 1\npoll_ms = 150");
    plug(&mut site, "optical", Some(optical.path()), "device = 'iec62056-21'\npoll_s = 1");
    plug(&mut site, "p1", Some(p1.path()), "device = 'dsmr-p1'\npoll_s = 1");
    plug(&mut site, "sml", Some(sml.path()), "device = 'sml'\npoll_s = 1");
    let running = site.start(Options::default()).await.expect("starts");
    site.wait("each is read", |site| ["pzem", "optical", "p1", "sml"].iter().all(|meter| !site.readings(meter).is_empty())).await;
    for (meter, import, export) in [("optical", 123_456_700, 1_049_000), ("p1", 57_723_900, 200_000), ("sml", 3_199_060, 100)] {
        let reading = site.readings(meter).remove(0);
        assert_eq!((reading.import.raw.centiwatthours(), reading.export.raw.centiwatthours()), (import, export), "{meter}");
        assert!(reading.flags.contains(Flags::REGISTERS_ONLY), "{meter}");
    }
    let metrics = running.metrics().encode();
    assert!(metrics.contains("ferraris_agent_bus_faults_total{reason=\"checksum\"}"), "what was damaged is counted: {metrics}");

    // A silent optical meter takes four seconds of its own bus each time. Would the others wait for it, this took longer than the deadline.
    optical.set_silent(true);
    let asked = pzem.requests();
    site.wait("the module is asked on", |_| pzem.requests() >= asked.saturating_add(40)).await;
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn six_modules_are_six_channels_and_a_silent_one_is_told_as_its_own() {
    const WATTS: [f64; 6] = [200.0, 500.0, 900.0, 1_400.0, 2_000.0, 2_700.0];
    let loads = WATTS.map(|watts| Load::new(watts, WattHours::from_f64(watts * 1_000.0).expect("in range"), || true));
    let line = PzemLine::start((1..).zip(&loads).map(|(address, load)| (address, load.source()))).expect("a terminal");
    let mut site = Site::new();
    site.config.report.heartbeat_ms = 1_000;
    plug(&mut site, "flats", Some(line.path()), "device = 'pzem-004t'\naddress = 1\npoll_ms = 1000");
    site.config.meter[0].channel = (1..6).map(|number| Channel { address: Some(number + 1), ..Channel::new(number) }).collect();
    let running = site.start(Options::default()).await.expect("starts");
    let count = |site: &Site| {
        let mut count = [0_usize; 6];
        site.readings("flats").iter().for_each(|reading| count[usize::from(reading.channel)] += 1);
        count
    };
    let told = |site: &Site, kind| {
        let events = site.records("flats").into_iter().filter_map(|it| if let Record::Event(event) = it { Some(event) } else { None });
        events.filter(|event| event.kind == kind).map(|event| event.channel).collect::<Vec<_>>()
    };
    site.wait("each channel is read", |site| count(site).iter().all(|count| *count > 0)).await;

    line.set_fault(4, Fault::Silent);
    site.wait("the silent one is told", |site| !told(site, EventKind::DeviceSilent).is_empty()).await;
    let before = count(&site);
    let go_on = |site: &Site| count(site).iter().zip(before).enumerate().all(|(channel, (now, before))| channel == 3 || *now > before + 2);
    site.wait("the others are read on", go_on).await;
    assert_eq!((told(&site, EventKind::DeviceSilent), count(&site)[3]), (vec![3], before[3]));

    line.set_fault(4, Fault::None);
    site.wait("it is back", |site| told(site, EventKind::DeviceBack) == [3]).await;
    for reading in site.readings("flats") {
        let watts = WATTS[usize::from(reading.channel)];
        assert_eq!(reading.raw.active_power.as_f64(), watts, "channel {} shows its own load", reading.channel);
        let advance = reading.import.raw.as_f64() - watts * 1_000.0;
        assert!((0.0..100.0).contains(&advance), "and its own register: {reading:?}");
    }
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_comes_later_is_waited_for_where_the_configuration_says_so() {
    let (pzem, other) = (module(), module());
    let mut site = Site::new();
    plug(&mut site, "here", Some(pzem.path()), "device = 'pzem-004t'\naddress = 1\npoll_ms = 150");
    plug(&mut site, "later", None, "device = 'pzem-004t'\naddress = 1\npoll_ms = 150");
    assert!(
        matches!(site.start(Options::default()).await, Err(StartError::Port { bus, .. }) if bus == "later"),
        "usually that is a mistake"
    );

    site.config.bus.get_mut("later").expect("there").optional = true;
    let running = site.start(Options::default()).await.expect("starts");
    site.wait("the other meter is read", |site| !site.readings("here").is_empty()).await;
    assert_eq!(site.readings("later"), []);
    std::os::unix::fs::symlink(other.path(), site.folder.path().join("later")).expect("a link");
    site.wait("it is there", |site| !site.readings("later").is_empty()).await;
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_calibration_is_applied_and_told() {
    let pzem = module();
    let mut site = Site::new();
    let path = site.folder.path().join("calibration.toml");
    let file = calibration::File { version: 4, date: "2026-12-01".into(), instrument: "i".into(), voltage_gain: 0.95, current_gain: 1.0 };
    file.save(&path).expect("writes");
    let device = format!("device = 'pzem-004t'\naddress = 1\npoll_ms = 150\ncalibration_file = '{}'", path.display());
    plug(&mut site, "m", Some(pzem.path()), &device);
    let running = site.start(Options::default()).await.expect("starts");
    site.wait("it is read", |site| !site.readings("m").is_empty()).await;
    let told: Vec<_> =
        site.records("m").into_iter().filter_map(|record| if let Record::Event(event) = record { Some(event) } else { None }).collect();
    let calibrated = told.iter().find(|event| event.kind == EventKind::Calibrated).map(|event| event.value);
    let gain = told.iter().find(|event| event.kind == EventKind::VoltageGain).map(|event| event.value);
    assert_eq!((calibrated, gain), (Some(420_261_201), Some(950_000)));
    let reading = site.readings("m").remove(0);
    let expected = reading.raw.voltage.as_f64() * 0.95;
    assert!((reading.voltage.as_f64() - expected).abs() < 1.0, "{reading:?}");
    running.shutdown().await;

    std::fs::write(&path, "version = 0\n").expect("writes");
    let error = site.start(Options::default()).await.expect_err("unsound").to_string();
    assert!(error.starts_with("configuration: calibration_file can't be used: ") && !error.contains('\n'), "{error}");
}
