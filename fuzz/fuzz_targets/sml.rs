#![no_main]

#[path = "../../crates/meters/tests/fuzzed/sml.rs"]
mod sml;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sml::check(bytes));
