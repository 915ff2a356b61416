//! `codec = "copy"`: a camera's own H.264 or JPEG on its way to the viewers, with a slate of the same kind while there is
//! none.

mod h264;
mod jpeg;
mod slate;

#[cfg(test)]
mod tests;

use super::{CameraSource, Hub, Mailbox, Pulse, SourceFrame, Stage, Taken, Trouble, VideoSettings};
use crate::{
    device::CameraWish,
    media::{AccessUnit, FrameRate, PixelFormat, RawFrame, Size, TrackFormat},
    rtp::Packetizer,
    time::{MonoTime, WallTime},
};
use h264::H264Way;
use jpeg::JpegWay;
use slate::CodedSlate;
use std::{sync::Arc, time::Duration};

/// How often it is looked whether the source has fallen silent while nothing comes.
const LOOK_AROUND: Duration = Duration::from_millis(250);

/// What a stream's pictures are; once known it stays so, for viewers were told.
enum Way {
    H264(Box<H264Way>),
    Jpeg(JpegWay),
}

/// What the thread `enc-NAME` does for a stream that encodes nothing.
pub struct Passing {
    source: Arc<CameraSource>,
    mailbox: Arc<Mailbox<SourceFrame>>,
    settings: VideoSettings,
    way: Option<Way>,
    out: Out,
    /// Why no picture of the camera is shown; None while they are.
    missing: Option<String>,
    /// Made when it is first needed, gone when the camera's picture is back.
    slate: Option<CodedSlate>,
    slates: u64,
    unit: AccessUnit,
    resting: bool,
    pulse: Pulse,
}

/// Where pictures go.
struct Out {
    hub: Arc<Hub>,
    track: usize,
    packet_size: usize,
    packetizer: Option<Packetizer>,
    /// Of the last camera picture.
    size: Option<Size>,
    /// When the camera's thread had what is being passed on.
    dequeued: Option<MonoTime>,
    last_stamp: MonoTime,
    last_slate: MonoTime,
}

/// How many pictures a second are passed on, where that is not all: only JPEGs do without one another.
pub fn thinned(wish: &CameraWish, settings: &VideoSettings) -> Option<FrameRate> {
    settings.fps.filter(|_| is_jpeg(wish))
}

/// Whether the camera's pictures are known to be JPEGs: by its format, or because other streams decode them.
fn is_jpeg(wish: &CameraWish) -> bool {
    let decoded = wish.pass_through.as_ref().is_some_and(|passed| !passed.alone);
    wish.format == Some(PixelFormat::Mjpeg) || wish.format.is_none() && decoded
}

impl Passing {
    /// `mailbox` is an ordered one, and gets the frames of `source`.
    pub fn new(
        hub: Arc<Hub>,
        source: Arc<CameraSource>,
        mailbox: Arc<Mailbox<SourceFrame>>,
        settings: VideoSettings,
        pulse: Pulse,
    ) -> Self {
        let wish = source.wish();
        let way = match wish.format {
            Some(PixelFormat::H264) => Some(Way::h264(&settings, wish.fps)),
            _ if is_jpeg(wish) => Some(Way::Jpeg(JpegWay::default())),
            _ => None,
        };
        let out = Out {
            track: hub.video().expect("pictures are passed on for a stream with video"),
            hub,
            packet_size: settings.packet_size,
            packetizer: None,
            size: None,
            dequeued: None,
            last_stamp: MonoTime::ZERO,
            last_slate: MonoTime::ZERO,
        };
        Self {
            source,
            mailbox,
            settings,
            way,
            out,
            missing: None,
            slate: None,
            slates: 0,
            unit: AccessUnit::default(),
            resting: false,
            pulse,
        }
    }

    pub fn run(mut self) {
        loop {
            self.pulse.beat();
            match self.mailbox.take(self.deadline()) {
                Taken::Closed => return,
                Taken::Item(SourceFrame { frame, fps, dequeued }) => {
                    let latency = self.out.hub.latency();
                    latency.note(Stage::Capture, dequeued.since(frame.stamp));
                    latency.note(Stage::Queue, MonoTime::now().since(dequeued));
                    self.out.dequeued = Some(dequeued);
                    self.pass(&frame, fps);
                    self.out.dequeued = None;
                }
                Taken::Nothing => {}
            }
            let now = MonoTime::now();
            if self.out.hub.demand().wanted(now) {
                self.resting = false;
                self.stand_in(now);
            } else {
                self.rest();
            }
        }
    }

    fn deadline(&self) -> Option<MonoTime> {
        let now = MonoTime::now();
        match &self.missing {
            _ if !self.out.hub.demand().wanted(now) => (!self.resting).then_some(now),
            Some(_) if self.way.is_some() => Some(self.out.last_slate + self.slate_fps().interval()),
            _ => Some(now + LOOK_AROUND),
        }
    }

