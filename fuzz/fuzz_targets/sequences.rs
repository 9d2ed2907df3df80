#![no_main]

#[path = "../../crates/broker/tests/fuzzed/sequences.rs"]
mod sequences;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sequences::check(bytes));
