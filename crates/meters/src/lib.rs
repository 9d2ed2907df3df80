//! Drivers: one metering device a file.