    /// Hands on what of the camera's own coding there is in a frame.
    fn pass(&mut self, frame: &RawFrame, fps: FrameRate) {
        let way = match (&mut self.way, frame.format) {
            (Some(way), _) => way,
            (None, PixelFormat::H264) => self.way.insert(Way::h264(&self.settings, fps)),
            (None, PixelFormat::Mjpeg) => self.way.insert(Way::Jpeg(JpegWay::default())),
            (None, other) => return self.out.dark(&mut self.missing, Way::unfit(other)),
        };
        let seen = match (way, frame.format) {
            (Way::H264(way), PixelFormat::H264) => way.pass(frame, fps, &self.source, &mut self.out),
            (Way::Jpeg(way), PixelFormat::Mjpeg) => way.pass(frame, fps, &mut self.out),
            (_, other) => return self.out.dark(&mut self.missing, Way::unfit(other)),
        };
        match seen {
            Seen::Picture => {
                self.missing = None;
                self.slate = None;
            }
            Seen::Nothing => {}
            Seen::Dark(why) => self.out.dark(&mut self.missing, why),
        }
    }

    /// A slate, where the camera gives no picture and it is time for one.
    fn stand_in(&mut self, now: MonoTime) {
        if let Some(reason) = self.source.silence(now) {
            if let Some(Way::H264(way)) = &mut self.way {
                way.lost();
            }
            self.missing = Some(reason);
        }
        let (Some(reason), Some(way)) = (&self.missing, &self.way) else { return };
        let fps = self.slate_fps();
        if now < self.out.last_slate + fps.interval() {
            return;
        }
        self.out.last_slate = now;
        self.slates += 1;
        let wish = self.source.wish();
        let size = self.out.size.or(self.settings.size).unwrap_or(wish.size);
        let keyframe = self.out.hub.take_keyframe_wish();
        let slate = match &mut self.slate {
            Some(slate) => slate,
            slot => match CodedSlate::new(way, size, fps, &wish.name, &self.settings) {
                Ok(slate) => slot.insert(slate),
                Err(error) => {
                    tracing::warn!(stream = self.out.hub.name(), "no slate can be made: {error}");
                    return;
                }
            },
        };
        match slate.draw(reason, (now, WallTime::now()), self.slates, keyframe, &mut self.unit) {
            Ok(true) => self.out.publish(&mut self.unit, slate.format()),
            Ok(false) => {}
            Err(error) => tracing::warn!(stream = self.out.hub.name(), "a slate was not made: {error}"),
        }
    }

    fn slate_fps(&self) -> FrameRate {
        let wish = self.source.wish();
        self.settings.fps.unwrap_or(wish.fps).min(wish.fps)
    }

    /// Nobody watches: what comes later does not go on from here.
    fn rest(&mut self) {
        self.resting = true;
        (self.missing, self.slate) = (None, None);
        self.out.packetizer.iter_mut().for_each(Packetizer::rest);
        if let Some(Trouble::Dark(_)) = self.out.hub.trouble() {
            self.out.trouble(None);
        }
        if let Some(Way::H264(way)) = &mut self.way {
            way.lost();
        }
    }
}

impl Way {
    fn h264(settings: &VideoSettings, fps: FrameRate) -> Self {
        Self::H264(Box::new(H264Way::new(settings.bitrate, fps)))
    }

    fn unfit(given: PixelFormat) -> String {
        format!("the camera gives {given} now, which this stream cannot pass on; a reload begins it anew")
    }
}

/// What came of a frame.
enum Seen {
    /// A picture of the camera went out.
    Picture,
    /// Nothing did, and the last picture stands.
    Nothing,
    /// Its pictures cannot be shown; why.
    Dark(String),
}

impl Out {
    /// Packetizes and publishes one picture of a track of that format.
    fn publish(&mut self, unit: &mut AccessUnit, format: TrackFormat) {
        // A slate may be younger than the picture that follows it, which was on its way.
        unit.stamp = unit.stamp.max(self.last_stamp + Duration::from_micros(1));
        self.last_stamp = unit.stamp;
        let track = &self.hub.tracks()[self.track];
        let packetizer = self.packetizer.get_or_insert_with(|| {
            Packetizer::new(&format, self.packet_size, track.ssrc, track.first_sequence, track.timestamp_offset)
        });
        let batch = packetizer.packetize(unit);
        track.set_format(format);
        if !batch.is_empty() {
            let now = MonoTime::now();
            let handled = self.dequeued.map(|dequeued| now.since(dequeued));
            self.hub.publish(self.track, batch, unit.data.len(), handled, now);
        }
    }

    /// The camera's pictures cannot be shown. Said once for as long as it stays so.
    fn dark(&self, missing: &mut Option<String>, why: String) {
        self.trouble(Some(Trouble::Dark(why.clone())));
        *missing = Some(why);
    }

    fn trouble(&self, trouble: Option<Trouble>) {
        if self.hub.trouble() == trouble {
            return;
        }
        if let Some(Trouble::Dark(why) | Trouble::Flawed(why)) = &trouble {
            tracing::warn!(stream = self.hub.name(), "{why}");
        }
        self.hub.set_trouble(trouble);
    }
}
