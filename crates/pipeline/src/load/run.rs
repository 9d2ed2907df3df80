//! The loop that drives all meters.

use anyhow::Context;
use hdrhistogram::Histogram;
use wire::ack::Ack;

use super::connection::Connection;
use super::go_back::{GoBack, WINDOW};
use super::mqtt::Incoming;
use super::sockets::{GIVE_UP_US, Ready, Sockets, TICK_US};
use super::{Age, Counts, Packets, Stage, tell};
use crate::plan::{Plan, now_us};

struct Meter {
    connection: Connection,
    state: GoBack,
    /// When each frame of the window was first sent.
    sent_us: [i64; WINDOW],
}

/// Whose word a meter takes for it that a frame has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answers {
    /// The acknowledgement that comes after the commit.
    Processor,
    /// The PUBACK; brokers send them in the order of the frames.
    Broker,
}

struct Run<'a> {
    plan: &'a Plan,
    answers: Answers,
    packets: &'a [Packets],
    meters: Vec<Meter>,
    /// Frames that were due so far, all meters taking turns.
    due: usize,
    acknowledged: u64,
    last_news_us: i64,
    measuring: bool,
    ages: Histogram<u64>,
}

/// Drives the meters through warm-up, measurement and the end.
pub(super) fn run(plan: &Plan, answers: Answers, connections: Vec<Connection>, packets: &[Packets]) -> anyhow::Result<()> {
    let mut sockets = Sockets::new()?;
    let meters = connections.into_iter().enumerate().map(|(number, mut connection)| {
        sockets.add(number, &mut connection)?;
        Ok(Meter { connection, state: GoBack::new(), sent_us: [0; WINDOW] })
    });
    let meters = meters.collect::<std::io::Result<Vec<_>>>()?;
    let ages = Histogram::new_with_bounds(1, 600_000_000, 3)?;
    let start_us = plan.due_us(0, 0);
    let mut run = Run { plan, answers, packets, meters, due: 0, acknowledged: 0, last_news_us: start_us, measuring: false, ages };

    let (begin_us, end_us) = (start_us + us(plan.load().warm_up_s), start_us + us(plan.load().warm_up_s + plan.load().seconds));
    run.until(&mut sockets, start_us)?;
    if plan.load().rate.is_none() {
        run.offer_all()?;
    }
    run.until(&mut sockets, begin_us)?;
    run.measuring = true;
    tell(&Stage::Begin(run.counts()))?;
    run.until(&mut sockets, end_us)?;
    run.measuring = false;
    tell(&Stage::End(run.counts()))?;
    run.drain(&mut sockets)?;
    tell(&run.result())
}

fn us(seconds: f64) -> i64 {
    (seconds * 1e6) as i64
}

