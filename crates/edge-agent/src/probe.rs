//! What is on a serial port: asks and listens in every language that the agent knows, the quick ones first.

use std::io;
use std::path::Path;
use std::time::Duration;

use meters::iec62056_21::identification::Identification;
use meters::modbus::Address;
use meters::pzem004t::{Measurement, ReadAll};
use meters::transaction::{NoData, Timing};
use serial2_tokio::SerialPort;

use crate::bus::exchange;
use crate::metrics::BusMetrics;
use crate::port::{open, set_baud};
use crate::push::{self, Language, Told};
use crate::{bus, optical};

/// Addresses that are asked one by one where several modules answer the general one at once.
const ADDRESSES: std::ops::RangeInclusive<u8> = 1..=16;
/// A module answers within this.
const ONE_OF_MANY: Duration = Duration::from_millis(120);
/// Two of SML's longest intervals.
const SML_PATIENCE: Duration = Duration::from_secs(9);
/// A telegram each ten seconds, as meters of DSMR 4 send.
const P1_PATIENCE: Duration = Duration::from_secs(11);

/// A way to find a meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Modbus at 9600 baud.
    Pzem,
    /// Listening at 9600 baud.
    Sml,
    /// Listening at 115,200 baud.
    DsmrP1,
    /// A sign-on at 300 baud.
    SignOn,
}

/// What was found.
#[derive(Debug)]
pub enum Found {
    /// PZEM-004T modules, by address; one alone by the general one.
    Pzem(Vec<(Address, Measurement)>),
    /// A meter that talks unasked.
    Push(Told),
    /// A meter by IEC 62056-21.
    Optical(Identification),
}

impl Way {
    /// All of them, in the order in which they are tried.
    pub const ALL: [Self; 4] = [Self::Pzem, Self::Sml, Self::DsmrP1, Self::SignOn];

    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pzem => "PZEM-004T, Modbus at 9600 baud",
            Self::Sml => "SML, listening at 9600 baud",
            Self::DsmrP1 => "DSMR P1, listening at 115200 baud",
            Self::SignOn => "IEC 62056-21, sign-on at 300 baud 7E1",
        }
    }

    /// The driver for what is found so.
    pub const fn driver(self) -> &'static str {
        match self {
            Self::Pzem => "pzem-004t",
            Self::Sml => "sml",
            Self::DsmrP1 => "dsmr-p1",
            Self::SignOn => "iec62056-21",
        }
    }

    /// Tries it; if nothing is found so, says why.
    ///
    /// # Errors
    /// The port is not there, or failed.
    pub async fn try_on(self, path: &Path) -> io::Result<Result<Found, String>> {
        let mut port = open(path, bus::BAUD)?;
        match self {
            Self::Pzem => modules(&mut port).await,
            Self::Sml => heard(&mut port, Language::Sml, SML_PATIENCE).await,
            Self::DsmrP1 => heard(&mut port, Language::DsmrP1, P1_PATIENCE).await,
            Self::SignOn => Ok(optical::sign_on(&mut port).await?.map(Found::Optical).map_err(|cause| cause.to_string())),
        }
    }
}

async fn heard(port: &mut SerialPort, language: Language, deadline: Duration) -> io::Result<Result<Found, String>> {
    let question = push::Question { language, baud: language.usual_baud(), deadline };
    let told = push::listen(port, question, |_| {}).await?;
    Ok(told.map(Found::Push).map_err(|cause| cause.to_string()))
}

async fn modules(port: &mut SerialPort) -> io::Result<Result<Found, String>> {
    set_baud(port, bus::BAUD)?;
    port.discard_input_buffer()?;
    let metrics = BusMetrics::default();
    let timing = Timing { attempts: 2, ..Timing::BAUD_9600 };
    let cause = match exchange(port, ReadAll, Address::GENERAL, timing, &metrics).await? {
        Ok(measurement) => return Ok(Ok(Found::Pzem(vec![(Address::GENERAL, measurement)]))),
        // Whatever talks there without a pause is no module, and would be asked in vain.
        Err(cause @ NoData::Busy) => return Ok(Err(cause.to_string())),
        Err(cause) => cause,
    };
    // Several at once, or such as don't know the general address.
    let mut found = Vec::new();
    for address in ADDRESSES.filter_map(|address| Address::new(address).ok()) {
        let timing = Timing { attempts: 1, reply: ONE_OF_MANY, ..timing };
        if let Ok(measurement) = exchange(port, ReadAll, address, timing, &metrics).await? {
            found.push((address, measurement));
        }
    }
    Ok(if found.is_empty() { Err(cause.to_string()) } else { Ok(Found::Pzem(found)) })
}
