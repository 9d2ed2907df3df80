//! `ferraris command`: signs a command, hands it to Kafka, and waits for what became of it; and makes the codes that are typed at a meter.

mod code;
mod key;
mod send;
mod whom;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use edge_core::code::AMOUNT_MAX;
use measure::{Account, Channel};
use wire::command::{Action, Amount};

use crate::output::{self, Outcome};

use send::Way;

/// What can be asked of a meter.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make the key pair of a command authority
    #[command(after_help = "Examples:\n  ferraris command keygen --out dispatch.key\n\n\
        Prints the public half, which belongs into commands.keys of each agent.toml. Whoever has the file commands those meters.")]
    Keygen {
        /// The file for the secret half; must not be there
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// A fresh reading of every channel
    #[command(after_help = "Examples:\n  ferraris command read M0001 --key dispatch.key --kafka localhost:9092")]
    Read {
        #[command(flatten)]
        way: Way,
    },
    /// More credit for a channel
    #[command(after_help = "Examples:\n  ferraris command top-up M0001.2 --energy 5.5 --key dispatch.key --kafka localhost:9092\n  \
        ferraris command top-up M0001 --channel 2 --money 20 --key dispatch.key --kafka localhost:9092\n\n\
        In the unit that the channel counts in; the answer says how much it has now.")]
    TopUp {
        #[command(flatten)]
        way: Way,
        /// Channel of the meter, from 0, unless an account names it
        #[arg(long, value_name = "CHANNEL")]
        channel: Option<Channel>,
        #[command(flatten)]
        credit: Credit,
    },
    /// The digits of a top-up code, to be typed at the meter's keypad
    #[command(after_help = "Examples:\n  ferraris command code M0001.2 --secret M0001.codes --serial 17 --amount 20\n\n\
        Nothing is sent: whoever has the digits types them at the meter, which needs no connection. Each is good once.")]
    Code {
        /// The account: meter and channel
        #[arg(value_name = "ACCOUNT")]
        account: Account,
        /// The meter's secret, as code_secret_file of its agent.toml names it
        #[arg(long, value_name = "FILE")]
        secret: PathBuf,
        /// The code's number, 0 to 65535: never the same twice for one meter, and not 64 behind the latest that was typed
        #[arg(long, value_name = "NUMBER")]
        serial: u16,
        /// In kWh or in the currency, as the channel counts; with one decimal place
        #[arg(long, value_name = "AMOUNT", value_parser = tenths)]
        amount: u32,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// A relay on or off
    #[command(after_help = "Examples:\n  ferraris command relay M0001 off --channel 2 --key dispatch.key --kafka localhost:9092\n  \
        ferraris command relay M0001 on --all --key dispatch.key --kafka localhost:9092")]
    Relay {
        #[command(flatten)]
        way: Way,
        /// What it is to be
        #[arg(value_enum)]
        state: State,
        #[command(flatten)]
        which: Which,
    },
    /// The power above which a channel is cut off
    #[command(
        after_help = "Examples:\n  ferraris command limit M0001 --channel 2 --watts 2300 --key dispatch.key --kafka localhost:9092\n  \
        ferraris command limit M0001 --channel 2 --none --key dispatch.key --kafka localhost:9092"
    )]
    Limit {
        #[command(flatten)]
        way: Way,
        /// Channel of the meter, from 0, unless an account names it
        #[arg(long, value_name = "CHANNEL")]
        channel: Option<Channel>,
        #[command(flatten)]
        power: Power,
    },
    /// The longest time without a reading, in place of agent.toml's
    #[command(after_help = "Examples:\n  ferraris command report-interval M0001 10 --key dispatch.key --kafka localhost:9092")]
    ReportInterval {
        #[command(flatten)]
        way: Way,
        /// In seconds, 1 to 86400
        #[arg(value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
        seconds: u32,
    },
    /// Gains of a channel's voltage and current, in place of those before
    #[command(after_help = "Examples:\n  \
        ferraris command calibrate M0001 --channel 0 --voltage-ppm=-8900 --current-ppm=1200 --key dispatch.key --kafka localhost:9092\n\n\
        A meter that shows 232.1 V where a reference shows 230.0 V needs (230.0 / 232.1 - 1) x 1000000 = -9048.")]
    Calibrate {
        #[command(flatten)]
        way: Way,
        /// Channel of the meter, from 0, unless an account names it
        #[arg(long, value_name = "CHANNEL")]
        channel: Option<Channel>,
        /// Added to the voltage, in millionths of it
        #[arg(long, value_name = "PPM", value_parser = clap::value_parser!(i32).range(-200_000..=250_000))]
        voltage_ppm: i32,
        /// Added to the current, in millionths of it
        #[arg(long, value_name = "PPM", value_parser = clap::value_parser!(i32).range(-200_000..=250_000))]
        current_ppm: i32,
    },
}

