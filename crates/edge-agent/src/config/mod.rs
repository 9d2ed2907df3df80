//! The configuration, typed. `agent.toml` in this crate is its reference.

mod ade7816;
mod check;
mod commands;
mod condition;
mod device;
mod keypad;
mod meter;
mod prepaid;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use edge_core::report;
use measure::{Hertz, Volts, Watts};
use serde::{Deserialize, Serialize};

use self::check::value_error;

pub use self::ade7816::{Ade7816, Interface};
pub use self::commands::Commands;
pub use self::condition::Condition;
pub use self::device::{Device, Iec62056, Mode, Parity, Push};
pub use self::keypad::Keypad;
pub use self::meter::Meter;
pub use self::prepaid::{Channel, Credit};

/// The commented default file.
pub const REFERENCE: &str = include_str!("../../agent.toml");

/// The configuration can't be used: mend what it names.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file isn't there or may not be read.
    #[error("can't read {}: {source}; name another file with --config, or start from `edge-agent --print-config`", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a value of the wrong kind.
    #[error("{}: {message}", path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Where in it, and what.
        message: String,
    },
    /// A value that makes no sense.
    #[error("configuration: {key} {problem}")]
    Value {
        /// Which key.
        key: String,
        /// What is wrong and what would be right.
        problem: String,
    },
}

/// Everything that can be set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The head-end's broker.
    pub broker: Broker,
    /// Serial ports, by the name that meters use.
    #[serde(default)]
    pub bus: BTreeMap<String, Bus>,
    /// The meters of this process.
    #[serde(default)]
    pub meter: Vec<Meter>,
    /// When a reading is worth sending.
    #[serde(default)]
    pub report: Report,
    /// How rows travel.
    #[serde(default)]
    pub delivery: Delivery,
    /// Where rows wait.
    #[serde(default)]
    pub journal: Journal,
    /// Whom the meters obey.
    #[serde(default)]
    pub commands: Commands,
    /// The meters' own condition.
    #[serde(default)]
    pub condition: Condition,
    /// For machines that watch.
    #[serde(default)]
    pub health: Health,
    /// The end.
    #[serde(default)]
    pub shutdown: Shutdown,
    /// What is written to standard error.
    #[serde(default)]
    pub log: Log,
}

/// Section `[broker]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Broker {
    /// Name or address.
    pub host: String,
    /// Port of MQTT over TLS.
    #[serde(default = "Broker::port")]
    pub port: u16,
    /// Authorities that the broker's certificate must come from, PEM.
    pub ca_file: PathBuf,
    /// Name in the broker's certificate, where it is not `host`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// Silence after which the connection is tried, 5 to 1,200.
    #[serde(default = "Broker::keep_alive_s")]
    pub keep_alive_s: u16,
    /// Longest time to connect and to be let in.
    #[serde(default = "Broker::connect_timeout_s")]
    pub connect_timeout_s: u64,
    /// First bound of the wait before connecting again.
    #[serde(default = "Broker::reconnect_first_ms")]
    pub reconnect_first_ms: u64,
    /// Last bound of it.
    #[serde(default = "Broker::reconnect_max_ms")]
    pub reconnect_max_ms: u64,
}

impl Broker {
    const fn port() -> u16 {
        8883
    }

    const fn keep_alive_s() -> u16 {
        30
    }

    const fn connect_timeout_s() -> u64 {
        10
    }

    const fn reconnect_first_ms() -> u64 {
        1_000
    }

    const fn reconnect_max_ms() -> u64 {
        300_000
    }

    /// At this address, with the defaults for everything else.
    pub fn at(host: impl Into<String>, port: u16, ca_file: impl Into<PathBuf>) -> Self {
        Self {
            host: host.into(),
            port,
            ca_file: ca_file.into(),
            server_name: None,
            keep_alive_s: Self::keep_alive_s(),
            connect_timeout_s: Self::connect_timeout_s(),
            reconnect_first_ms: Self::reconnect_first_ms(),
            reconnect_max_ms: Self::reconnect_max_ms(),
        }
    }
}

/// A section `[bus.…]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bus {
    /// The terminal.
    pub port: PathBuf,
    /// From the end of a request to the end of its reply.
    #[serde(default = "Bus::reply_timeout_ms")]
    pub reply_timeout_ms: u64,
    /// How often to ask.
    #[serde(default = "Bus::attempts")]
    pub attempts: u8,
    /// Whether the agent starts without the port, and waits for it to be plugged in.
    #[serde(default)]
    pub optional: bool,
}

