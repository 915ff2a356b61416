use super::{Out, Seen};
use crate::{
    media::{
        AccessUnit, FrameRate, H264Format, RawFrame, TrackFormat,
        h264::{Assembler, Found, Picture, level_name},
    },
    stream::{CameraSource, Trouble},
    time::MonoTime,
};
use std::time::Duration;

/// A camera that sends parameter sets sends them with its first picture, or when asked for a key frame.
const SETS_WAIT: Duration = Duration::from_secs(3);
/// Longer than the key frames of most cameras are apart.
const KEY_WAIT: Duration = Duration::from_secs(10);
/// How often a camera is asked for the key frame without which nothing can be shown: it takes a few frames to make it.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// From a camera's byte stream to access units that begin with a key picture and lack none.
pub struct H264Way {
    assembler: Assembler,
    /// In bit/s, as the session description tells it.
    bitrate: u32,
    unit: AccessUnit,
    gate: Gate,
    /// The number of the last buffer.
    last: Option<u64>,
    asked: MonoTime,
    flaws: Flaws,
}

/// Nothing passes until a key picture does.
#[derive(Default)]
struct Gate {
    open: bool,
    /// Since when frames come and none of them passes, and whether one of them could be read.
    shut: Option<(MonoTime, bool)>,
}

/// What is wrong with pictures that can be shown, each as it was first seen.
#[derive(Default)]
struct Flaws {
    level: Option<String>,
    interlaced: Option<String>,
    reordered: Option<String>,
}

impl H264Way {
    pub fn new(bitrate: u32, fps: FrameRate) -> Self {
        Self {
            assembler: Assembler::new(fps),
            bitrate,
            unit: AccessUnit::default(),
            gate: Gate::default(),
            last: None,
            asked: MonoTime::ZERO,
            flaws: Flaws::default(),
        }
    }

    /// What comes next does not go on from what came.
    pub fn lost(&mut self) {
        self.assembler.reset();
        self.gate = Gate::default();
        self.last = None;
    }

    pub fn pass(&mut self, frame: &RawFrame, fps: FrameRate, source: &CameraSource, out: &mut Out) -> Seen {
        let now = MonoTime::now();
        if self.last.is_some_and(|last| frame.sequence != last + 1) {
            self.lost();
        }
        self.last = Some(frame.sequence);
        self.assembler.set_fps(fps);
        let mut seen = Seen::Nothing;
        let Self { assembler, bitrate, unit, gate, flaws, .. } = self;
        assembler.push(frame.bytes(), frame.stamp, &mut |found| match found {
            Found::Picture(picture) => {
                if gate.lets(&picture, now) {
                    seen = Seen::Picture;
                    flaws.see(&picture, fps);
                    out.size = Some(picture.size);
                    unit.clone_from(picture.unit);
                    let (size, bitrate, parameter_sets) = (picture.size, *bitrate, picture.sets);
                    out.publish(unit, TrackFormat::H264(H264Format { size, fps, bitrate, parameter_sets }));
                }
            }
            Found::Damaged => gate.open = false,
            Found::Unreadable(why) => seen = Seen::Dark(format!("the camera's H.264 cannot be shown: {why}")),
        });
        if let Seen::Picture = seen {
            out.trouble(self.flaws.told());
        }
        self.ask(source, out, now);
        match (seen, self.gate.verdict(now)) {
            (Seen::Nothing, Some(why)) => Seen::Dark(why.to_owned()),
            (seen, _) => seen,
        }
    }

    /// Passes viewers' wishes for a key frame on to the camera, and its own.
    fn ask(&mut self, source: &CameraSource, out: &Out, now: MonoTime) {
        out.hub.set_takes_requests(source.takes_requests());
        let needed = !self.gate.open && now.since(self.asked) >= ASK_AGAIN;
        if out.hub.take_keyframe_wish() || needed {
            self.asked = now;
            source.request_keyframe();
        }
    }
}

impl Gate {
    fn lets(&mut self, picture: &Picture<'_>, now: MonoTime) -> bool {
        if self.open || picture.unit.key {
            *self = Self { open: true, shut: None };
        } else {
            self.shut.get_or_insert((now, true)).1 = true;
        }
        self.open
    }

    /// Why nothing passes, once that has lasted.
    fn verdict(&mut self, now: MonoTime) -> Option<&'static str> {
        if self.open {
            return None;
        }
        let (since, readable) = *self.shut.get_or_insert((now, false));
        let waited = now.since(since);
        match readable {
            true if waited >= KEY_WAIT => Some(
                "the camera's H.264 has had no key frame (IDR) for 10 s, and viewers cannot begin without; a shorter \
                 interval set at the camera helps, or format = \"mjpeg\"",
            ),
            false if waited >= SETS_WAIT => Some(
                "the camera's H.264 comes without parameter sets (SPS and PPS), so that nobody can decode it; \
                 format = \"mjpeg\" helps",
            ),
            _ => None,
        }
    }
}

impl Flaws {
    fn see(&mut self, picture: &Picture<'_>, fps: FrameRate) {
        if let Some((told, needed)) = picture.low_level {
            self.level.get_or_insert_with(|| {
                format!(
                    "the camera's H.264 says level {}, and {} at {fps} fps needs {}, which viewers are told instead",
                    level_name(told),
                    picture.size,
                    level_name(needed)
                )
            });
        }
        if picture.interlaced {
            self.interlaced.get_or_insert_with(|| {
                "the camera's H.264 is interlaced, which shows as combs on moving edges; a progressive mode helps"
                    .into()
            });
        }
        if picture.bidirectional {
            self.reordered.get_or_insert_with(|| {
                "the camera's H.264 reorders pictures (B-frames), which shows late and unevenly; profile = \"baseline\" \
                 helps"
                    .into()
            });
        }
    }

    fn told(&self) -> Option<Trouble> {
        let told: Vec<&str> =
            [&self.reordered, &self.interlaced, &self.level].into_iter().flatten().map(String::as_str).collect();
        (!told.is_empty()).then(|| Trouble::Flawed(told.join("; ")))
    }
}

#[cfg(test)]
impl H264Way {
    /// As if frames had come for long and none had passed.
    pub fn since_long_shut(&mut self) {
        let (since, _) = self.gate.shut.as_mut().expect("nothing passes");
        *since = since.saturating_sub(KEY_WAIT);
    }
}