/// How much.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Credit {
    /// In kWh
    #[arg(long, value_name = "KWH", value_parser = millionths, allow_negative_numbers = true)]
    energy: Option<i64>,
    /// In the currency that the channel's tariff is in
    #[arg(long, value_name = "AMOUNT", value_parser = thousandths, allow_negative_numbers = true)]
    money: Option<i64>,
}

/// Which relay.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct Which {
    /// Channel of the meter, from 0, unless an account names it
    #[arg(long, value_name = "CHANNEL")]
    channel: Option<Channel>,
    /// All channels
    #[arg(long)]
    all: bool,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum State {
    /// Closed
    On,
    /// Open
    Off,
}

/// How much power.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Power {
    /// In W
    #[arg(long, value_name = "WATTS", value_parser = clap::value_parser!(u32).range(1..))]
    watts: Option<u32>,
    /// No limit
    #[arg(long)]
    none: bool,
}

/// Runs the command.
pub fn run(command: &Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Keygen { out, json } => {
            let key = key::generate(out)?.to_string();
            output::line(if *json {
                serde_json::json!({ "file": out, "key": key }).to_string()
            } else {
                format!("{key}\n\n[commands]\nkeys = [\"{key}\"]")
            })?;
            Ok(Outcome::Good)
        }
        Command::Read { way } => {
            way.whom.whole()?;
            way.send(Action::Read)
        }
        Command::TopUp { way, channel, credit } => {
            let energy = credit.energy.map(Amount::MilliwattHours);
            let Some(amount) = energy.or(credit.money.map(Amount::Thousandths)) else { return Ok(Outcome::Bad) };
            way.send(Action::TopUp { channel: way.whom.channel(*channel)?, amount })
        }
        Command::Code { account, secret, serial, amount, json } => {
            code::print(account, secret, *serial, *amount, *json)?;
            Ok(Outcome::Good)
        }
        Command::Relay { way, state, which } => {
            let channel = way.whom.channel_or_all(which.channel, which.all)?;
            way.send(Action::Relay { channel, on: *state == State::On })
        }
        Command::Limit { way, channel, power } => way.send(Action::Limit { channel: way.whom.channel(*channel)?, watts: power.watts }),
        Command::ReportInterval { way, seconds } => {
            way.whom.whole()?;
            way.send(Action::ReportInterval { heartbeat_ms: seconds.saturating_mul(1_000) })
        }
        Command::Calibrate { way, channel, voltage_ppm, current_ppm } => {
            let channel = way.whom.channel(*channel)?;
            way.send(Action::Calibration { channel, voltage_ppm: *voltage_ppm, current_ppm: *current_ppm })
        }
    }
}

/// kWh as mWh.
fn millionths(text: &str) -> Result<i64, String> {
    decimal(text, 6)
}

fn tenths(text: &str) -> Result<u32, String> {
    let amount = u32::try_from(decimal(text, 1)?).ok().filter(|tenths| (1..=AMOUNT_MAX).contains(tenths));
    amount.ok_or_else(|| format!("expected an amount from 0.1 to {}", f64::from(AMOUNT_MAX) / 10.0))
}

fn thousandths(text: &str) -> Result<i64, String> {
    decimal(text, 3)
}

/// A decimal number in units of its last allowed place; exact, for it is money.
fn decimal(text: &str, places: usize) -> Result<i64, String> {
    let wrong = || format!("expected a number with at most {places} decimal places");
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    if whole.is_empty() || fraction.len() > places || !plain(whole) || !plain(fraction) {
        return Err(wrong());
    }
    let number: i64 = format!("{whole}{fraction:0<places$}").parse().map_err(|_| wrong())?;
    number.checked_mul(sign).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        assert_eq!(millionths("5.5"), Ok(5_500_000));
        assert_eq!(thousandths("20"), Ok(20_000));
        assert_eq!(thousandths("-0.005"), Ok(-5));
        assert_eq!((tenths("20"), tenths("0.1")), (Ok(200), Ok(1)));
        assert!(["0", "-1", "0.05", "26214.4"].iter().all(|bad| tenths(bad).is_err()));
        for bad in ["", "-", ".5", "1.2345", "1e3", "+1", "1,5", "99999999999999999999"] {
            assert!(thousandths(bad).is_err(), "{bad}");
        }
    }
}
