//! Simulated households, meters and faults, seeded; recordings of real meters. For tests and demos only.
//!
//! A [`household::Household`] yields physics, a [`sensor::Sensor`] makes of it what a meter would answer; the truth is kept apart. A
//! [`pzem_module`] answers with it on a pseudo-terminal. An [`audit`] compares what journals accepted with what Kafka holds. Nothing here knows what a meter's service does with the answers.

pub mod audit;
pub mod household;
pub mod pzem_module;
pub mod recording;
pub mod sensor;
