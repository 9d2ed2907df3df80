//! One conversation with a meter, without input, output or a clock.
//!
//! ```text
//!              /?!            identification          ACK 0 Z Y, on the wire             readout
//!  (wake up) ------> Identify ---------------> pause ------------------------> new speed --------> Done
//!                                 | mode B: new speed, mode A: none            |
//!                                 +----------------------------------> readout | P0
//!                                                                        P1(password) -> ACK
//!                                                                        R1(register) -> reply, again for each
//!                                                                        B0 -> Done
//!  Nothing at the new speed: the meter did not take the acknowledgement, and reads out at 300 baud. Once it is quiet it is asked anew,
//!  and gets none.
//! ```
//!
//! The owner of the port calls [`Session::poll`] and does what it says, calls [`Session::push`] with what arrives, and polls again then
//! and when the time that [`Step::Wait`] names has come. Time is a `Duration` since any fixed moment. The port is set to 8N1: the
//! parity of 7E1 is made and tested here, which is the same on the wire and works with adapters and terminals that know no 7E1.

mod echo;
mod plan;
mod state;
mod step;

use core::time::Duration;

use self::echo::Echo;
use self::plan::bad_name;
use self::state::{Hear, Phase, Say};
use super::identification::{Baud, Identification, Mode};
use super::message::{self, Message, Then};
use super::receiver::{FrameError, Received, Receiver};

pub use self::plan::{Options, Parity, ReadCommand, Task, Timing};
pub use self::step::{NoData, Step};

/// One conversation with one meter that says at most `N` bytes.
#[derive(Debug)]
pub struct Session<'a, const N: usize> {
    task: Task<'a>,
    options: Options<'a>,
    phase: Phase,
    hear: Hear,
    baud: Baud,
    deadline: Duration,
    receiver: Receiver<N>,
    identification: Option<Identification>,
    echo: Echo,
    attempts: u8,
    /// Where the text of the reply that is awaited begins.
    reply_at: usize,
    /// The meter is in programming mode, which has to be ended.
    programming: bool,
    /// The meter did not take an acknowledgement: it gets none, and reads out at 300 baud when it has waited for one in vain.
    deaf: bool,
    outcome: Option<Result<(), NoData>>,
}

impl<'a, const N: usize> Session<'a, N> {
    /// A conversation that starts `now`, with the port at [`Session::first_baud`].
    pub fn new(task: Task<'a>, options: Options<'a>, now: Duration) -> Self {
        let (phase, hear) = match task {
            Task::Push => (Phase::Listen { until: now.saturating_add(options.timing.deadline) }, Hear::Identification),
            _ => (Phase::Pause { until: now, say: if options.wake_up { Say::WakeUp } else { Say::Request } }, Hear::Identification),
        };
        let mut session = Self {
            task,
            options,
            phase,
            hear,
            baud: Self::first_baud(task),
            deadline: now.saturating_add(options.timing.deadline),
            receiver: Receiver::default(),
            identification: None,
            echo: Echo::default(),
            attempts: options.timing.attempts.max(1),
            reply_at: 0,
            programming: false,
            deaf: false,
            outcome: None,
        };
        if let Some(what) = bad_name(task, options.address) {
            session.end(Err(NoData::Name(what)));
        }
        session
    }

    /// The speed that a conversation begins at.
    pub const fn first_baud(task: Task<'_>) -> Baud {
        match task {
            Task::Push => Baud::B2400,
            Task::Readout | Task::Registers { .. } => Baud::B300,
        }
    }

    /// Who answered, once it did.
    pub const fn identification(&self) -> Option<&Identification> {
        self.identification.as_ref()
    }

    /// What the meter told, checked: a readout, or the replies to reads, a line each.
    pub fn text(&self) -> &str {
        self.receiver.text()
    }

    /// Bytes that belonged to nothing.
    pub const fn noise(&self) -> u32 {
        self.receiver.noise()
    }

