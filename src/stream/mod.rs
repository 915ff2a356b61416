//! One live stream: supervised sources, the encoder thread, packetizers, the hub, the key-frame policy.
//!
//! A camera thread puts frames into the [`Mailbox`] of every encoder fed from it; an encoder thread converts, encodes
//! and packetizes, or passes on what the camera encoded, and hands the batch to its stream's [`Hub`], which hands it to
//! every network worker. Whoever watches
//! holds a [`Watch`] on the hub; sources and encoders run while somebody does.

mod adapt;
mod backoff;
mod camera;
mod charge;
mod copy;
mod demand;
mod encoder;
mod errand;
mod hub;
mod keyframe;
mod latency;
mod mailbox;
mod meter;
mod microphone;
mod overlay;
mod pace;
mod pulse;
mod sound;
mod sync;

pub use adapt::{Adaptation, Bounds};
pub use camera::{CameraSource, SourceFrame};
pub use demand::{Demand, Watch};
pub use encoder::{VideoEncoder, VideoSettings};
pub use hub::{Delivery, Hub, HubTrack, Inbox, Trouble};
pub use keyframe::{KeyframeAnswer, KeyframeBudget};
pub use latency::{Journeys, Latency, Passed, Spread, Stage};
pub use mailbox::{Mailbox, Taken};
pub use meter::{Meter, Rates};
pub use microphone::{MicrophoneSource, SoundHealth, SoundOutput};
pub use overlay::Overlay;
pub use pulse::Pulse;
pub use sound::{Level, Loudness, SoundLine};

/// What a camera or microphone is doing.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceState {
    /// Nobody watches.
    Idle,
    Starting,
    Live,
    /// Why nothing comes, in words for a person.
    NoSignal(String),
}
