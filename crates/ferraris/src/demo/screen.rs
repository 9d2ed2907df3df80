//! What the demo shows while it runs: a live table on a terminal, a line now and then elsewhere.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use contracts::LiveValue;
use measure::MeterId;

use super::age::Ages;
use crate::canvas::Canvas;
use crate::clock;
use crate::output;
use crate::sheet::Sheet;

/// How often a terminal is drawn anew, and how often a line is printed elsewhere.
const REDRAW: Duration = Duration::from_millis(500);
const LINE_EVERY: Duration = Duration::from_secs(5);
/// What happened lately, kept on the screen.
const NEWS_MAX: usize = 5;

/// Lines of the table that no hint takes away.
const TABLE_MIN: usize = 10;
const HINTS: &str = "paste into another terminal (Ctrl-C here ends the demo and counts):";
const NO_HINTS: &str = "Ctrl-C ends the demo and counts; a higher window shows lines to paste into another terminal";

/// The numbers below the table.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Records that journals accepted.
    pub produced: u64,
    /// Records seen in Kafka.
    pub committed: u64,
    /// Dead letters seen in Kafka.
    pub dead_lettered: u64,
}

/// The demo's face.
pub struct Screen {
    canvas: Option<Canvas>,
    sheet: Sheet,
    title: String,
    hints: Vec<String>,
    news: VecDeque<String>,
    began: Instant,
    lines_printed: u64,
}

impl Screen {
    /// Opens it: `title` says what runs where, `hints` can be pasted.
    pub fn open(title: String, hints: Vec<String>) -> anyhow::Result<Self> {
        let canvas = if output::is_terminal() { Some(Canvas::open()?) } else { None };
        if canvas.is_none() {
            output::line(&title)?;
            output::line("paste into another terminal:")?;
            hints.iter().try_for_each(|hint| output::line(format_args!("  {hint}")))?;
        }
        let (sheet, news) = (Sheet::default(), VecDeque::new());
        Ok(Self { canvas, sheet, title, hints, news, began: Instant::now(), lines_printed: 0 })
    }

    /// How often [`Screen::tick`] wants to be called.
    pub const TICK: Duration = REDRAW;

    /// Tells what happened.
    pub fn news(&mut self, text: &str) -> anyhow::Result<()> {
        let text = format!("{:>5.1} s  {text}", self.began.elapsed().as_secs_f64());
        if self.canvas.is_none() {
            output::line(&text)?;
        }
        self.news.push_back(text);
        while self.news.len() > NEWS_MAX {
            self.news.pop_front();
        }
        Ok(())
    }

    /// A reading came out of Kafka.
    pub fn reading(&mut self, live: LiveValue) {
        self.sheet.reading(live);
    }

    /// How many records wait in a meter's journal.
    pub fn waiting(&mut self, meter: &MeterId, records: u64) {
        self.sheet.waiting(meter.clone(), records);
    }

    /// Draws, or prints a line if it is time for one.
    pub fn tick(&mut self, counts: Counts, ages: &Ages) -> anyhow::Result<()> {
        let elapsed = self.began.elapsed();
        let line = sum(counts, ages);
        let Some(canvas) = &mut self.canvas else {
            let due = LINE_EVERY.as_secs().saturating_mul(self.lines_printed.saturating_add(1));
            if elapsed.as_secs() >= due {
                self.lines_printed = self.lines_printed.saturating_add(1);
                output::line(format_args!("{:>5.1} s  {line}", elapsed.as_secs_f64()))?;
            }
            return Ok(());
        };
        let mut below = vec![String::new(), format!("{:>5.1} s  {line}", elapsed.as_secs_f64())];
        below.extend(self.news.iter().cloned());
        // The title, the line above the hints, and the one that the cursor stands on.
        let room = canvas.height().saturating_sub(below.len()).saturating_sub(3);
        let (table, has_hints) = divided(room, canvas.lines_of(&self.hints));
        let mut lines = vec![self.title.clone()];
        lines.extend(self.sheet.to_lines(clock::now(), table));
        lines.append(&mut below);
        let (above, hints) = if has_hints { (HINTS, self.hints.as_slice()) } else { (NO_HINTS, [].as_slice()) };
        lines.push(above.to_owned());
        canvas.draw(&lines, hints)?;
        Ok(())
    }
}

/// How many lines the table gets of these, and whether the hints get theirs.
const fn divided(room: usize, hints: usize) -> (usize, bool) {
    match room.checked_sub(hints) {
        Some(table) if table >= TABLE_MIN => (table, true),
        _ => (room, false),
    }
}

fn sum(counts: Counts, ages: &Ages) -> String {
    let Counts { produced, committed, dead_lettered } = counts;
    let age = |percent| ages.percentile(percent).map_or_else(|| "-".to_owned(), |age| format!("{age} ms"));
    format!(
        "produced {produced}, committed {committed}, on their way {}, dead-lettered {dead_lettered}; reading age p50 {}, p99 {}",
        produced.saturating_sub(committed),
        age(50),
        age(99)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_goes_before_the_hints() {
        assert_eq!(divided(40, 8), (32, true));
        assert_eq!(divided(18, 8), (10, true));
        assert_eq!(divided(17, 8), (17, false), "a window of the usual size");
        assert_eq!(divided(3, 8), (3, false));
    }
}