    /// Bytes arrived at `now`.
    pub fn push(&mut self, bytes: &[u8], now: Duration) {
        for byte in bytes {
            match self.options.parity {
                Parity::Even => match message::without_parity(*byte) {
                    Some(byte) => self.hear(byte, now),
                    None if self.receiver.is_busy() => self.fail(FrameError::Parity(*byte).into(), now),
                    None => self.receiver.count_noise(),
                },
                Parity::None => self.hear(*byte & 0x7f, now),
            }
        }
    }

    /// What to do at `now`.
    pub fn poll(&mut self, now: Duration) -> Step {
        if self.deadline <= now && self.outcome.is_none() {
            self.end(Err(self.silence(NoData::Late)));
        }
        match self.phase {
            Phase::Listen { until } if until <= now => {
                let broken = self.receiver.is_busy().then(|| NoData::Frame(self.receiver.truncated()));
                self.fail(broken.unwrap_or(NoData::Silent), now);
            }
            Phase::Closing { until } if until <= now => self.phase = Phase::Ended,
            _ => {}
        }
        match self.phase {
            Phase::Pause { until, say } if until <= now => self.say(say, now),
            Phase::Leaving { until, baud } if until <= now => self.switch(baud, now),
            Phase::Switch(baud) => self.switch(baud, now),
            Phase::Hush { until, switched: false } => {
                self.baud = Baud::B300;
                self.phase = Phase::Hush { until, switched: true };
                Step::SetBaud(Baud::B300)
            }
            Phase::Hush { until, .. } if until <= now => self.say(Say::Request, now),
            Phase::Hush { until, .. }
            | Phase::Pause { until, .. }
            | Phase::Leaving { until, .. }
            | Phase::Listen { until }
            | Phase::Closing { until } => {
                // The last word may take its time.
                Step::Wait(if self.outcome.is_some() { until } else { until.min(self.deadline) })
            }
            Phase::Ended => match &self.outcome {
                Some(Ok(())) => Step::Done,
                Some(Err(cause)) => Step::Failed(cause.clone()),
                None => Step::Failed(NoData::Late),
            },
        }
    }

    fn switch(&mut self, baud: Baud, now: Duration) -> Step {
        self.baud = baud;
        // An echo that has not come by now was garbled by the change.
        self.echo.expect(Message::new());
        self.phase = Phase::Listen { until: now.saturating_add(self.options.timing.reply) };
        Step::SetBaud(baud)
    }

    fn say(&mut self, say: Say, now: Duration) -> Step {
        let mut message = self.message(say);
        let on_wire = self.byte_time().saturating_mul(u32::try_from(message.len()).unwrap_or(u32::MAX));
        let gone = now.saturating_add(on_wire);
        let timing = self.options.timing;
        self.receiver.discard();
        self.echo.expect(message.clone());
        self.phase = match say {
            Say::WakeUp => {
                // The standard's pause behind the NULs: 1.5 to 1.7 s.
                Phase::Pause { until: gone.saturating_add(Duration::from_millis(1_600)), say: Say::Request }
            }
            Say::Option(baud, _) => Phase::Leaving { until: gone.saturating_add(timing.leave), baud },
            Say::End => Phase::Closing { until: gone.saturating_add(timing.leave) },
            _ => Phase::Listen { until: gone.saturating_add(timing.reply) },
        };
        if self.options.parity == Parity::Even {
            message.iter_mut().for_each(|byte| *byte = message::with_parity(*byte));
        }
        Step::Send(message)
    }

    fn message(&self, say: Say) -> Message {
        match (say, self.task) {
            (Say::WakeUp, _) => message::wake_up(),
            (Say::Request, _) => message::request(self.options.address),
            (Say::Option(baud, then), _) => message::option(baud, then),
            (Say::Password, Task::Registers { password: Some(password), .. }) => message::command(*b"P1", "", password),
            (Say::Register(index), Task::Registers { command, names, .. }) if index < names.len() => {
                message::command(command.name(), names.get(index).copied().unwrap_or_default(), "")
            }
            (Say::Again, _) => message::again(),
            (Say::Continue, _) => message::acknowledge(),
            (Say::End | Say::Password | Say::Register(_), _) => message::end(),
        }
    }

