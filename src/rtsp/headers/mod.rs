//! Header values.

pub mod transport;
