//! The loop that drives meters that come back with a backlog.

use std::sync::Arc;

use anyhow::Context;
use hdrhistogram::Histogram;
use wire::ack::Ack;
use wire::topic::Topic;

use super::connection::Connection;
use super::mqtt::{self, Incoming};
use super::sockets::{GIVE_UP_US, Ready, Sockets, TICK_US};
use super::{Age, Counts, Stage, tell};
use crate::backlog::story::{Backlog, Order, Part, Story};
use crate::backlog::window::Window;
use crate::plan::{self, now_us};

struct Meter {
    connection: Connection,
    window: Window,
    topic: String,
    packets: u16,
}

struct Run {
    story: Story,
    bodies: Vec<Vec<Arc<[u8]>>>,
    meters: Vec<Meter>,
    /// Live readings that were due so far, all meters taking turns.
    due: usize,
    /// Nothing more is due.
    closed: bool,
    /// Frames of the backlog that are not acknowledged.
    old_left: usize,
    acknowledged: u64,
    last_news_us: i64,
    /// Live readings that were due from here to there count, µs since 1970.
    counted: (i64, i64),
    ages: Histogram<u64>,
}

/// Live data alone, then the backlog as well until all of it is acknowledged.
pub(super) fn run(backlog: &Backlog, connections: Vec<Connection>) -> anyhow::Result<()> {
    let mut sockets = Sockets::new()?;
    let meters = connections.into_iter().enumerate().map(|(number, mut connection)| {
        sockets.add(number, &mut connection)?;
        let topic = Topic::up(&plan::name(number)).to_string();
        Ok(Meter { connection, window: Window::new(backlog.clone()), topic, packets: 0 })
    });
    let meters = meters.collect::<std::io::Result<Vec<_>>>()?;
    // Times are in the frames, so the start is set first, late enough for cutting them.
    let start_us = now_us() + 2_000_000 + 200 * backlog.records as i64;
    let story = Story { backlog: backlog.clone(), start_us };
    let bodies = story.bodies();
    let ages = Histogram::new_with_bounds(1, 600_000_000, 3)?;
    let counted = (start_us, i64::MAX);
    let mut run = Run { story, bodies, meters, due: 0, closed: false, old_left: 0, acknowledged: 0, last_news_us: now_us(), counted, ages };
    tell(&Stage::Ready { start_us })?;

    (0..run.meters.len()).try_for_each(|number| run.send(number, now_us()))?;
    let begin_us = run.story.begin_us();
    run.until(&mut sockets, |_, now| now >= begin_us)?;
    let before = Age::of(&run.ages);
    tell(&Stage::Begin(run.counts()))?;

    let begin_us = now_us();
    run.ages.reset();
    run.counted.0 = begin_us;
    run.old_left = backlog.meters * backlog.frames();
    for number in 0..run.meters.len() {
        run.meters[number].window.come_back();
        run.send(number, now_us())?;
    }
    run.until(&mut sockets, |run, _| run.old_left == 0)?;
    let end_us = now_us();
    tell(&Stage::End(run.counts()))?;

    // What was due by now and is not acknowledged yet counts with the age that it will have.
    run.counted.1 = end_us;
    run.closed = true;
    run.until(&mut sockets, |run, _| run.meters.iter().all(|meter| meter.window.is_drained()))?;
    let windows = || run.meters.iter().map(|meter| &meter.window);
    tell(&Stage::Returned {
        orders: windows().map(|window| window.order().clone()).collect::<Vec<Order>>(),
        missing: windows().filter(|window| !window.is_drained()).count(),
        repeated: windows().map(|window| window.repeated).sum(),
        seconds: (end_us - begin_us) as f64 / 1e6,
        before,
        meanwhile: Age::of(&run.ages),
    })
}

impl Run {
    fn counts(&self) -> Counts {
        Counts { acknowledged: self.acknowledged, waiting: 0 }
    }

    /// Serves all meters until `done`, or until nothing has been acknowledged for too long.
    fn until(&mut self, sockets: &mut Sockets, done: impl Fn(&Self, i64) -> bool) -> anyhow::Result<()> {
        let mut look_us = 0;
        loop {
            let now = now_us();
            if done(self, now) || now - self.last_news_us > GIVE_UP_US {
                return Ok(());
            }
            self.offer_due(now)?;
            if now >= look_us {
                look_us = now + TICK_US;
                self.look(now)?;
            }
            self.wait(sockets)?;
        }
    }

    fn next_due_us(&self) -> i64 {
        self.story.due_us(self.due % self.meters.len(), self.due / self.meters.len())
    }

    fn offer_due(&mut self, now: i64) -> anyhow::Result<()> {
        while !self.closed && self.next_due_us() <= now {
            let number = self.due % self.meters.len();
            self.due += 1;
            self.meters[number].window.offer_live();
            self.send(number, now)?;
        }
        Ok(())
    }

    fn wait(&mut self, sockets: &mut Sockets) -> anyhow::Result<()> {
        let ready = sockets.wait(self.next_due_us() - now_us())?;
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

    /// Sends what the window allows, in one TLS record if it fits.
    fn send(&mut self, number: usize, now: i64) -> anyhow::Result<()> {
        let Meter { connection, window, topic, packets } = &mut self.meters[number];
        let mut bytes = Vec::new();
        while let Some((part, first_seq)) = window.send(now) {
            *packets = packets.checked_add(1).unwrap_or(1);
            bytes.extend(mqtt::publish(topic, *packets, &self.story.frame(&self.bodies, number, part, first_seq)));
        }
        if bytes.is_empty() { Ok(()) } else { connection.send(&bytes).context("a meter is cut") }
    }

    fn receive(&mut self, number: usize, now: i64) -> anyhow::Result<()> {
        let Meter { connection, window, .. } = &mut self.meters[number];
        let (mut newly, mut old) = (0, 0);
        let (story, ages, (from_us, to_us)) = (&self.story, &mut self.ages, self.counted);
        connection
            .receive(|packet| {
                let Incoming::Message(payload) = packet else { return };
                let ack = Ack::decode(payload).expect("the processor's acknowledgements are sound");
                window.acknowledge(ack.through, now, |part| {
                    newly += 1;
                    match part {
                        Part::Hello => {}
                        Part::Live(reading) => {
                            let due_us = story.due_us(number, reading);
                            if (from_us..to_us).contains(&due_us) {
                                ages.saturating_record((now - due_us).max(1) as u64);
                            }
                        }
                        Part::Backlog(_) => old += 1,
                    }
                });
            })
            .with_context(|| format!("meter {number} is cut"))?;
        if newly > 0 {
            self.acknowledged += newly;
            self.old_left -= old;
            self.last_news_us = now;
        }
        Ok(())
    }

    /// Sends again what was not acknowledged in time.
    fn look(&mut self, now: i64) -> anyhow::Result<()> {
        for number in 0..self.meters.len() {
            if self.meters[number].window.go_back(now) {
                self.send(number, now)?;
            }
        }
        Ok(())
    }
}
