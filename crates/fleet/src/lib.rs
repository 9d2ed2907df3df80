//! Simulated households, meters and faults, seeded.

pub mod pzem_module;
