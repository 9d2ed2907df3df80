//! Promise: calibration gives the register values of the paper's tables, to the last bit.

use meters::calibration::{expected_energy, gain, phase_coefficient};

#[test]
fn current_gains() {
    // The paper prints a reading of 300,000 for channels B, C and F, which does not give its own result; these do.
    let readings = [310_000.0, 310_000.0, 320_000.0, 320_000.0, 310_000.0];
    let expected = [0x18_C631, 0x18_C631, 0x14_0000, 0x14_0000, 0x18_C631];
    assert_eq!(readings.map(|reading| gain(370_000.0, reading)), expected.map(Ok));
    assert_eq!(gain(370_000.0, 310_000.0), Ok(1_623_601));
}

#[test]
fn energy_gains() {
    let expected = expected_energy(105.0, 8.0, 6e-5).unwrap();
    assert_eq!(expected, 3_889.0);
    let readings = [3_000.0, 3_100.0, 3_100.0, 3_400.0, 3_200.0, 3_000.0];
    let registers = [0x25_EE40, 0x20_93FC, 0x20_93FC, 0x12_68CF, 0x1B_8F5C, 0x25_EE40];
    assert_eq!(readings.map(|reading| gain(expected, reading)), registers.map(Ok));
}

#[test]
fn phase_coefficients() {
    // The data sheet's table has 0x400C4A for 50 Hz, a misprint.
    assert_eq!([50.0, 60.0].map(|frequency| phase_coefficient(0.0, frequency)), [Ok(0x40_0CA4), Ok(0x40_1235)]);
}
