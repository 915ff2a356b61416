use super::{Out, Seen};
use crate::{
    media::{
        AccessUnit, FrameRate, JpegFormat, RawFrame, TrackFormat,
        jpeg::{Jpeg, LARGEST_SIDE},
    },
    time::MonoTime,
};
use std::time::Duration;

/// A camera whose pictures are of no use for this long gives no others; single ones get damaged on the way.
const BAD_FOR: Duration = Duration::from_secs(1);

/// From a camera's JPEGs to access units that RFC 2435 can carry.
#[derive(Default)]
pub struct JpegWay {
    unit: AccessUnit,
    bad_since: Option<MonoTime>,
}

impl JpegWay {
    pub fn pass(&mut self, frame: &RawFrame, fps: FrameRate, out: &mut Out) -> Seen {
        let carried = Jpeg::parse(frame.bytes()).map_err(str::to_owned).and_then(|jpeg| match jpeg.size {
            size if size.width.max(size.height) > LARGEST_SIDE => {
                Err(format!("a JPEG of {size}, and over RTP no side may be longer than {LARGEST_SIDE}"))
            }
            size => Ok(size),
        });
        let size = match carried {
            Ok(size) => size,
            Err(why) => {
                let now = MonoTime::now();
                let since = *self.bad_since.get_or_insert(now);
                let lasts = now.since(since) >= BAD_FOR;
                let said = || format!("the camera gives {why}, which cannot be passed on; codec = \"h264\" helps");
                return if lasts { Seen::Dark(said()) } else { Seen::Nothing };
            }
        };
        self.bad_since = None;
        self.unit.clear();
        self.unit.push_nal(frame.bytes());
        self.unit.key = true;
        self.unit.stamp = frame.stamp;
        out.size = Some(size);
        out.trouble(None);
        out.hub.set_takes_requests(false);
        out.publish(&mut self.unit, TrackFormat::Jpeg(JpegFormat { size, fps }));
        Seen::Picture
    }
}

#[cfg(test)]
impl JpegWay {
    /// As if no picture had been of use for long.
    pub fn since_long_bad(&mut self) {
        let since = self.bad_since.as_mut().expect("a bad picture came");
        *since = since.saturating_sub(BAD_FOR);
    }
}
