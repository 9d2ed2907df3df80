//! Any bytes as what comes back on a module's bus.

use core::time::Duration;

use meters::modbus::Address;
use meters::pzem004t::{ReadAll, ReadSettings, ResetEnergy, SetAddress};
use meters::transaction::{Command, Step, Timing, Transaction};

/// Panics if a value is taken from anything but the one reply that there is.
pub fn check(bytes: &[u8]) {
    let address = Address::GENERAL;
    if let Ok(measurement) = ReadAll.parse(address, bytes) {
        assert_eq!(bytes.len(), 25);
        assert!(measurement.voltage.millivolts() <= 450_000 && measurement.active_power.deciwatts() <= 450_000);
    }
    assert!(ReadSettings.parse(address, bytes).is_err() || bytes.len() == 9);
    assert!(ResetEnergy.parse(address, bytes).is_err() || bytes == ResetEnergy.request(address).as_slice());
    assert!(SetAddress(address).parse(address, bytes).is_err() || bytes.len() == 8);
    // In pieces, and in time.
    let mut transaction = Transaction::new(ReadAll, address, Timing::BAUD_9600, Duration::ZERO);
    let (mut now, mut pieces) = (Duration::ZERO, bytes.chunks(5));
    loop {
        match transaction.poll(now) {
            Step::Send(_) => {}
            Step::Wait(until) => {
                assert!(until >= now, "waits for a time that has passed");
                match pieces.next() {
                    Some(piece) => {
                        now += Duration::from_millis(30);
                        transaction.push(piece, now);
                    }
                    None => now = until,
                }
            }
            Step::Done(_) | Step::Failed(_) => break,
        }
    }
}
