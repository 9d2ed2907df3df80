#![no_main]

#[path = "../../crates/meters/tests/fuzzed/telegrams.rs"]
mod telegrams;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| telegrams::check(bytes));
