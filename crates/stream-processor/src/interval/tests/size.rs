//! A million meters fit into 2 GB.

use super::*;

#[test]
fn a_channel_takes_less_than_two_kilobytes() {
    const CHANNELS: usize = 1_000;
    let calendar = Calendar::parse("zone = \"Europe/Berlin\"\ntariffs = [\"a\", \"b\"]\nstandard = \"a\"").unwrap();
    // A horizon of an hour, so that the gap before each first reading is forgotten within the test.
    let settings = Settings { horizon_ms: HOUR, interpolation_ms: HOUR, ..Settings::default() };
    let mut bench = Bench::new(settings, calendar);
    let mut most = 0;
    for minute in 0..26 * 60 {
        let now = START + minute * MINUTE;
        for number in 0..CHANNELS {
            bench.take(&reading(number, now + 7 * SECOND, 1_000.0 + minute as f64));
        }
        bench.tick(now + MINUTE);
        bench.out.clear();
        if minute >= 25 * 60 {
            most = most.max(bench.aggregator.bytes());
        }
    }
    assert_eq!(bench.aggregator.channels(), CHANNELS);
    let a_channel = most / CHANNELS;
    println!(
        "{a_channel} bytes a channel, of which {} in the table",
        size_of::<(MeterId, u8)>() + size_of::<super::super::channel::Channel>()
    );
    println!(
        "{} bytes a window, {} a sample, {} a gap",
        size_of::<super::super::window::Window>(),
        size_of::<super::super::sample::Sample>(),
        size_of::<super::super::gap::Gap>()
    );
    assert!(a_channel <= 2_000, "{a_channel} bytes");
}
