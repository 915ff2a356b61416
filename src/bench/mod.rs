//! Measuring a server from outside: crowds of viewers that only count what they get, and bare loops that send the same
//! bytes by the same calls to the same receivers, and do nothing else. A figure of the server beside that of a bare loop
//! says how near it is to what the kernel can do, on any machine and on a busy one.

mod bare;
mod crowd;
mod encode;
mod figures;
mod limit;
mod recording;
mod server;
mod sys;
mod tally;
mod viewer;

pub use bare::{Bare, BareRound};
pub use crowd::Crowd;
pub use encode::{Coding, code};
pub use figures::{Figures, Random, load};
pub use limit::{BUSY, Beyond, Limit, Load, limit, load_of, sending_time};
pub use recording::{Recording, Unit};
pub use server::{Server, resident, thread_times};
pub use tally::{Joined, Tally};
pub use viewer::{Viewer, Way, pair};

/// What goes wrong while measuring is only told, never handled.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
