//! What our encoder costs over bare openh264 with the same parameters on the same frames, and how long it takes to be
//! made. Conversion is not part of it: see the `pixels` bench.

mod measure;

use eyrie::codec::{H264Encoder, H264Settings, Picture};
use eyrie::media::{AccessUnit, FrameRate, H264Profile, Size};
use eyrie::time::MonoTime;
use measure::Random;
use std::time::Duration;

fn main() {
    measure::heading("Encoding a frame, thread CPU time");
    for (size, bitrate) in [(Size::new(640, 360), 500_000), (Size::new(1280, 720), 2_000_000)] {
        let settings = H264Settings {
            size,
            fps: FrameRate::new(30, 1),
            bitrate,
            bitrate_ceiling: bitrate * 2,
            gop: Duration::from_secs(2),
            profile: H264Profile::Baseline,
            slices: Some(1),
            frame_skip: false,
        };
        let frames: Vec<[Vec<u8>; 3]> = (0..30).map(|n| frame(size, n)).collect();
        let mut ours = H264Encoder::new(&settings).expect("an encoder");
        let mut bare = sys::Bare::new(size, bitrate);
        let mut unit = AccessUnit::default();
        let (mut at, mut bare_at) = (0, 0);
        // A whole gop a round, so that each has its key frame.
        measure::ratio(
            &format!("{size} {bitrate} bit/s, to bare openh264"),
            60,
            || {
                let picture = picture(size, &frames[at % frames.len()]);
                let stamp = MonoTime::from_nanos(at as u64 * 33_333_333);
                ours.encode(&picture, stamp, false, &mut unit).expect("a coded picture");
                at += 1;
            },
            || {
                bare.encode(&frames[bare_at % frames.len()], bare_at as i64 * 33);
                bare_at += 1;
            },
        );
    }

    println!("\nMaking an encoder that finds out how many slices it needs");
    for (size, bitrate) in [(Size::new(1280, 720), 2_000_000), (Size::new(1920, 1080), 4_000_000)] {
        let settings = H264Settings {
            size,
            fps: FrameRate::new(30, 1),
            bitrate,
            bitrate_ceiling: bitrate * 2,
            gop: Duration::from_secs(2),
            profile: H264Profile::Baseline,
            slices: None,
            frame_skip: false,
        };
        let start = MonoTime::now();
        let encoder = H264Encoder::new(&settings).expect("an encoder");
        println!("{size}: {:.1} ms, {} slices", (MonoTime::now() - start).as_secs_f64() * 1e3, encoder.slices());
    }
}

fn picture(size: Size, planes: &[Vec<u8>; 3]) -> Picture<'_> {
    let width = size.width as usize;
    Picture { size, planes: planes.each_ref().map(Vec::as_slice), strides: [width, width / 2, width / 2] }
}

/// Shapes that move, with some noise, as a camera gives them.
fn frame(size: Size, n: usize) -> [Vec<u8>; 3] {
    let mut random = Random(n as u64 + 1);
    let mut plane = |width: usize, height: usize, scale: f32| {
        let mut values = Vec::with_capacity(width * height);
        for y in 0..height {
            for x in 0..width {
                let (x, y) = ((x as f32 * scale + n as f32 * 3.0) / 40.0, y as f32 * scale / 30.0);
                values.push((110.0 + 50.0 * (x.sin() + y.cos() * x.cos())) as u8 + random.byte() % 8);
            }
        }
        values
    };
    let (width, height) = (size.width as usize, size.height as usize);
    [plane(width, height, 1.0), plane(width / 2, height / 2, 2.0), plane(width / 2, height / 2, 2.0)]
}

/// openh264 without anything around it.
mod sys {
    use eyrie::media::Size;
    use openh264_sys2::*;
    use std::ptr;

    pub struct Bare {
        raw: *mut ISVCEncoder,
        info: Box<SFrameBSInfo>,
        size: Size,
    }

    impl Bare {
        pub fn new(size: Size, bitrate: u32) -> Self {
            let (width, height) = (size.width as i32, size.height as i32);
            let mut raw: *mut ISVCEncoder = ptr::null_mut();
            // SAFETY: a new encoder is given its defaults, these changes to them, and is initialised once.
            unsafe {
                assert_eq!(DynamicAPI::from_source().WelsCreateSVCEncoder(&raw mut raw), 0);
                let methods = &**raw;
                let mut level: i32 = WELS_LOG_QUIET;
                methods.SetOption.expect("SetOption")(raw, ENCODER_OPTION_TRACE_LEVEL, (&raw mut level).cast());
                let mut params = SEncParamExt::default();
                methods.GetDefaultParams.expect("GetDefaultParams")(raw, &raw mut params);
                (params.iPicWidth, params.iPicHeight) = (width, height);
                (params.iTargetBitrate, params.iMaxBitrate) = (bitrate as i32, bitrate as i32 * 2);
                params.fMaxFrameRate = 30.0;
                params.uiIntraPeriod = 60;
                params.iNumRefFrame = 1;
                params.eSpsPpsIdStrategy = CONSTANT_ID;
                params.bEnableSceneChangeDetect = false;
                params.bEnableFrameSkip = false;
                params.iRCMode = RC_BITRATE_MODE;
                (params.iMinQp, params.iMaxQp) = (12, 51);
                let layer = &mut params.sSpatialLayers[0];
                (layer.iVideoWidth, layer.iVideoHeight) = (width, height);
                (layer.iSpatialBitrate, layer.iMaxSpatialBitrate) = (bitrate as i32, bitrate as i32 * 2);
                layer.fFrameRate = 30.0;
                layer.uiProfileIdc = PRO_BASELINE;
                assert_eq!(methods.InitializeExt.expect("InitializeExt")(raw, &raw const params), 0);
            }
            Self { raw, info: Box::default(), size }
        }

        pub fn encode(&mut self, planes: &[Vec<u8>; 3], milliseconds: i64) {
            let (width, height) = (self.size.width as i32, self.size.height as i32);
            let mut picture = SSourcePicture {
                iColorFormat: videoFormatI420,
                iPicWidth: width,
                iPicHeight: height,
                uiTimeStamp: milliseconds,
                ..Default::default()
            };
            for (i, plane) in planes.iter().enumerate() {
                picture.iStride[i] = if i == 0 { width } else { width / 2 };
                picture.pData[i] = plane.as_ptr().cast_mut();
            }
            // SAFETY: an initialised encoder, planes of its size, and a place for what it tells.
            let result = unsafe {
                (**self.raw).EncodeFrame.expect("EncodeFrame")(self.raw, &raw const picture, &raw mut *self.info)
            };
            assert_eq!(result, 0);
        }
    }

    impl Drop for Bare {
        fn drop(&mut self) {
            // SAFETY: made by WelsCreateSVCEncoder, freed nowhere else.
            unsafe { DynamicAPI::from_source().WelsDestroySVCEncoder(self.raw) }
        }
    }
}
