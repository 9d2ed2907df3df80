//! The delivery contract as a whole: the real meter's side against the real processor's side, with everything between them allowed to
//! fail.
//!
//! A seed is one run. Frames and acknowledgements are lost, repeated, reordered, delayed and damaged; the broker forgets; the meter
//! crashes before and after its journal's commit, or the commit fails; its disk fills up; its clock is known late. The processor is
//! killed, or replaced while it is still alive; its transactions abort, or nobody knows what became of them; frames are poison; Kafka
//! is put back to an earlier state. Then everything heals, and:
//!
//! - every row that the journal took is in the output exactly once, or in a dead letter exactly once, or counted by a gap;
//! - every number was given to one record only;
//! - every stream drains.
//!
//! Where Kafka was put back, rows may come twice, and what it lost after its backup is gone; all else holds.
//!
//! The same harness must find each of the planted bugs: wrappers that break one rule around machines that keep it.
//!
//! `FERRARIS_SEEDS=100000` widens the search; `FERRARIS_SEED=4711` replays one run.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a simulation counts small numbers, and panics where it is wrong"
)]

mod dice;
mod kafka;
mod meter;
mod owner;
mod world;

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use world::{Bug, World};

/// Runs of the ordinary test.
const SEEDS: u64 = 3_000;
/// Runs within which a planted bug must be found.
const SEEDS_PLANTED: u64 = 400;

/// The first violation among the seeds, on as many threads as there are cores.
fn search(seeds: Range<u64>, bug: Option<Bug>) -> Option<(u64, String)> {
    let next = AtomicU64::new(seeds.start);
    let found = Mutex::new(None);
    let work = || {
        while found.lock().unwrap().is_none() {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            if let Err(violation) = World::run(seed, bug) {
                found.lock().unwrap().get_or_insert((seed, violation));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    found.into_inner().unwrap()
}

fn number_from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

#[test]
fn every_record_ends_once_and_every_stream_drains() {
    let seeds = match number_from_environment("FERRARIS_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number_from_environment("FERRARIS_SEEDS").unwrap_or(SEEDS),
    };
    let found = search(seeds, None);
    assert!(found.is_none(), "{found:?}: replay with FERRARIS_SEED");
}

#[test]
fn every_kind_of_trouble_happens() {
    let mut total = world::Seen::new();
    for seed in 0..150 {
        let seen = World::run(seed, None).unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
        seen.into_iter().for_each(|(what, count)| *total.entry(what).or_default() += count);
    }
    println!("{total:#?}");
    for (what, count) in total {
        assert!(count > 0, "no {what} in any run");
    }
}

#[test]
fn a_seed_is_a_run() {
    assert_eq!(World::run(1, Some(Bug::AckAccepted)), World::run(1, Some(Bug::AckAccepted)));
}

macro_rules! planted {
    ($($name:ident: $bug:ident,)*) => {
        $(
            #[test]
            fn $name() {
                let found = search(0..SEEDS_PLANTED, Some(Bug::$bug));
                println!("{found:?}");
                assert!(found.is_some(), "not found in {SEEDS_PLANTED} runs");
            }
        )*
    };
}

planted! {
    planted_ack_accepted: AckAccepted,
    planted_silent_duplicate: SilentDuplicate,
    planted_number_after_publish: NumberAfterPublish,
    planted_ack_unknown_commit: AckUnknownCommit,
    planted_keep_accepted_after_abort: KeepAcceptedAfterAbort,
    planted_no_fencing: NoFencing,
    planted_stop_at_poison: StopAtPoison,
    planted_drop_numbered_when_full: DropNumberedWhenFull,
    planted_give_up_on_stale_ack: GiveUpOnStaleAck,
}
