//! Simulated households, meters and faults, seeded; recordings of real meters. For tests and demos only.
//!
//! A [`household::Household`] yields physics, a [`sensor::Sensor`] makes of it what a meter would answer; the truth is kept apart. A
//! [`meter::Meter`] is both of them with the [`faults`] it is given; a [`hostile::Hostile`] says what no meter should. A [`pzem_module`],
//! an [`optical_meter`] and a [`push_meter`] talk on pseudo-terminals, an [`ade7816_chip`] on I²C and SPI; a [`load`] behind a relay is what a
//! module may show. An [`audit`] compares what journals accepted with what Kafka holds. Nothing here knows what a meter's service does with the
//! answers.
//! A [`feeder`] is twenty houses on a line, with a thief, a quarter of an hour at a time.

pub mod ade7816_chip;
pub mod audit;
pub mod faults;
pub mod feeder;
pub mod hostile;
pub mod household;
pub mod load;
pub mod meter;
pub mod optical_meter;
pub mod push_meter;
pub mod pzem_module;
pub mod recording;
pub mod sensor;
pub mod terminal;
