//! From the router to meters: one link for all acknowledgements, one for all commands, handed out by the table.

use std::sync::Arc;

use bytes::Bytes;
use measure::MeterId;

use super::Gate;
use super::acl::{ECHO, meter_of};
use super::identity::Role;
use super::inbox::{Pushed, Way};
use crate::reason::Reason;
use crate::router::{Event, Gone, Link, feed};

/// Subscribes the link and hands out what comes, until the gate stops or the router is gone.
pub(crate) async fn run(gate: Arc<Gate>, mut link: Link, way: Way) {
    tokio::select! {
        () = gate.stop.cancelled() => {}
        result = hand_out(&gate, &mut link, way) => {
            if let Err(error) = result {
                tracing::error!(%error, "no more messages for meters");
            }
        }
    }
}

async fn hand_out(gate: &Gate, link: &mut Link, way: Way) -> Result<(), Gone> {
    let mut batch = Vec::new();
    loop {
        link.next(&mut batch).await?;
        for event in batch.drain(..) {
            if let Event::Message(message) = event {
                to_meter(gate, way, &message.topic, message.payload);
            }
        }
        link.done()?;
    }
}

fn to_meter(gate: &Gate, way: Way, topic: &[u8], payload: Bytes) {
    if topic == ECHO.as_bytes() {
        // Whoever sings alone is not counted.
        if let Some(canary) = gate.table.inbox(Role::Canary, gate.canary.name()) {
            canary.push(way, payload);
        }
        return;
    }
    let meter: Option<MeterId> = std::str::from_utf8(topic).ok().and_then(meter_of);
    match meter.and_then(|meter| gate.table.meter(&meter)) {
        None => gate.metrics.dropped(Reason::MeterOffline, 1),
        Some(inbox) => {
            let Pushed { gone, refused } = inbox.push(way, payload);
            if gone > 0 {
                gate.metrics.dropped(Reason::DownQueue, gone);
            }
            match refused {
                Some(reason) => gate.metrics.dropped(reason, 1),
                None => drop(gate.metrics.down.inc()),
            }
        }
    }
}

/// What a way subscribes to on the router.
pub(crate) const fn filter(way: Way) -> &'static str {
    match way {
        Way::Down => feed::DOWN,
        Way::Command => feed::COMMAND,
    }
}
