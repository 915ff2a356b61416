//! The queues of a stateful encoder, driven for real: `vicodec` codes FWHT where a board codes H.264, from `vivid`'s
//! pictures. Only where both are loaded, as in the guest `m2m` of `tests/guest`, which runs this with `--ignored`.

use std::{fs, path::PathBuf, process::Command, sync::Arc, thread, time::Duration};

use eyrie::{
    codec::{
        Converter,
        m2m::{Coder, Counts, Failure, Node, encoders},
    },
    device::{Camera, CameraWish, open_camera},
    media::{FrameRate, Lease, Orientation, PixelFormat, RawFrame, Scene, Size},
    time::MonoTime,
};

const FPS: FrameRate = FrameRate::new(15, 1);
const PATIENCE: Duration = Duration::from_secs(5);
/// From one key frame to the next, by vicodec's own count.
const GOP: usize = 10;

/// vicodec's encoder, set to FWHT.
fn vicodec() -> Node {
    let node = encoders(u32::from_le_bytes(*b"FWHT")).next().expect("vicodec's encoder is found by what it can");
    assert_eq!((node.name.as_str(), node.driver.as_str()), ("vicodec", "vicodec"));
    node
}

fn vivid(format: PixelFormat, size: Size) -> Box<dyn Camera> {
    let wish = CameraWish {
        device: "platform:vivid-000".into(),
        name: "vivid".into(),
        size,
        fps: FPS,
        format: Some(format),
        pass_through: None,
        orientation: Orientation::default(),
        controls: Vec::new(),
        scene: Scene::default(),
    };
    let camera = open_camera(&wish).unwrap();
    assert_eq!((camera.mode().format, camera.mode().size), (format, size));
    camera
}

/// A coded picture: FWHT's header (`struct fwht_cframe_hdr`) is ten words, big endian.
struct Unit {
    bytes: Vec<u8>,
    stamp: MonoTime,
}

impl Unit {
    fn word(&self, number: usize) -> u32 {
        u32::from_be_bytes(self.bytes[number * 4..][..4].try_into().unwrap())
    }

    fn size(&self) -> Size {
        Size::new(self.word(3), self.word(4))
    }

    /// `V4L2_FWHT_FL_I_FRAME`.
    fn is_key(&self) -> bool {
        self.word(5) & 1 << 10 != 0
    }
}

struct Encoder {
    coder: Coder,
    converter: Converter,
    /// All that came out.
    units: Vec<Unit>,
    /// The luma of all that went in, and their stamps.
    taken: Vec<(Vec<u8>, MonoTime)>,
}

impl Encoder {
    fn new(size: Size) -> Self {
        let coder = Coder::new(vicodec(), size, FPS);
        Self { coder, converter: Converter::new(size, Orientation::default()), units: Vec::new(), taken: Vec::new() }
    }

    fn submit(&mut self, frame: RawFrame) {
        self.taken.push((luma(&frame), frame.stamp));
        self.coder.submit(&frame, &mut self.converter).unwrap();
    }

    /// Takes what comes until nothing is inside.
    fn collect(&mut self) {
        while self.coder.busy() {
            let coded = self.coder.next(MonoTime::now() + PATIENCE).unwrap().expect("a coded picture");
            assert!(!coded.damaged);
            let unit = Unit { bytes: coded.bytes.to_vec(), stamp: coded.stamp };
            assert_eq!([unit.word(0), unit.word(1)], [0x4f4f_4f4f, u32::MAX], "a header of FWHT");
            self.coder.finish(unit.stamp);
            self.units.push(unit);
        }
    }

    fn code(&mut self, camera: &mut dyn Camera, frames: usize) {
        for _ in 0..frames {
            self.submit(camera.next(PATIENCE).unwrap());
            self.collect();
        }
    }

    fn keys(&self) -> Vec<usize> {
        (0..self.units.len()).filter(|n| self.units[*n].is_key()).collect()
    }

    /// Every picture came out, once, in order, with its stamp.
    fn assert_whole(&self) {
        let (taken, units): (Vec<_>, Vec<_>) =
            (self.taken.iter().map(|(_, stamp)| *stamp).collect(), self.units.iter().map(|unit| unit.stamp).collect());
        assert_eq!(taken, units);
        assert!(taken.is_sorted_by(|a, b| a < b));
    }

