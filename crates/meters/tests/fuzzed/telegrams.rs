//! Any bytes as a P1 port's stream.

use crc::{CRC_16_ARC, Crc};
use meters::dsmr_p1::Receiver;

/// Panics if what the receiver promises does not hold.
pub fn check(bytes: &[u8]) {
    let mut receiver = Receiver::<1_024>::default();
    for (at, byte) in bytes.iter().enumerate() {
        let Ok(Some(telegram)) = receiver.push(*byte) else { continue };
        // It stands in the stream as it is told, with its check sum behind it.
        let whole = format!("/{}\r\n\r\n{}", telegram.identification, telegram.text);
        let said = format!("{whole}{:04X}", Crc::<u16>::new(&CRC_16_ARC).checksum(whole.as_bytes()));
        let heard = &bytes[..=at];
        let tail = &heard[heard.len() - said.len()..];
        assert!(tail.eq_ignore_ascii_case(said.as_bytes()), "{said}");
        if let Ok(readout) = telegram.readout() {
            for register in readout.registers() {
                assert!(telegram.text.contains(register.address) && register.values().next().is_some());
                register.values().for_each(|value| assert!(value.text.len() <= 2_048 && value.unit.len() <= 16));
                let _ = (register.value().quantity(), register.value().date_time());
            }
        }
    }
    assert!(usize::try_from(receiver.noise()).is_ok_and(|noise| noise <= bytes.len()));
}