impl Bus {
    const fn reply_timeout_ms() -> u64 {
        200
    }

    const fn attempts() -> u8 {
        3
    }

    /// At this terminal, with the defaults for everything else.
    pub fn at(port: impl Into<PathBuf>) -> Self {
        Self { port: port.into(), reply_timeout_ms: Self::reply_timeout_ms(), attempts: Self::attempts(), optional: false }
    }
}

/// Section `[report]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Report {
    /// Change of active power, W.
    pub power_w: f64,
    /// Change of active power, percent of what was sent last; the larger of the two counts.
    pub power_percent: f64,
    /// Change of voltage, V.
    pub voltage_v: f64,
    /// Change of frequency, Hz.
    pub frequency_hz: f64,
    /// Longest time without a reading.
    pub heartbeat_ms: u64,
    /// Shortest time between two readings that are no snapshots.
    pub spacing_ms: u64,
}

impl Default for Report {
    fn default() -> Self {
        let core = report::Config::default();
        Self {
            power_w: core.power.as_f64(),
            power_percent: f64::from(core.power_per_mille) / 10.0,
            voltage_v: core.voltage.as_f64(),
            frequency_hz: core.frequency.as_f64(),
            heartbeat_ms: core.heartbeat_ms,
            spacing_ms: core.spacing_ms,
        }
    }
}

impl Report {
    /// In the brain's units.
    ///
    /// # Errors
    /// A bound that is negative or beyond what can be measured.
    pub fn to_core(self) -> Result<report::Config, ConfigError> {
        let bound = |key: &str, value: f64| match value {
            value if (0.0..=100_000.0).contains(&value) => Ok(value),
            _ => Err(value_error(format!("report.{key}"), format!("is {value}: use a number from 0 to 100000"))),
        };
        let power_per_mille = match bound("power_percent", self.power_percent)? * 10.0 {
            value if value <= 1_000.0 => value.round() as u16,
            _ => return Err(value_error("report.power_percent", "is more than 100")),
        };
        let core = report::Config::default();
        Ok(report::Config {
            power: Watts::from_f64(bound("power_w", self.power_w)?).unwrap_or(core.power),
            power_per_mille,
            voltage: Volts::from_f64(bound("voltage_v", self.voltage_v)?).unwrap_or(core.voltage),
            frequency: Hertz::from_f64(bound("frequency_hz", self.frequency_hz)?).unwrap_or(core.frequency),
            heartbeat_ms: self.heartbeat_ms,
            spacing_ms: self.spacing_ms,
            ..core
        })
    }
}

/// Section `[delivery]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Delivery {
    /// First wait for an acknowledgement.
    pub resend_first_ms: u64,
    /// Longest wait for one.
    pub resend_max_ms: u64,
    /// How long a row is live.
    pub live_ms: u64,
}

impl Default for Delivery {
    fn default() -> Self {
        let core = edge_core::outbox::Config::default();
        Self { resend_first_ms: core.resend_first_ms, resend_max_ms: core.resend_max_ms, live_ms: core.live_ms }
    }
}

/// Section `[journal]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Journal {
    /// The file.
    pub path: PathBuf,
    /// Room for rows of all meters together.
    pub limit_bytes: u64,
}

impl Default for Journal {
    fn default() -> Self {
        Self { path: "/var/lib/ferraris/journal.sqlite".into(), limit_bytes: 256 << 20 }
    }
}

/// Section `[health]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// Where to answer, if anywhere.
    pub listen: Option<SocketAddr>,
}

/// Section `[shutdown]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shutdown {
    /// Longest wait for acknowledgements.
    pub grace_ms: u64,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { grace_ms: 5_000 }
    }
}

/// Section `[log]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Its form.
    pub format: LogFormat,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

impl Config {
    /// For code that has no file: this broker, and the defaults for everything else; no meters yet.
    pub fn new(broker: Broker, journal: impl Into<PathBuf>) -> Self {
        Self {
            broker,
            bus: BTreeMap::new(),
            meter: Vec::new(),
            report: Report::default(),
            delivery: Delivery::default(),
            journal: Journal { path: journal.into(), ..Journal::default() },
            commands: Commands::default(),
            condition: Condition::default(),
            health: Health::default(),
            shutdown: Shutdown::default(),
            log: Log::default(),
        }
    }
}

impl Shutdown {
    pub(crate) const fn grace(self) -> Duration {
        Duration::from_millis(self.grace_ms)
    }
}
