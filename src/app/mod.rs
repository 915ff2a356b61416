//! The composition: makes a plan from a config, builds every part from it, applies a changed one, shuts down.

mod access;
mod audit;
mod certificate;
mod controls;
mod doctor;
mod listen;
mod moving;
mod nearest;
mod plan;
mod run;
mod scraped;
mod secret;
mod serving;
mod status;
mod sys;
mod urls;
mod watch;

pub use doctor::{Examined, Server, examine};
pub use run::{Options, run};
