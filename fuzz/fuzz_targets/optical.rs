#![no_main]

#[path = "../../crates/meters/tests/fuzzed/optical.rs"]
mod optical;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| optical::check(bytes));
