//! What the filter says about bad data, about sound data, and how soon.

pub mod delays;
pub mod false_alarms;
pub mod spikes;
