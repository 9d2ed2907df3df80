extern crate std;

use std::vec::Vec;

use super::*;

/// 64 blocks: 512 frames.
type Short = Replay<64>;

/// Frames of a lively house: any byte, never the one before.
fn lively(seed: u64, frames: usize) -> Vec<u8> {
    let mut state = seed;
    let mut last = 0;
    let next = |_| {
        state = mixed(state ^ 0x1234_5678);
        let byte = (state >> 40) as u8;
        last = if byte == last { byte ^ 1 } else { byte };
        last
    };
    (0..frames).map(next).collect()
}

fn seen<const BLOCKS: usize>(frames: &[u8]) -> Replay<BLOCKS> {
    let mut replay = Replay::new();
    for frame in frames {
        replay.see(*frame);
        assert_eq!(replay.age(), None);
    }
    replay
}

/// After how many frames of `again` a repetition is told, and its age.
fn found<const BLOCKS: usize>(replay: &mut Replay<BLOCKS>, again: &[u8]) -> Option<(usize, u16)> {
    again.iter().enumerate().find_map(|(at, frame)| {
        replay.see(*frame);
        replay.age().map(|age| (at + 1, age))
    })
}

#[test]
fn a_repetition_is_told_with_its_sixteenth_frame_wherever_it_begins() {
    for length in 100..140 {
        for from in 0..30 {
            let past = lively(1, length);
            if from > 0 && past[from - 1] == past[length - 1] {
                // By chance the repetition begins a frame earlier.
                continue;
            }
            assert_eq!(found(&mut seen::<64>(&past), &past[from..from + 40]), Some((16, (length - from) as u16)), "{length} {from}");
        }
    }
}

#[test]
fn a_repetition_is_found_round_the_end_of_the_ring_and_as_far_back_as_the_ring_goes() {
    let past = lively(2, 1_600);
    // From the second and from the third round of the ring.
    for length in (1_500..1_520).chain(1_524..1_550) {
        for delay in [40, 200, 300, 400, 480, 490] {
            if past[length - delay - 1] == past[length - 1] {
                // By chance the repetition begins a frame earlier.
                continue;
            }
            let mut replay = seen::<64>(&past[..length]);
            let again = &past[length - delay..][..delay.min(40)];
            assert_eq!(found(&mut replay, again), Some((16, delay as u16)), "{length}, {delay} frames ago");
        }
        // What was overwritten is forgotten.
        assert_eq!(found(&mut seen::<64>(&past[..length]), &past[length - 700..length - 600]), None, "{length}");
    }
}

#[test]
fn the_verdict_lasts_as_long_as_the_repetition() {
    let past = lively(3, 200);
    let mut replay: Short = seen(&past);
    for (at, frame) in past[50..150].iter().enumerate() {
        replay.see(*frame);
        assert_eq!(replay.age(), (at >= 15).then_some(150), "frame {at}");
    }
    for frame in lively(4, 300) {
        replay.see(frame);
        assert_eq!(replay.age(), None);
    }
}

#[test]
fn fifteen_frames_are_a_coincidence_and_then_twice_as_many_fresh_ones_are_asked_for() {
    let past = lively(5, 300);
    let mut replay: Short = seen(&past);
    assert_eq!(found(&mut replay, &past[80..95]), None);
    assert_eq!(found(&mut replay, &lively(6, 50)), None);
    assert_eq!(found(&mut replay, &past[150..200]).map(|(frames, _)| frames), Some(30));
    // Two rounds later it is forgotten.
    let mut later = lively(7, 1_100);
    assert_eq!(found(&mut replay, &later), None);
    later.reverse();
    assert_eq!(found(&mut replay, &later[..100]), None);
    assert_eq!(found(&mut replay, &later[20..60]).map(|(frames, _)| frames), Some(16));
}

#[test]
fn what_stands_still_or_goes_back_and_forth_is_no_repetition() {
    for period in 1..=4 {
        let mut replay: Short = Replay::new();
        for frame in 0..3_000u32 {
            replay.see((frame % period) as u8);
            assert_eq!(replay.age(), None, "period {period}");
        }
    }
    let mut replay: Short = Replay::new();
    let loops: Vec<u8> = (0..100).map(|frame| frame % 5).collect();
    assert!(found(&mut replay, &loops).is_some(), "five different frames over and over are one");
}

#[test]
fn a_slow_meters_frames_are_found_and_frames_that_stand_are_not_counted() {
    let fresh = lively(8, 400);
    // Every fourth frame comes twice, as with registers that are refreshed every 1.25 s.
    let polled: Vec<u8> = fresh.iter().enumerate().flat_map(|(k, frame)| [*frame].repeat(if k % 4 == 0 { 2 } else { 1 })).collect();
    assert_eq!(found(&mut seen::<64>(&polled[..450]), &polled[33..80]).map(|(frames, _)| frames), Some(16));
    // Each frame three times: ten fresh ones take thirty.
    let slow: Vec<u8> = fresh.iter().flat_map(|frame| [*frame; 3]).collect();
    assert_eq!(found(&mut seen::<64>(&slow[..300]), &slow[60..150]), None, "a block of three different frames says nothing");
    // Seven frames and then the last one for long: not ten fresh ones.
    let mut stuck = fresh[..200].to_vec();
    stuck.extend([7; 60]);
    let mut again = fresh[190..200].to_vec();
    again.extend([7; 30]);
    let mut replay = seen::<64>(&stuck);
    assert_eq!(found(&mut replay, &again[1..]).map(|(frames, _)| frames), Some(16), "ten fresh ones");
    let mut replay = seen::<64>(&stuck);
    assert_eq!(found(&mut replay, &again[2..]), None, "nine fresh ones");
}

#[test]
fn many_candidates_are_not_all_looked_at() {
    // The same block hundreds of times, between others.
    let mut replay: Replay<900> = Replay::new();
    let block = [1, 2, 3, 4, 5, 6, 7, 8];
    for round in 0..400 {
        for frame in block.iter().chain(&lively(round, 8)) {
            replay.see(*frame);
        }
    }
    assert_eq!(replay.age(), None);
    let past = lively(9, 300);
    for frame in &past {
        replay.see(*frame);
    }
    assert_eq!(found(&mut replay, &past[100..140]).map(|(_, age)| age), Some(200));
}

#[test]
fn without_memory_nothing_is_seen() {
    let mut replay: Replay<0> = Replay::default();
    for frame in [1; 100] {
        replay.see(frame);
    }
    assert_eq!(replay.age(), None);
}

#[test]
fn fingerprints_follow_the_value_of_every_channel() {
    let z = [230.1_f64, 2.262, 497.9, 50.0];
    for channel in 0..CHANNELS {
        let values =
            (0..1_000).map(|k| fingerprint(&core::array::from_fn(|i| if i == channel { z[i] + f64::from(k) * 0.1 } else { z[i] })));
        let different: std::collections::BTreeSet<u8> = values.collect();
        assert!(different.len() > 240, "channel {channel}: {} of 256 bytes", different.len());
    }
    assert_eq!(fingerprint(&[0.0_f32, 1.0, 2.0, 50.0]), fingerprint(&[-0.0_f32, 1.0, 2.0, 50.0]));
}
