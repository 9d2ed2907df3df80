#![no_main]

#[path = "../../crates/meters/tests/fuzzed/pzem.rs"]
mod pzem;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pzem::check(bytes));
