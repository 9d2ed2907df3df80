//! Recognises stretches of frames that were measured before: a recording in the place of the meter.
//!
//! Each frame leaves a fingerprint of one byte in a ring of two hours. Every eighth frame closes a block, and blocks are indexed by their
//! content, as a compressor of the LZ77 family indexes strings: so a stretch of 16 frames, wherever it begins, holds a block that was
//! indexed if it is a repetition. The frames around it decide how long the repetition is: 16 frames are one, unless shorter ones come by
//! themselves in this household.
//!
//! What is no evidence: frames that repeat the one before (a meter that refreshes more slowly than it is polled, an idle house behind
//! coarse registers) and stretches of few different frames. And since coincidences in a house that hardly moves grow with the logarithm of
//! the number of comparisons, a verdict needs twice the longest one that was seen and ended by itself.
//!
//! Time and memory are bounded whatever comes: at most [`CANDIDATES`] comparisons of at most [`FRAMES`] bytes a frame.

use crate::Real;
use crate::load::CHANNELS;

/// Frames that a repetition has at least; at one a second it is found with its 16th.
pub const FRAMES: u16 = 16;
/// Frames among them that differ from the one before. Of a PZEM's that are polled once a second 12 or 13 do.
const FRESH: u16 = 10;
/// Frames in a block; any stretch of `2 BLOCK - 1` frames holds a whole one.
const BLOCK: usize = 8;
/// Different frames that make a block worth indexing.
const DIFFERENT: usize = 5;
/// Earlier occurrences of a block that are looked at.
pub const CANDIDATES: usize = 8;
/// A coincidence never counts for more than this many fresh frames: who repeats short stretches must not hide long ones.
const COINCIDENCE_MAX: u16 = 60;

const NONE: u16 = u16::MAX;

/// Two hours of frames at one a second.
pub const TWO_HOURS: usize = 7200 / BLOCK;

/// A byte that stands for a frame's registers: the high bits of a sum of products with odd numbers, one a channel (Dietzfelbinger, *Universal
/// hashing and k-wise independent random variables via integer arithmetic*, 1996).
pub fn fingerprint<F: Real>(z: &[F; CHANNELS]) -> u8 {
    const FACTORS: [u64; CHANNELS] = [0xa076_1d64_78bd_642f, 0xe703_7ed1_a0b4_28db, 0x8ebc_6af0_9c88_c6e3, 0x5899_65cc_7537_4cc3];
    let mut sum = 0u64;
    for i in 0..CHANNELS {
        // A zero is added so that both zeros are one.
        sum = sum.wrapping_add((z[i] + F::ZERO).to_f64().to_bits().wrapping_mul(FACTORS[i]));
    }
    (sum >> 56) as u8
}

/// 2^64 over the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Multiplicative hashing; the high bits are the good ones.
fn mixed(word: u64) -> u64 {
    (word ^ (word >> 32)).wrapping_mul(GOLDEN)
}

/// A monitor that remembers the last `BLOCKS` blocks of eight frames, in 12 bytes each. With 0 it is switched off; at most 8,191.
#[derive(Clone, Debug)]
pub struct Replay<const BLOCKS: usize> {
    blocks: [[u8; BLOCK]; BLOCKS],
    /// By block: the next older block in its bucket.
    older: [u16; BLOCKS],
    /// By bucket: its newest block.
    newest: [u16; BLOCKS],
    /// The last eight frames, the newest in the highest byte.
    recent: u64,
    /// Where the next frame goes.
    next: u16,
    /// Whether every place was written.
    full: bool,
    run: Option<Run>,
    /// Fresh frames of the longest coincidence in this round of the ring, and in the one before.
    coincidence: u16,
    coincidence_before: u16,
}

/// A repetition that goes on.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// The earlier frame that the next one would equal.
    at: u16,
    frames: u16,
    fresh: u16,
    told: bool,
}

impl<const BLOCKS: usize> Replay<BLOCKS> {
    const PLACES: usize = BLOCKS * BLOCK;

    /// Nothing seen yet.
    pub const fn new() -> Self {
        const { assert!(BLOCKS < 8192, "places are counted in 16 bits") };
        Self {
            blocks: [[0; BLOCK]; BLOCKS],
            older: [NONE; BLOCKS],
            newest: [NONE; BLOCKS],
            recent: 0,
            next: 0,
            full: false,
            run: None,
            coincidence: 0,
            coincidence_before: 0,
        }
    }

    /// How many frames ago the frames that are repeated now were seen; `None` if none are.
    pub fn age(&self) -> Option<u16> {
        self.run.filter(|run| run.told).map(|run| self.distance(run.at))
    }

    /// Takes the fingerprint of a frame.
    pub fn see(&mut self, frame: u8) {
        if BLOCKS == 0 {
            return;
        }
        self.follow(frame);
        self.recent = self.recent >> 8 | u64::from(frame) << 56;
        let next = usize::from(self.next);
        if self.run.is_none() && (self.full || next + 1 >= BLOCK) {
            self.run = self.longest(frame);
        }
        self.blocks[next / BLOCK][next % BLOCK] = frame;
        if next % BLOCK == BLOCK - 1 && are_different(self.recent) {
            self.index(next / BLOCK);
        }
        self.next = self.after(self.next);
        if self.next == 0 {
            self.full = true;
            self.coincidence_before = core::mem::take(&mut self.coincidence);
        }
        self.judge();
    }

