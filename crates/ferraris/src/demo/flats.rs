//! The demo's prepaid meter: six modules on one line, an account and a relay for each; and credit, little of it for one.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use edge_agent::Running;
use edge_agent::config::{Bus, Channel, Config, Credit, Device, Keypad};
use edge_core::code::{AMOUNT_MAX, Code, SECRET_LEN, Secret};
use edge_core::keypad::Key;
use fleet::load::Load;
use fleet::pzem_module::PzemLine;
use measure::{Account, Channel as Number, MeterId, WattHours};

/// Its name.
pub const METER: &str = "flats";
/// What the six take.
const LOADS_W: [f64; 6] = [300.0, 800.0, 1_500.0, 2_400.0, 500.0, 1_200.0];
/// Whose credit runs out, after which part of the demo, and the part between warning and cut.
const POOR: Number = 3;
const SPENT_AFTER: f64 = 0.35;
const GRACE: f64 = 0.1;
/// Nobody else is cut off, even before the first credit is loaded.
const LONG_GRACE_S: u64 = 86_400;
/// So dear that a tenth of the currency is a Wh: a demo is short.
const TARIFF_PER_KWH: f64 = 100.0;
/// Registers of meters that have been there for a while, in 0.01 Wh.
const REGISTER: i64 = 123_456_700;
const LINE: &str = "flats";
const POLL_MS: u64 = 1_000;

/// The meter's line, with what is true behind it.
pub struct Flats {
    meter: MeterId,
    flats: Vec<Flat>,
    secret: Secret,
    secret_file: PathBuf,
    line: PzemLine,
    seconds: f64,
}

struct Flat {
    account: Account,
    load: Load,
    relay: PathBuf,
}

impl Flats {
    /// Starts the modules of a demo of so many seconds; relays are files in `dir`.
    pub fn start(dir: &Path, seconds: u64) -> anyhow::Result<Self> {
        let meter: MeterId = METER.parse()?;
        std::fs::create_dir(dir).context("cannot make a directory for relays")?;
        let flat = |(number, watts): (Number, f64)| {
            let relay = dir.join(format!("relay-{number}"));
            let contact = relay.clone();
            let begin = WattHours::from_centiwatthours(REGISTER.saturating_mul(i64::from(number).saturating_add(1)));
            let load = Load::new(watts, begin, move || std::fs::read_to_string(&contact).map_or(true, |it| it != "0"));
            Flat { account: Account::new(&meter, number), load, relay }
        };
        let flats: Vec<Flat> = (0..).zip(LOADS_W).map(flat).collect();
        let modules = flats.iter().map(|flat| (address(flat.account.channel()), flat.load.source()));
        let line = PzemLine::start(modules).context("cannot open a pseudo-terminal for the six modules")?;
        let mut secret = [0; SECRET_LEN];
        getrandom::fill(&mut secret).context("the system has no randomness")?;
        let secret_file = dir.join("codes");
        std::fs::write(&secret_file, hex::encode(secret)).context("cannot write the secret of the codes")?;
        Ok(Self { meter, flats, secret: Secret(secret), secret_file, line, seconds: seconds as f64 })
    }

    /// How it is asked.
    pub fn device(&self) -> Device {
        Device::Pzem004t { bus: LINE.to_owned(), address: address(0), poll_ms: POLL_MS, calibration_file: None }
    }

    /// Adds its line, channels and keypad to the configuration of its agent, whose meter it is.
    pub fn complete(&self, config: &mut Config) {
        config.bus.insert(LINE.to_owned(), Bus::at(self.line.path()));
        for meter in &mut config.meter {
            meter.code_secret_file = Some(self.secret_file.clone());
            meter.keypad = Some(Keypad::default());
            meter.channel = self.flats.iter().map(|flat| self.channel(flat)).collect();
        }
    }

    fn channel(&self, flat: &Flat) -> Channel {
        let number = flat.account.channel();
        Channel {
            address: (number > 0).then(|| address(number)),
            identification: Some(identification(number)),
            credit: Some(Credit::Money),
            tariff_per_kwh: Some(TARIFF_PER_KWH),
            low: f64::from(self.tenths(number)) / 40.0,
            grace_s: if number == POOR { (self.seconds * GRACE).max(1.0) as u64 } else { LONG_GRACE_S },
            relay_file: Some(flat.relay.clone()),
            ..Channel::new(number)
        }
    }

    /// What an account buys, in tenths of the currency.
    fn tenths(&self, number: Number) -> u32 {
        let watts = LOADS_W.get(usize::from(POOR)).copied().unwrap_or_default();
        let watt_hours = watts * self.seconds * SPENT_AFTER / 3_600.0;
        if number == POOR { (watt_hours.round() as u32).clamp(1, AMOUNT_MAX) } else { AMOUNT_MAX }
    }

    /// Everybody types the code that they bought.
    pub async fn load_credit(&self, agent: &Running) -> anyhow::Result<()> {
        for (flat, serial) in self.flats.iter().zip(1..) {
            let channel = flat.account.channel();
            let code = Code { meter: self.meter.clone(), channel, serial, tenths: self.tenths(channel) };
            let digits = code.digits(&self.secret).context("a code of the demo is too large")?;
            let typed = format!("{}#2{digits}#*", identification(channel));
            for key in typed.bytes().filter_map(Key::from_ascii) {
                anyhow::ensure!(agent.press(&self.meter, key).await, "the meter of the demo has no keypad");
            }
        }
        Ok(())
    }

    /// Each account, and whether its relay is closed.
    pub fn truth(&self) -> Vec<(Account, bool)> {
        self.flats.iter().map(|flat| (flat.account.clone(), flat.load.is_closed())).collect()
    }
}

const fn address(number: Number) -> u8 {
    number.saturating_add(1)
}

/// What opens an account at the keypad.
fn identification(number: Number) -> String {
    format!("10{number}")
}
