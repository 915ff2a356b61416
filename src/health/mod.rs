//! What a running server says of itself, and how it is told to reload.

pub mod board;
pub mod control;
pub mod doctor;
pub mod metrics;
pub mod status;
pub mod systemd;
pub mod watchdog;