    /// Goes on with a repetition, or ends it.
    fn follow(&mut self, frame: u8) {
        let Some(run) = self.run else { return };
        if self.frame(run.at) == frame {
            let fresh = u16::from(frame != (self.recent >> 56) as u8);
            let (frames, fresh) = (run.frames.saturating_add(1), run.fresh.saturating_add(fresh));
            self.run = Some(Run { at: self.after(run.at), frames, fresh, ..run });
        } else {
            if !run.told {
                self.coincidence = self.coincidence.max(run.fresh.min(COINCIDENCE_MAX));
            }
            self.run = None;
        }
    }

    fn judge(&mut self) {
        let coincidence = self.coincidence.max(self.coincidence_before);
        if let Some(run) = &mut self.run {
            run.told |= run.frames >= FRAMES && run.fresh >= FRESH.max(coincidence * 2);
        }
    }

    /// The longest repetition that the last eight frames, `frame` being the last of them, are the end of.
    fn longest(&self, frame: u8) -> Option<Run> {
        let mut block = self.newest[bucket(self.recent, BLOCKS)];
        let mut best: Option<Run> = None;
        for _ in 0..CANDIDATES {
            // The block that is being overwritten is half of now and half of two hours ago.
            if block == NONE || usize::from(block) == usize::from(self.next) / BLOCK {
                break;
            }
            if u64::from_le_bytes(self.blocks[usize::from(block)]) == self.recent {
                // Seldom asked, so asked here. What was indexed is worth it, but it may have been overwritten since.
                if !are_different(self.recent) {
                    break;
                }
                let run = self.extended(block, frame);
                best = if best.is_some_and(|best| best.frames >= run.frames) { best } else { Some(run) };
            }
            let older = self.older[usize::from(block)];
            // What is younger than its successor was overwritten since and belongs to another bucket.
            if older == NONE || self.block_age(older) <= self.block_age(block) {
                break;
            }
            block = older;
        }
        best
    }

    /// The repetition of `block` by the last eight frames, with the frames before them as far as they are equal, too.
    fn extended(&self, block: u16, frame: u8) -> Run {
        let last = block * BLOCK as u16 + (BLOCK as u16 - 1);
        let (mut then, mut now) = (last, self.next);
        let (mut frames, mut fresh, mut later) = (1, 0, frame);
        while frames < FRAMES {
            (then, now) = (self.before(then), self.before(now));
            let current = self.frame(now);
            if !self.is_written(then) || !self.is_written(now) || then == self.next || self.frame(then) != current {
                break;
            }
            fresh += u16::from(current != later);
            later = current;
            frames += 1;
        }
        Run { at: self.after(last), frames, fresh: fresh + 1, told: false }
    }

    /// Puts a block that is complete in front of its bucket.
    fn index(&mut self, block: usize) {
        let bucket = bucket(u64::from_le_bytes(self.blocks[block]), BLOCKS);
        let number = block as u16;
        self.older[block] = if self.newest[bucket] == number { NONE } else { self.newest[bucket] };
        self.newest[bucket] = number;
    }

    fn frame(&self, place: u16) -> u8 {
        self.blocks[usize::from(place) / BLOCK][usize::from(place) % BLOCK]
    }

    fn is_written(&self, place: u16) -> bool {
        self.full || place < self.next
    }

    fn after(&self, place: u16) -> u16 {
        if usize::from(place) + 1 == Self::PLACES { 0 } else { place + 1 }
    }

    fn before(&self, place: u16) -> u16 {
        if place == 0 { (Self::PLACES - 1) as u16 } else { place - 1 }
    }

    /// Frames from `place` to the next one.
    fn distance(&self, place: u16) -> u16 {
        let (place, next) = (usize::from(place), usize::from(self.next));
        (if place < next { next - place } else { next + Self::PLACES - place }) as u16
    }

    /// Blocks from `block` to the one that is written now.
    fn block_age(&self, block: u16) -> usize {
        let (block, now) = (usize::from(block), usize::from(self.next) / BLOCK);
        if block < now { now - block } else { now + BLOCKS - block }
    }
}

impl<const BLOCKS: usize> Default for Replay<BLOCKS> {
    fn default() -> Self {
        Self::new()
    }
}

fn bucket(frames: u64, buckets: usize) -> usize {
    let hash = mixed(frames) >> 32;
    ((hash * buckets as u64) >> 32) as usize
}

/// Whether there are enough different frames among these to tell them from others.
fn are_different(frames: u64) -> bool {
    let frames = frames.to_le_bytes();
    let mut different = 1;
    for i in 1..BLOCK {
        different += usize::from(!frames[..i].contains(&frames[i]));
    }
    different >= DIFFERENT
}

#[cfg(test)]
mod tests;
