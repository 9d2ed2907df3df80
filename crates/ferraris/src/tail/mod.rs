//! `ferraris tail`: live readings, states and alerts, from the broker.

mod session;
mod view;

use std::time::Duration;

use measure::MeterId;

use crate::output::{self, Outcome};
use session::{Login, Session};
use view::View;

/// How often a table is drawn anew.
const REDRAW: Duration = Duration::from_millis(500);

/// Live readings, states and alerts from the broker, with an operator's certificate.
///
/// On a terminal a table, otherwise a line a message.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    ferraris tail --ca pki/ca.pem --cert pki/issued/alice.pem --key pki/issued/alice.key\n  \
    ferraris tail --broker broker.example.org:8883 --ca ca.pem --cert alice.pem --key alice.key --meter M0001\n  \
    ferraris tail --ca ca.pem --cert alice.pem --key alice.key --json | jq 'select(.topic | startswith(\"alert/\"))'\n\n\
    The certificate must be an operator's: `ferraris pki issue alice --role operator`. It holds one session at a time.")]
pub struct Options {
    #[command(flatten)]
    login: Login,
    /// Only this meter, with all its channels; may be repeated
    #[arg(long = "meter", value_name = "METER")]
    meters: Vec<MeterId>,
    /// One JSON object a line: the topic and its value
    #[arg(long)]
    json: bool,
    /// Lines even on a terminal
    #[arg(long, conflicts_with = "json")]
    lines: bool,
}

/// Runs the command until it is interrupted.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(follow(options))
}

async fn follow(options: &Options) -> anyhow::Result<Outcome> {
    let mut session = Session::open(&options.login, filters(&options.meters))?;
    let mut view = if options.json {
        View::Json
    } else if options.lines || !output::is_terminal() {
        View::Lines
    } else {
        View::table()?
    };
    let mut redraw = tokio::time::interval(REDRAW);
    loop {
        tokio::select! {
            message = session.next() => {
                let (topic, payload) = message?;
                view.message(&topic, &payload)?;
            }
            _ = redraw.tick() => view.redraw(session.is_up())?,
            signal = tokio::signal::ctrl_c() => {
                signal?;
                return Ok(Outcome::Good);
            }
        }
    }
}

/// The topics to subscribe to.
fn filters(meters: &[MeterId]) -> Vec<String> {
    if meters.is_empty() {
        return [wire::topic::LIVE_ALL, wire::topic::STATE_ALL, wire::topic::ALERT_ALL].map(str::to_owned).to_vec();
    }
    let live = |meter| wire::topic::live_filter(meter).as_str().to_owned();
    meters.iter().flat_map(|meter| [live(meter), format!("state/{meter}"), format!("alert/+/{meter}")]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_channels_of_a_meter_are_listened_to() {
        assert_eq!(filters(&["M0001".parse().unwrap()]), ["live/M0001/#", "state/M0001", "alert/+/M0001"]);
        assert_eq!(filters(&[]), ["live/#", "state/+", "alert/+/+"]);
    }
}
