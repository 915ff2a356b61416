//! What tests of the whole program share: the server as a process, the marks of its test source, and the judge of what
//! a player made of them.

#![allow(dead_code, unused_imports, reason = "each test binary uses its own part of this")]

pub mod judge;
pub mod marks;
pub mod namespace;
pub mod player;
pub mod program;
pub mod server;

pub use judge::{Expected, Picture, Recording, Sound};
pub use namespace::Namespaces;
pub use player::{Player, Times, missing};
pub use program::camera_program;
pub use server::Server;
