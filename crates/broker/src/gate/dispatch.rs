//! To meters, by the table: what comes from the router, by one link for acknowledgements and one for commands; and batches of
//! acknowledgements, which the session of the service that published them hands out itself.

use std::sync::Arc;

use bytes::Bytes;
use measure::MeterId;
use wire::AckBatch;
use wire::ack_batch::BatchError;
use wire::topic::Shard;

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
                from_router(gate, way, &message.topic, message.payload);
            }
        }
        link.done()?;
    }
}

/// Hands out a batch of acknowledgements to meters of a shard: all of it, or nothing if something is wrong with it.
pub(crate) fn acks(gate: &Gate, shard: Shard, batch: &[u8]) {
    let entries = match AckBatch::decode(batch) {
        Ok(entries) if entries.clone().all(|(meter, _)| Shard::of(&meter) == shard) => entries,
        Ok(_) => return gate.metrics.dropped(Reason::AcksForeign, 1),
        Err(error) => {
            tracing::debug!(%shard, %error, "a batch of acknowledgements can't be read");
            return gate.metrics.dropped(reason(error), 1);
        }
    };
    for (meter, ack) in entries {
        // Each has bytes of its own: one that waits for its meter must not keep the whole batch.
        to_meter(gate, Way::Down, Some(&meter), Bytes::copy_from_slice(&ack.encode()));
    }
}

const fn reason(error: BatchError) -> Reason {
    match error {
        BatchError::Length(_) | BatchError::Magic(_) | BatchError::Checksum => Reason::AcksDamaged,
        BatchError::UnknownVersion(_) => Reason::AcksVersion,
        BatchError::Meter(_) | BatchError::Truncated | BatchError::NonCanonical => Reason::AcksForm,
    }
}

fn from_router(gate: &Gate, way: Way, topic: &[u8], payload: Bytes) {
    if topic == ECHO.as_bytes() {
        // Whoever sings alone is not counted.
        if let Some(canary) = gate.table.inbox(Role::Canary, gate.canary.name()) {
            canary.push(way, payload);
        }
        return;
    }
    let meter: Option<MeterId> = std::str::from_utf8(topic).ok().and_then(meter_of);
    to_meter(gate, way, meter.as_ref(), payload);
}

fn to_meter(gate: &Gate, way: Way, meter: Option<&MeterId>, payload: Bytes) {
    match meter.and_then(|meter| gate.table.meter(meter)) {
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
pub(crate) const fn feed_of(way: Way) -> &'static str {
    match way {
        Way::Down => feed::DOWN,
        Way::Command => feed::COMMAND,
    }
}