    /// vicodec's own decoder gives back what went in.
    fn assert_decodes(&self, size: Size, name: &str) {
        let (coded, decoded) = (PathBuf::from(format!("/tmp/{name}.fwht")), PathBuf::from(format!("/tmp/{name}.yuv")));
        fs::write(&coded, self.units.iter().flat_map(|unit| unit.bytes.clone()).collect::<Vec<_>>()).unwrap();
        let mut v4l2_ctl = Command::new("timeout");
        v4l2_ctl.args([
            "60",
            "v4l2-ctl",
            "-d",
            &decoder(),
            "-x",
            "pixelformat=FWHT",
            "--stream-mmap",
            "--stream-out-mmap",
        ]);
        v4l2_ctl.arg(format!("--stream-from={}", coded.display())).arg(format!("--stream-to={}", decoded.display()));
        let output = v4l2_ctl.output().unwrap();
        let pictures = fs::read(&decoded).unwrap_or_default();
        // Whole blocks, whose last rows nobody sees.
        let rows = if pictures.len() % (size.pixels() as usize * 3 / 2) == 0 {
            size.height
        } else {
            size.height.next_multiple_of(16)
        };
        let length = (size.width * rows) as usize * 3 / 2;
        assert_eq!(pictures.len() / length, self.taken.len(), "{output:?}");
        for (number, (picture, (source, _))) in pictures.chunks(length).zip(&self.taken).enumerate() {
            let psnr = psnr(&picture[..size.pixels() as usize], source);
            assert!(psnr > 30.0, "picture {number}: {psnr:.1} dB");
        }
    }
}

fn decoder() -> String {
    let nodes = fs::read_dir("/sys/class/video4linux").unwrap().map(|entry| entry.unwrap().path());
    let is_decoder = |node: &PathBuf| fs::read_to_string(node.join("name")).unwrap().contains("stateful-decoder");
    let node = nodes.into_iter().find(is_decoder).expect("vicodec's decoder");
    format!("/dev/{}", node.file_name().unwrap().display())
}

/// The luma of a picture, rows without padding.
fn luma(frame: &RawFrame) -> Vec<u8> {
    let (width, plane) = (frame.size.width as usize, frame.planes[0]);
    let rows = frame.plane(0).chunks(plane.stride).take(frame.size.height as usize);
    match frame.format {
        PixelFormat::Yuyv => rows.flat_map(|row| row[..width * 2].iter().step_by(2).copied()).collect(),
        _ => rows.flat_map(|row| row[..width].iter().copied()).collect(),
    }
}

fn psnr(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let squares: u64 = a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
    10.0 * (255.0 * 255.0 * a.len() as f64 / squares.max(1) as f64).log10()
}

/// A picture in memory of this program, as a slate is: slopes, of which the upper ones move with `number`. What stands
/// still is not coded again, so that only a key frame is coded whole.
fn drawn(size: Size, stamp: MonoTime, number: usize) -> RawFrame {
    let (width, luma) = (size.width as usize, size.pixels() as usize);
    let mut buffer = vec![128; luma * 3 / 2];
    for (at, pixel) in buffer[..luma].iter_mut().enumerate() {
        let moved = if at < width * 16 { number } else { 0 };
        *pixel = 80 + ((at % width + moved) % 8 * 8) as u8;
    }
    let planes = RawFrame::layout(PixelFormat::I420, size, size.width as usize, buffer.len()).unwrap();
    let (format, sequence) = (PixelFormat::I420, number as u64);
    RawFrame { format, size, shown: size, planes, stamp, sequence, buffer: Lease::new(buffer) }
}

const VGA: Size = Size::new(640, 480);

#[test]
#[ignore = "needs vivid and vicodec: tests/guest/run m2m"]
fn pictures_that_lie_right_are_read_where_the_camera_put_them() {
    for format in [PixelFormat::I420, PixelFormat::Nv12, PixelFormat::Yuyv] {
        let mut camera = vivid(format, VGA);
        let mut encoder = Encoder::new(VGA);
        encoder.code(&mut *camera, 25);
        encoder.assert_whole();
        assert_eq!(encoder.coder.counts(), Counts { shared: 25, copied: 0 }, "{format}: none was copied");
        assert_eq!(encoder.keys(), [0, GOP, 2 * GOP], "{format}");
        assert!(encoder.units.iter().all(|unit| unit.size() == VGA), "{format}");
        if format != PixelFormat::Yuyv {
            encoder.assert_decodes(VGA, format.name());
        }
    }
}

#[test]
#[ignore = "needs vivid and vicodec: tests/guest/run m2m"]
fn pictures_without_the_rows_that_the_encoder_pads_are_copied_and_cropped() {
    let size = Size::new(640, 360);
    let mut camera = vivid(PixelFormat::I420, size);
    let mut encoder = Encoder::new(size);
    encoder.code(&mut *camera, 12);
    encoder.assert_whole();
    assert_eq!(encoder.coder.counts(), Counts { shared: 0, copied: 12 });
    // 368 rows are coded, 360 shown.
    assert!(encoder.units.iter().all(|unit| unit.size() == size));
    encoder.assert_decodes(size, "padded");
}

