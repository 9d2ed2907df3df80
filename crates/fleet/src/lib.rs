//! Simulated households, meters and faults, seeded.
