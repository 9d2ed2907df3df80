//! The extended Kalman filter of one metering point.
