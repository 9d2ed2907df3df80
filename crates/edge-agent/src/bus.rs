//! A serial port with meters on it: one task owns it and asks each device in its turn.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use edge_core::edge::NoData;
use edge_core::{Registers, Sample};
use measure::{Channel, Raw, WattHours};
use meters::iec62056_21::session;
use meters::modbus::{Address, ReplyError};
use meters::pzem004t::{Measurement, ReadAll};
use meters::transaction::{self, Command, Step, Timing, Transaction};
use serial2_tokio::SerialPort;
use tokio::time::{sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::input::{Inbox, What};
use crate::metrics::BusMetrics;
use crate::optical::{self, NoRegisters};
use crate::port::{self, Port};
use crate::push;

/// Of modules on Modbus; a conversation by IEC 62056-21 sets its own speed.
pub(crate) const BAUD: u32 = 9_600;

/// One meter on the bus, or one channel of a meter that is made of modules.
pub struct Polled {
    /// Which channel.
    pub channel: Channel,
    /// How it is asked.
    pub question: Question,
    /// Time between polls.
    pub every: Duration,
    /// Where samples go.
    pub inbox: Inbox,
}

/// How a meter is asked.
#[derive(Clone, Debug)]
pub enum Question {
    /// A PZEM-004T at this address.
    Pzem(Address),
    /// By IEC 62056-21.
    Optical(optical::Question),
    /// It talks unasked.
    Push(push::Question),
}

/// What came of a poll.
enum Measured {
    Sample(Sample),
    Registers(Registers),
}

/// The owner of a port.
pub struct Bus {
    port: Port,
    timing: Timing,
    metrics: BusMetrics,
    devices: Vec<Device>,
}

struct Device {
    polled: Polled,
    due: Instant,
    silent: bool,
}

impl Bus {
    /// Opens the port, which must be there unless it is `optional`: one that never was is a mistake in the configuration.
    pub fn open(path: &Path, optional: bool, timing: Timing, polled: Vec<Polled>, metrics: BusMetrics) -> io::Result<Self> {
        let port = Port::open(path, BAUD, optional)?;
        let now = Instant::now();
        let count = u32::try_from(polled.len()).unwrap_or(u32::MAX);
        let devices = polled.into_iter().zip(0u32..).map(|(polled, index)| {
            // Spread over the first interval, so that polls do not queue up behind each other.
            let share = polled.every.checked_div(count).unwrap_or(Duration::ZERO).saturating_mul(index);
            Device { due: now.checked_add(share).unwrap_or(now), polled, silent: false }
        });
        Ok(Self { port, timing, metrics, devices: devices.collect() })
    }

    /// Polls until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        while let Some(next) = self.devices.iter().enumerate().min_by_key(|(_, device)| device.due).map(|(index, _)| index) {
            let Some(due) = self.devices.get(next).map(|device| device.due) else { return };
            tokio::select! {
                () = sleep_until(due.into()) => {}
                () = stop.cancelled() => return,
            }
            tokio::select! {
                () = self.poll(next) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn poll(&mut self, index: usize) {
        let Some(device) = self.devices.get(index) else { return };
        let (question, attempts) = (device.polled.question.clone(), if device.silent { 1 } else { self.timing.attempts });
        let result = match &question {
            Question::Pzem(address) => self.ask(*address, Timing { attempts, ..self.timing }).await.map(Measured::Sample),
            Question::Optical(question) => self.converse(question).await.map(Measured::Registers),
            Question::Push(question) => self.listen(*question).await.map(Measured::Registers),
        };
        let at = Instant::now();
        let Some(device) = self.devices.get_mut(index) else { return };
        let channel = device.polled.channel;
        device.silent = result.is_err();
        let (next, skipped) = next_due(device.due, device.polled.every, at);
        device.due = next;
        self.metrics.polls_skipped.inc_by(skipped);
        let what = match result {
            Ok(Measured::Registers(registers)) => What::Registers { at, channel, registers },
            Ok(Measured::Sample(sample)) => What::Sample { at, channel, result: Ok(sample) },
            Err(cause) => What::Sample { at, channel, result: Err(cause) },
        };
        if !device.polled.inbox.try_tell(what) {
            self.metrics.samples_dropped.inc();
        }
    }

    /// One question and its answer.
    async fn ask(&mut self, address: Address, timing: Timing) -> Result<Sample, NoData> {
        let metrics = &self.metrics;
        let Some(port) = self.port.get() else {
            metrics.fault("port_gone");
            return Err(NoData::Unavailable);
        };
        match exchange(port, ReadAll, address, timing, metrics).await {
            Ok(Ok(measurement)) => Ok(sample(&measurement)),
            Ok(Err(cause)) => {
                metrics.fault(cause.name());
                tracing::debug!(port = %self.port.path().display(), %address, %cause, "no sample");
                Err(no_data(cause))
            }
            Err(error) => {
                metrics.fault("port_failed");
                self.port.failed(&error);
                Err(NoData::Unavailable)
            }
        }
    }

    /// One conversation.
    async fn converse(&mut self, question: &optical::Question) -> Result<Registers, NoData> {
        let metrics = &self.metrics;
        let Some(port) = self.port.get() else {
            metrics.fault("port_gone");
            return Err(NoData::Unavailable);
        };
        match optical::converse(port, question).await {
            Ok(told) => told.map_err(NoRegisters::from).and_then(|told| told.registers(&question.what)).map_err(|cause| {
                metrics.fault(cause.name());
                tracing::debug!(port = %self.port.path().display(), %cause, "no registers");
                no_registers(&cause)
            }),
            Err(error) => {
                metrics.fault("port_failed");
                self.port.failed(&error);
                Err(NoData::Unavailable)
            }
        }
    }

    /// One message of a meter that talks unasked.
    async fn listen(&mut self, question: push::Question) -> Result<Registers, NoData> {
        let metrics = &self.metrics;
        let Some(port) = self.port.get() else {
            metrics.fault("port_gone");
            return Err(NoData::Unavailable);
        };
        match push::listen(port, question, |cause| metrics.fault(cause.name())).await {
            Ok(told) => told.and_then(|told| told.registers()).map_err(|cause| {
                metrics.fault(cause.name());
                tracing::debug!(port = %self.port.path().display(), %cause, "no registers");
                unheard(&cause)
            }),
            Err(error) => {
                metrics.fault("port_failed");
                self.port.failed(&error);
                Err(NoData::Unavailable)
            }
        }
    }
}

/// Opens a port for one reading of the module at this address; [`Address::GENERAL`] is whichever is alone there.
///
/// # Errors
/// The port is not there, or failed.
pub async fn read(path: &Path, address: Address) -> io::Result<Result<Measurement, transaction::NoData>> {
    let port = port::open(path, BAUD)?;
    exchange(&port, ReadAll, address, Timing::BAUD_9600, &BusMetrics::default()).await
}

/// Drives a transaction on the port.
///
/// # Errors
/// The port itself failed.
pub async fn exchange<C: Command>(
    port: &SerialPort,
    command: C,
    address: Address,
    timing: Timing,
    metrics: &BusMetrics,
) -> io::Result<Result<C::Reply, transaction::NoData>> {
    let began = Instant::now();
    let mut transaction = Transaction::new(command, address, timing, Duration::ZERO);
    let mut bytes = [0; 64];
    let result = loop {
        match transaction.poll(began.elapsed()) {
            Step::Send(frame) => port.write_all(&frame).await?,
            Step::Wait(until) => {
                let until = began.checked_add(until).unwrap_or(began);
                match timeout_at(until.into(), port.read(&mut bytes)).await {
                    Ok(Ok(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(Ok(len)) => transaction.push(bytes.get(..len).unwrap_or_default(), began.elapsed()),
                    Ok(Err(error)) => return Err(error),
                    Err(_) => {}
                }
            }
            Step::Done(reply) => break Ok(reply),
            Step::Failed(cause) => break Err(cause),
        }
    };
    metrics.stale_bytes.inc_by(transaction.stale_bytes().into());
    Ok(result)
}

/// The next poll in step with the interval, after `now`, and how many were passed over.
pub(crate) fn next_due(due: Instant, every: Duration, now: Instant) -> (Instant, u64) {
    let late = now.saturating_duration_since(due);
    let skipped = late.as_nanos().checked_div(every.as_nanos()).unwrap_or(0);
    let steps = u32::try_from(skipped).unwrap_or(u32::MAX).saturating_add(1);
    (due.checked_add(every.saturating_mul(steps)).unwrap_or(now), u64::try_from(skipped).unwrap_or(u64::MAX))
}

fn sample(measurement: &Measurement) -> Sample {
    Sample {
        raw: Raw {
            voltage: measurement.voltage,
            current: measurement.current,
            active_power: measurement.active_power,
            frequency: measurement.frequency,
            power_factor: measurement.power_factor,
        },
        import: measurement.energy,
        export: WattHours::default(),
        alarm: measurement.alarm,
    }
}

fn no_data(cause: transaction::NoData) -> NoData {
    match cause {
        transaction::NoData::Silent => NoData::Timeout,
        transaction::NoData::Busy => NoData::Unavailable,
        transaction::NoData::Reply(ReplyError::Refused(_)) => NoData::Refused,
        transaction::NoData::Reply(_) => NoData::Damaged,
    }
}

fn no_registers(cause: &NoRegisters) -> NoData {
    match cause {
        NoRegisters::Session(session::NoData::Silent) => NoData::Timeout,
        NoRegisters::Session(session::NoData::Refused(_) | session::NoData::NoProgramming | session::NoData::Name(_)) => NoData::Refused,
        NoRegisters::NoEnergy => NoData::Refused,
        NoRegisters::Session(_) | NoRegisters::Data(_) => NoData::Damaged,
    }
}

fn unheard(cause: &push::NoRegisters) -> NoData {
    match cause {
        push::NoRegisters::Silent => NoData::Timeout,
        push::NoRegisters::NoEnergy => NoData::Refused,
        _ => NoData::Damaged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polls_keep_step_and_do_not_pile_up() {
        let due = Instant::now();
        let second = Duration::from_secs(1);
        let after = |millis| due + Duration::from_millis(millis);
        assert_eq!(next_due(due, second, after(40)), (after(1_000), 0));
        assert_eq!(next_due(due, second, after(1_000)), (after(2_000), 1));
        assert_eq!(next_due(due, second, after(3_500)), (after(4_000), 3));
    }
}