    /// A byte of 7E1 takes ten bits.
    fn byte_time(&self) -> Duration {
        Duration::from_secs(10).checked_div(self.baud.per_second()).unwrap_or_default()
    }

    /// One byte: the echo of what was sent is dropped as long as it is exact.
    fn hear(&mut self, byte: u8, now: Duration) {
        if let Some(no_echo) = self.echo.sift(byte) {
            no_echo.for_each(|byte| self.take(byte, now));
        }
    }

    fn take(&mut self, byte: u8, now: Duration) {
        let Phase::Listen { until } = &mut self.phase else {
            self.receiver.count_noise();
            if let Phase::Hush { until, .. } = &mut self.phase {
                *until = now.saturating_add(self.options.timing.gap);
            }
            return;
        };
        let received = self.receiver.push(byte);
        if self.receiver.is_busy() {
            *until = now.saturating_add(self.options.timing.gap);
        }
        match received {
            Ok(None) => {}
            Ok(Some(message)) => self.received(message, now),
            Err(error) => self.fail(error.into(), now),
        }
    }

    fn received(&mut self, message: Received, now: Duration) {
        match (self.hear, message) {
            (Hear::Identification, Received::Identification(identification)) => self.identified(identification, now),
            (Hear::Readout, Received::Block { command: None, last: true }) => self.end(Ok(())),
            (Hear::Readout | Hear::Register(_), Received::Block { command: None, last: false }) => self.next(now, Say::Continue),
            (Hear::Operand, Received::Block { command: Some([b'P', _]), .. }) => {
                self.receiver.truncate(0);
                match self.task {
                    Task::Registers { password: Some(_), .. } => self.ask(Hear::Accepted, Say::Password, now),
                    _ => self.read(0, now),
                }
            }
            (Hear::Accepted, Received::Ack) => self.read(0, now),
            (Hear::Accepted, Received::Nak | Received::Block { .. }) => self.close(Err(NoData::Refused("the password")), now),
            (Hear::Register(index), Received::Block { command: None, last: true }) => self.replied(index, now),
            (Hear::Register(_), Received::Nak) => self.fail(NoData::Refused("the read"), now),
            (hear, _) => self.fail(NoData::Unexpected(hear.name()), now),
        }
    }

    fn identified(&mut self, identification: Identification, now: Duration) {
        let mode = identification.mode();
        self.identification = Some(identification);
        self.attempts = self.options.timing.attempts.max(1);
        if self.task == Task::Push {
            self.hear = Hear::Readout;
            self.receiver.expect_push();
            self.phase = Phase::Listen { until: now.saturating_add(self.options.timing.gap) };
            return;
        }
        let programming = matches!(self.task, Task::Registers { .. });
        match mode {
            Mode::C(_) if self.deaf => {
                self.hear = Hear::Readout;
                // It waits for an acknowledgement as long as we wait for an answer, and takes its time then.
                self.phase = Phase::Listen { until: now.saturating_add(self.options.timing.reply.saturating_mul(3)) };
            }
            Mode::C(offered) => {
                let baud = offered.min(self.options.baud_max);
                self.programming = programming;
                let then = if programming { Then::Programming } else { Then::Readout };
                self.ask(if programming { Hear::Operand } else { Hear::Readout }, Say::Option(baud, then), now);
            }
            Mode::A | Mode::B(_) if programming => self.end(Err(NoData::NoProgramming)),
            Mode::A => {
                self.hear = Hear::Readout;
                self.phase = Phase::Listen { until: now.saturating_add(self.options.timing.reply) };
            }
            Mode::B(baud) => {
                self.hear = Hear::Readout;
                self.phase = Phase::Switch(baud);
            }
        }
    }

