//! How messages are shown.

use std::collections::VecDeque;

use contracts::{AlertRecord, LiveValue, StateValue};
use serde_json::{Value, json};
use wire::topic::Topic;

use crate::alerts;
use crate::canvas::Canvas;
use crate::clock;
use crate::output;
use crate::sheet::{self, Sheet};

/// Alerts kept on the screen.
const ALERTS_MAX: usize = 5;

/// A way to show messages.
pub enum View {
    /// A JSON object a line.
    Json,
    /// A line a message, for people.
    Lines,
    /// A table that is drawn anew.
    Table(Box<Screen>),
}

/// What a table shows.
pub struct Screen {
    canvas: Canvas,
    sheet: Sheet,
    alerts: VecDeque<String>,
}

impl View {
    /// A table on a cleared screen.
    pub fn table() -> anyhow::Result<Self> {
        Ok(Self::Table(Box::new(Screen { canvas: Canvas::open()?, sheet: Sheet::default(), alerts: VecDeque::new() })))
    }

    /// Takes one message.
    pub fn message(&mut self, topic: &str, payload: &[u8]) -> anyhow::Result<()> {
        match self {
            Self::Json => {
                let value =
                    serde_json::from_slice(payload).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(payload).into_owned()));
                output::line(json!({ "topic": topic, "value": value }))?;
            }
            Self::Lines => output::line(line(topic, payload))?,
            Self::Table(screen) => screen.message(topic, payload),
        }
        Ok(())
    }

    /// Draws the table, if this is one.
    pub fn redraw(&mut self, connected: bool) -> anyhow::Result<()> {
        let Self::Table(screen) = self else { return Ok(()) };
        let mut below: Vec<String> = screen.alerts.iter().cloned().collect();
        below.push(if connected { "Ctrl-C ends".to_owned() } else { "no connection to the broker; trying again, Ctrl-C ends".to_owned() });
        let room = screen.canvas.height().saturating_sub(below.len()).saturating_sub(1);
        let mut lines = screen.sheet.to_lines(clock::now(), room);
        lines.append(&mut below);
        screen.canvas.draw(&lines, &[])?;
        Ok(())
    }
}

impl Screen {
    fn message(&mut self, topic: &str, payload: &[u8]) {
        match parse(topic, payload) {
            Some(Message::Live(live)) => self.sheet.reading(*live),
            Some(Message::State(state)) => self.sheet.online(state.meter.clone(), state.is_online()),
            Some(Message::Alert(_)) | None => {
                self.alerts.push_back(line(topic, payload));
                while self.alerts.len() > ALERTS_MAX {
                    self.alerts.pop_front();
                }
            }
        }
    }
}

enum Message {
    Live(Box<LiveValue>),
    State(StateValue),
    Alert(Box<AlertRecord>),
}

/// What the table knows how to show; everything else is text.
fn parse(topic: &str, payload: &[u8]) -> Option<Message> {
    match topic.parse().ok()? {
        Topic::Live { .. } => serde_json::from_slice(payload).ok().map(Message::Live),
        Topic::State { .. } => serde_json::from_slice(payload).ok().map(Message::State),
        Topic::Alert { .. } => serde_json::from_slice(payload).ok().map(Message::Alert),
        _ => None,
    }
}

fn line(topic: &str, payload: &[u8]) -> String {
    match parse(topic, payload) {
        Some(Message::Live(live)) => sheet::line(&live),
        Some(Message::State(state)) => {
            format!(
                "{:<12} {} ({})",
                state.meter.as_str(),
                if state.is_online() { "online" } else { "offline" },
                printable(state.why.as_bytes())
            )
        }
        Some(Message::Alert(alert)) => alerts::line(&alert),
        None => format!("{} {}", printable(topic.as_bytes()), printable(payload)),
    }
}

/// Text from outside, without what could move a terminal's cursor.
fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_become_lines() {
        let state = br#"{"meter":"M1","state":"offline","since_ms":5,"at_ms":9,"why":"timeout"}"#;
        assert_eq!(line("state/M1", state), "M1           offline (timeout)");
        assert_eq!(line("alert/critical/M1", b"{\"x\":1}"), "alert/critical/M1 {\"x\":1}");
    }

    #[test]
    fn nothing_from_outside_moves_the_cursor() {
        assert_eq!(line("live/M1", b"\x1b[2Jno json"), "live/M1 \u{fffd}[2Jno json");
    }
}
