//! What JSON shows is the number itself, to the last digit, and leads back to it.
#![cfg(feature = "serde")]
#![expect(clippy::unwrap_used, reason = "every value of a test can be written")]

use measure::{Account, Deviation, Flags, MeterId, NormalisedInnovation, PowerFactor, StreamId, Volts, WattHours};
use proptest::prelude::*;
use serde::{Serialize, de::DeserializeOwned};

fn there_and_back<T: Serialize + DeserializeOwned>(value: &T) -> T {
    let text = serde_json::to_string(value).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn numbers_look_like_what_a_person_would_write() {
    assert_eq!(serde_json::to_string(&Volts::from_millivolts(230_123)).unwrap(), "230.123");
    assert_eq!(serde_json::to_string(&Volts::from_millivolts(i32::MIN)).unwrap(), "-2147483.648");
    assert_eq!(serde_json::to_string(&Deviation::from_f64(0.0431)).unwrap(), "0.0432");
    assert_eq!(serde_json::to_string(&(Flags::STEP | Flags::SNAPSHOT)).unwrap(), r#"["STEP","SNAPSHOT"]"#);
    assert_eq!(serde_json::to_string(&StreamId(255)).unwrap(), r#""00000000000000ff""#);
    assert_eq!(there_and_back(&"m-0007.3".parse::<Account>().unwrap()).to_string(), "m-0007.3");
}

#[test]
fn what_is_not_a_value_is_refused() {
    assert!(serde_json::from_str::<Volts>("1e300").is_err());
    assert!(serde_json::from_str::<MeterId>(r#""a/b""#).is_err());
    assert!(serde_json::from_str::<Flags>(r#"["NONSENSE"]"#).is_err());
    assert!(serde_json::from_str::<StreamId>(r#""ff""#).is_err());
    assert!(serde_json::from_str::<Account>(r#""M1.03""#).is_err());
}

#[test]
fn every_coarse_value_leads_back() {
    for code in 0..=u8::MAX {
        assert_eq!(there_and_back(&Deviation::from_code(code)).code(), code);
        assert_eq!(there_and_back(&NormalisedInnovation::from_code(code)).code(), code);
    }
}

proptest! {
    #[test]
    fn every_count_leads_back(volts: i32, factor in -1000i16..=1000, energy in -(1i64 << 49)..(1i64 << 49), flags: u32) {
        prop_assume!(volts != i32::MAX && volts != i32::MIN);
        prop_assert_eq!(there_and_back(&Volts::from_millivolts(volts)).millivolts(), volts);
        prop_assert_eq!(there_and_back(&PowerFactor::from_thousandths(factor)).thousandths(), factor);
        prop_assert_eq!(there_and_back(&WattHours::from_centiwatthours(energy)).centiwatthours(), energy);
        let flags = Flags::from_bits_truncate(flags);
        prop_assert_eq!(there_and_back(&flags), flags);
    }
}