    fn read(&mut self, index: usize, now: Duration) {
        let Task::Registers { names, .. } = self.task else { return };
        if index < names.len() {
            self.reply_at = self.receiver.len();
            self.ask(Hear::Register(index), Say::Register(index), now);
        } else {
            self.close(Ok(()), now);
        }
    }

    /// A register's reply is whole.
    fn replied(&mut self, index: usize, now: Duration) {
        let reply = self.text().get(self.reply_at..).unwrap_or_default();
        if reply.trim_start_matches('(').starts_with("ER") {
            self.close(Err(NoData::Refused("the register")), now);
            return;
        }
        let name = match self.task {
            // The meter may leave out what it was asked for.
            Task::Registers { names, .. } if reply.starts_with('(') => names.get(index).copied().unwrap_or_default(),
            _ => "",
        };
        let kept = self.receiver.insert(self.reply_at, name).and_then(|()| self.receiver.insert(self.receiver.len(), "\r\n"));
        match kept {
            Ok(()) => self.read(index.saturating_add(1), now),
            Err(error) => self.close(Err(error.into()), now),
        }
    }

    fn ask(&mut self, hear: Hear, say: Say, now: Duration) {
        self.hear = hear;
        self.attempts = self.options.timing.attempts.max(1);
        self.next(now, say);
    }

    fn next(&mut self, now: Duration, say: Say) {
        self.phase = Phase::Pause { until: now.saturating_add(self.options.timing.pause), say };
    }

    /// The answer is missing or bad: ask again, if that can help.
    fn fail(&mut self, cause: NoData, now: Duration) {
        if !matches!(self.phase, Phase::Listen { .. }) {
            return;
        }
        self.receiver.discard();
        self.attempts = self.attempts.saturating_sub(1);
        // At the wrong speed a readout is silence, or bytes that happen to be something.
        let nothing = matches!(cause, NoData::Silent | NoData::Unexpected(_));
        if nothing && self.hear == Hear::Readout && self.task == Task::Readout && self.is_mode_c() && !self.deaf {
            (self.deaf, self.hear, self.attempts) = (true, Hear::Identification, self.options.timing.attempts.max(1));
            self.phase = Phase::Hush { until: now.saturating_add(self.options.timing.gap), switched: false };
            return;
        }
        let again = match self.hear {
            Hear::Identification if self.task != Task::Push => Some(Say::Request),
            Hear::Register(_) if cause != NoData::Silent => Some(Say::Again),
            Hear::Register(index) => Some(Say::Register(index)),
            _ => None,
        };
        match again.filter(|_| self.attempts > 0) {
            Some(say) => {
                self.receiver.truncate(self.reply_at);
                // Until whatever comes late has come.
                self.phase = Phase::Pause { until: now.saturating_add(self.options.timing.gap), say };
            }
            None => self.close(Err(self.silence(cause)), now),
        }
    }

    fn is_mode_c(&self) -> bool {
        self.identification.as_ref().is_some_and(|it| matches!(it.mode(), Mode::C(_)))
    }

    /// Ends programming mode where the meter is in it, and the conversation.
    fn close(&mut self, outcome: Result<(), NoData>, now: Duration) {
        if self.programming {
            self.outcome = Some(outcome);
            self.next(now, Say::End);
        } else {
            self.end(outcome);
        }
    }

    fn end(&mut self, outcome: Result<(), NoData>) {
        self.outcome = Some(outcome);
        self.phase = Phase::Ended;
    }

    /// Silence behind bytes that made no sense is none.
    fn silence(&self, cause: NoData) -> NoData {
        match cause {
            NoData::Silent if self.identification.is_some() => NoData::Frame(self.receiver.truncated()),
            NoData::Silent if self.noise() > 0 => NoData::Unexpected(self.hear.name()),
            other => other,
        }
    }
}