impl Run<'_> {
    /// Without a rate each meter has all its frames from the beginning.
    fn offer_all(&mut self) -> anyhow::Result<()> {
        for (number, packets) in self.packets.iter().enumerate() {
            packets.ends.iter().for_each(|_| self.meters[number].state.offer());
            self.send(number, now_us())?;
        }
        Ok(())
    }

    /// Serves all meters until the instant.
    fn until(&mut self, sockets: &mut Sockets, until_us: i64) -> anyhow::Result<()> {
        let mut look_us = 0;
        loop {
            let now = now_us();
            if now >= until_us {
                return Ok(());
            }
            self.offer_due(now)?;
            if now >= look_us {
                look_us = now + TICK_US;
                self.look(now)?;
            }
            self.wait(sockets, until_us.min(look_us))?;
        }
    }

    /// Sleeps until something comes, is due, or the instant has come, and takes what came.
    fn wait(&mut self, sockets: &mut Sockets, until_us: i64) -> anyhow::Result<()> {
        let until_us = if self.plan.load().rate.is_some() { until_us.min(self.next_due_us()) } else { until_us };
        let ready = sockets.wait(until_us - now_us())?;
        let now = now_us();
        for Ready { number, writable, readable } in ready {
            if writable {
                self.meters[number].connection.flush().context("a meter is cut")?;
            }
            if readable {
                self.receive(number, now)?;
            }
            self.send(number, now)?;
        }
        Ok(())
    }

    fn next_due_us(&self) -> i64 {
        self.plan.due_us(self.due % self.meters.len(), self.due / self.meters.len())
    }

    fn offer_due(&mut self, now: i64) -> anyhow::Result<()> {
        let until_us = self.plan.due_us(0, 0) + us(self.plan.load().duration().as_secs_f64());
        while self.plan.load().rate.is_some() && self.next_due_us() <= now.min(until_us) {
            let number = self.due % self.meters.len();
            self.due += 1;
            self.meters[number].state.offer();
            self.send(number, now)?;
        }
        Ok(())
    }

    fn send(&mut self, number: usize, now: i64) -> anyhow::Result<()> {
        let meter = &mut self.meters[number];
        let first_new = meter.state.sent();
        let frames = meter.state.send(now);
        if frames.is_empty() {
            return Ok(());
        }
        for frame in first_new..frames.end {
            meter.sent_us[frame % WINDOW] = now;
        }
        meter.connection.send(self.packets[number].of_frames(frames)).context("a meter is cut")
    }

    fn receive(&mut self, number: usize, now: i64) -> anyhow::Result<()> {
        let (plan, answers, ages, measuring) = (self.plan, self.answers, &mut self.ages, self.measuring);
        let Meter { connection, state, sent_us } = &mut self.meters[number];
        let mut newly = 0;
        connection
            .receive(|packet| {
                let through = match (packet, answers) {
                    (Incoming::Message(payload), Answers::Processor) => {
                        Ack::decode(payload).expect("the processor's acknowledgements are sound").through
                    }
                    (Incoming::Taken, Answers::Broker) => plan.last_seq(state.acknowledged()),
                    _ => return,
                };
                let frames = state.acknowledge(through, now, |frame| plan.last_seq(frame));
                newly += frames.len() as u64;
                for frame in frames.filter(|_| measuring) {
                    let since = if plan.load().rate.is_some() { plan.due_us(number, frame) } else { sent_us[frame % WINDOW] };
                    ages.saturating_record((now - since).max(1) as u64);
                }
            })
            .with_context(|| format!("meter {number} is cut"))?;
        if newly > 0 {
            self.acknowledged += newly;
            self.last_news_us = now;
        }
        Ok(())
    }

    /// Sends again what was not acknowledged in time.
    fn look(&mut self, now: i64) -> anyhow::Result<()> {
        for number in 0..self.meters.len() {
            if self.meters[number].state.go_back(now) {
                self.send(number, now)?;
            }
        }
        Ok(())
    }

    fn counts(&self) -> Counts {
        let states = || self.meters.iter().map(|meter| &meter.state);
        let waiting = states().map(GoBack::unsent).sum::<usize>() as u64;
        Counts { acknowledged: self.acknowledged, waiting: if self.plan.load().rate.is_some() { waiting } else { 0 } }
    }

    /// Waits for the last acknowledgements.
    fn drain(&mut self, sockets: &mut Sockets) -> anyhow::Result<()> {
        if self.plan.load().rate.is_none() {
            self.meters.iter_mut().for_each(|meter| meter.state.stop());
        }
        while self.meters.iter().any(|meter| !meter.state.is_drained()) && now_us() - self.last_news_us < GIVE_UP_US {
            self.until(sockets, now_us() + TICK_US)?;
        }
        Ok(())
    }

    fn result(&self) -> Stage {
        let states = || self.meters.iter().map(|meter| &meter.state);
        Stage::Drained {
            frames: states().map(GoBack::offered).collect(),
            missing: states().map(|state| state.offered() - state.acknowledged()).sum(),
            repeated: states().map(|state| state.repeated).sum(),
            age: Age::of(&self.ages),
        }
    }
}
