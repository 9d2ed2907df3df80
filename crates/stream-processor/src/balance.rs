//! Where energy goes that no meter registers: pure functions of intervals and time.
//!
//! Four tests, from the plainest to the farthest-seeing; what each finds and what it can't is in docs/theft.md.
//!
//! | room | compares | needs | names |
//! |---|---|---|---|
//! | [`pair`] | a line-side meter with the house meters behind it | classes and resistances | the service |
//! | [`losses`] with [`cusum`] | the line's meter with the sum of all | two weeks of learning | the feeder |
//! | [`mod@drop`] | voltage drops with registered currents | the same, and voltages | the house, or the pole |
//! | [`evidence`] | what a meter's own edge filter noticed | nothing | the meter |
//!
//! And one room says how the phases share what flows: [`unbalance`].
//!
//! A [`watch::FeederWatch`] runs the second and third for one feeder. What a test has to say is a [`finding::Finding`].

#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "numbers and matrices whose dimensions are made here; lengths from outside are checked where they come in"
)]

pub mod cusum;
pub mod drop;
pub mod evidence;
pub mod finding;
pub mod losses;
pub mod pair;
pub mod topology;
pub mod unbalance;
pub mod watch;
