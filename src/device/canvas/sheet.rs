use super::Canvas;
use crate::{
    media::{FrameBuffer, PixelFormat, RawFrame, Unlent},
    time::MonoTime,
};

/// A canvas together with what its maker knows to be drawn on it.
pub trait Sheet: Send + Sync + 'static {
    fn canvas(&self) -> &Canvas;
}

impl<S: Sheet> FrameBuffer for S {
    fn memory(&self, number: usize) -> &[u8] {
        if number == 0 { self.canvas().bytes() } else { &[] }
    }
}

/// The picture that was drawn on a sheet of a pool.
pub fn drawn<S: Sheet>(sheet: Unlent<'_, S>, stamp: MonoTime, sequence: u64) -> RawFrame {
    let (size, planes) = (sheet.canvas().size(), sheet.canvas().planes());
    RawFrame { format: PixelFormat::I420, size, shown: size, planes, stamp, sequence, buffer: sheet.lend() }
}
