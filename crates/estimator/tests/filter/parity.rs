//! The filter against vectors of two independent implementations (see `vectors/README.md`).

use crate::vectors::filters::{self, VECTORS};

#[test]
fn plain_filter_equals_filterpy() {
    for (name, noise) in VECTORS {
        let worst = filters::plain_filter(name, &noise);
        assert!(worst.deviation() <= 1e-9, "{name}, relative deviation by column:\n{worst}");
    }
}

#[test]
fn plain_filter_in_single_precision() {
    for (name, noise) in VECTORS {
        let worst = filters::plain_filter_in_single_precision(name, &noise);
        assert!(worst.deviation() <= 1e-3, "{name}, deviation in V:\n{worst}");
    }
}

#[test]
fn whole_filter_equals_the_reference_filter() {
    for (name, noise) in VECTORS {
        let (worst, differing) = filters::whole_filter(name, noise);
        assert!(differing.is_empty(), "{name}: flags differ in rows {differing:?}");
        assert!(worst.deviation() <= 1e-6, "{name}, relative deviation by column:\n{worst}");
    }
}

/// After a load step the prior is 10^9 times as uncertain as the sensor, more than `f32` has digits; the verdicts must not depend on it.
#[test]
fn whole_filter_in_single_precision() {
    for (name, noise) in VECTORS {
        let (worst, differing) = filters::whole_filter_in_single_precision(name, noise);
        assert!(differing.is_empty(), "{name}: flags differ in rows {differing:?}");
        assert!(worst.deviation() <= 1e-3, "{name}, f32 against f64 (V, A, kW, Hz, relative variances):\n{worst}");
    }
}
