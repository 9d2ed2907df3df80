#![no_main]

#[path = "../../crates/broker/tests/fuzzed/packets.rs"]
mod packets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| packets::check(bytes));
