//! The keypad of a prepaid meter: keys from a serial port or from whoever supplies them, what they ask the brain for, and what the display
//! shows of it.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use edge_core::clock::Now;
use edge_core::edge::Edge;
use edge_core::journal::Journal;
use edge_core::keypad::{Account, Key, Keypad, Request, Shown};
use measure::Channel as Number;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::config::{Credit, Meter};
use crate::input::{Inbox, What};
use crate::port::Port;

/// Before a port that is not there is looked for again, and a display that was not written is written again.
const AGAIN: Duration = Duration::from_secs(1);

/// One meter's keypad and display, as its brain has them.
pub(crate) struct Pad {
    machine: Keypad,
    accounts: Vec<Account>,
    credits: BTreeMap<Number, Credit>,
    /// What came of the last request, until the next key.
    answer: Option<String>,
    /// It came in the transaction that is open.
    answered: bool,
    display: watch::Sender<String>,
}

impl Pad {
    /// Of a meter that has one.
    pub fn new(meter: &Meter) -> Option<Self> {
        let settings = meter.keypad.as_ref()?;
        let accounts = meter.accounts();
        let credits = meter.channel.iter().filter_map(|it| Some((it.number, it.credit?))).collect();
        let machine = Keypad::new(settings.timeout_s.saturating_mul(1_000));
        let (display, _) = watch::channel(text(machine.shown()));
        Some(Self { machine, accounts, credits, answer: None, answered: false, display })
    }

    /// What is shown, now and as it changes.
    pub fn display(&self) -> watch::Receiver<String> {
        self.display.subscribe()
    }

    /// A key was pressed: what it completes is done in the open transaction.
    pub fn handle_key<J: Journal>(&mut self, key: Key, now: Now, edge: &mut Edge, journal: &mut J) -> Result<(), J::Error> {
        self.answer = None;
        let Some(request) = self.machine.handle_key(now.monotonic_ms, key, &self.accounts) else { return Ok(()) };
        let answer = match request {
            Request::View(channel) => self.credit(channel, edge.credit(channel)),
            Request::Load { channel, digits } => match edge.handle_code(now, journal, channel, &digits)? {
                Ok(left) => self.credit(channel, Some(left)),
                Err(why) => why.to_string(),
            },
            Request::Switch { channel, on } => {
                edge.handle_switch(now, journal, channel, on)?;
                if on { "switched on" } else { "switched off" }.to_owned()
            }
        };
        (self.answer, self.answered) = (Some(answer), true);
        Ok(())
    }

    /// Time passes: nobody may find what another one left.
    pub fn handle_time(&mut self, now: Now) {
        self.machine.handle_time(now.monotonic_ms);
        if self.machine.shown() == Shown::Welcome {
            self.answer = None;
        }
    }

    /// The transaction failed: what was answered in it did not happen.
    pub fn take_back(&mut self) {
        if std::mem::take(&mut self.answered) {
            self.answer = Some("not done: try again".to_owned());
        }
    }

    /// After the commit: the display shows what is so.
    pub fn show(&mut self) {
        self.answered = false;
        let text = self.answer.clone().unwrap_or_else(|| text(self.machine.shown()));
        self.display.send_if_modified(|shown| {
            let changed = *shown != text;
            *shown = text;
            changed
        });
    }

    fn credit(&self, channel: Number, left: Option<i64>) -> String {
        match (self.credits.get(&channel), left) {
            (Some(Credit::Energy), Some(milliwatt_hours)) => format!("credit {:.3} kWh", milliwatt_hours as f64 / 1e6),
            (Some(Credit::Money), Some(thousandths)) => format!("credit {:.2}", thousandths as f64 / 1e3),
            _ => "not prepaid".to_owned(),
        }
    }
}

fn text(shown: Shown) -> String {
    match shown {
        Shown::Welcome => "account?".to_owned(),
        Shown::Identification(digits) => format!("account? {}", "*".repeat(digits)),
        Shown::Unknown => "unknown account".to_owned(),
        Shown::Menu(_) => "1 credit 2 load 3 on 4 off".to_owned(),
        Shown::Code(digits) => format!("code? {digits} of {}", edge_core::code::DIGITS),
    }
}

/// Hands on the keys that a serial keypad sends as ASCII characters, until `stop`. Other characters are counted.
pub(crate) async fn listen(mut port: Port, inbox: Inbox, unknown: Counter, stop: CancellationToken) {
    let mut bytes = [0; 64];
    loop {
        let Some(open) = port.get() else {
            tokio::select! {
                () = sleep(AGAIN) => {}
                () = stop.cancelled() => return,
            }
            continue;
        };
        let read = tokio::select! {
            read = open.read(&mut bytes) => read,
            () = stop.cancelled() => return,
        };
        let len = match read {
            Ok(0) => {
                port.failed(&io::ErrorKind::UnexpectedEof.into());
                continue;
            }
            Ok(len) => len,
            Err(error) => {
                port.failed(&error);
                continue;
            }
        };
        for byte in bytes.get(..len).unwrap_or_default() {
            match Key::from_ascii(*byte) {
                Some(key) => inbox.tell(What::Key(key)).await,
                None => _ = unknown.inc(),
            }
        }
    }
}

/// Writes what is to be shown into a file, until `stop`.
pub(crate) async fn display(file: PathBuf, mut shown: watch::Receiver<String>, failed: Counter, stop: CancellationToken) {
    loop {
        let text = format!("{}\n", *shown.borrow_and_update());
        let written = tokio::fs::write(&file, text).await;
        if let Err(error) = &written {
            failed.inc();
            tracing::error!(file = %file.display(), %error, "display not written; trying again");
        }
        tokio::select! {
            changed = shown.changed() => if changed.is_err() { return },
            () = sleep(AGAIN), if written.is_err() => {}
            () = stop.cancelled() => return,
        }
    }
}