#[test]
#[ignore = "needs vivid and vicodec: tests/guest/run m2m"]
fn pictures_of_another_size_are_scaled_into_the_encoders_buffers() {
    let mut camera = vivid(PixelFormat::Yuyv, Size::new(320, 180));
    let mut encoder = Encoder::new(VGA);
    encoder.code(&mut *camera, 5);
    encoder.assert_whole();
    assert_eq!(encoder.coder.counts(), Counts { shared: 0, copied: 5 });
    assert!(encoder.units.iter().all(|unit| unit.size() == VGA));
}

#[test]
#[ignore = "needs vivid and vicodec: tests/guest/run m2m"]
fn a_key_frame_comes_when_it_is_asked_for_and_begins_a_new_period() {
    let mut camera = vivid(PixelFormat::I420, VGA);
    let mut encoder = Encoder::new(VGA);
    encoder.code(&mut *camera, 4);
    // One is inside: it is coded before the encoder begins anew.
    encoder.submit(camera.next(PATIENCE).unwrap());
    encoder.coder.force_key().unwrap();
    encoder.code(&mut *camera, 12);
    encoder.assert_whole();
    assert_eq!(encoder.keys(), [0, 5, 5 + GOP]);
    encoder.assert_decodes(VGA, "forced");
}

#[test]
#[ignore = "needs vivid and vicodec: tests/guest/run m2m"]
fn between_camera_and_slate_nothing_is_lost() {
    let mut encoder = Encoder::new(VGA);
    for round in 0..2 {
        let mut camera = vivid(PixelFormat::I420, VGA);
        for _ in 0..3 {
            encoder.submit(camera.next(PATIENCE).unwrap());
        }
        drop(camera);
        for number in 0..3 {
            // Stamps rise, as a stream's do.
            let stamp = encoder.taken.last().unwrap().1 + Duration::from_millis(1);
            encoder.submit(drawn(VGA, stamp, number + round * 3));
        }
        encoder.collect();
    }
    encoder.assert_whole();
    assert_eq!(encoder.coder.counts(), Counts { shared: 6, copied: 6 });
    assert_eq!(encoder.keys(), [0, 3, 6, 9], "each way begins with a key frame");
    encoder.assert_decodes(VGA, "slate");
}

#[test]
#[ignore = "needs vivid and vicodec: tests/guest/run m2m"]
fn frames_are_given_back_while_the_encoder_runs_and_when_it_ends() {
    let mut camera = vivid(PixelFormat::Nv12, VGA);
    let mut encoder = Encoder::new(VGA);
    // More than the camera has buffers: it would stand still if one were kept.
    encoder.code(&mut *camera, 20);
    let frame = Arc::new(camera.next(PATIENCE).unwrap());
    encoder.coder.submit(&frame, &mut encoder.converter).unwrap();
    let held = Arc::downgrade(&frame);
    drop((frame, encoder));
    assert!(held.upgrade().is_none());
}

#[test]
#[ignore = "needs vivid and vicodec: tests/guest/run m2m"]
fn what_an_encoder_cannot_code_is_refused_before_it_runs() {
    let refused = Coder::new(vicodec(), Size::new(8000, 8000), FPS).can_take().unwrap_err();
    assert!(refused.to_string().contains("at most"), "{refused}");
    assert!(encoders(u32::from_le_bytes(*b"H264")).next().is_none(), "vicodec codes no H.264");
}

/// The last one: the encoder does not come back.
#[test]
#[ignore = "needs vivid and vicodec: tests/guest/run m2m"]
fn zz_an_encoder_that_goes_away_ends_with_an_error_in_time() {
    let mut encoder = Encoder::new(VGA);
    let mut pictures = 0;
    let unbind = thread::spawn(|| {
        thread::sleep(Duration::from_millis(700));
        fs::write("/sys/bus/platform/drivers/vicodec/unbind", "vicodec.0").unwrap();
    });
    let begun = MonoTime::now();
    let failure = loop {
        let frame = drawn(VGA, MonoTime::now(), pictures);
        pictures += 1;
        let next = encoder.coder.submit(&frame, &mut encoder.converter).and_then(|()| {
            let coded = encoder.coder.next(MonoTime::now() + Duration::from_millis(60))?;
            let stamp = coded.map(|coded| coded.stamp);
            stamp.into_iter().for_each(|stamp| encoder.coder.finish(stamp));
            Ok(())
        });
        match next {
            Err(failure) => break failure,
            Ok(()) => assert!(MonoTime::now().since(begun) < Duration::from_secs(10), "it never failed"),
        }
    };
    assert!(matches!(failure, Failure::Encoder(_)), "{failure:?}");
    println!("it ended after {} pictures: {failure:?}", pictures);
    // Whoever still holds the node keeps the driver from letting go.
    drop(encoder);
    unbind.join().unwrap();
}
