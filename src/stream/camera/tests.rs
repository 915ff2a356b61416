//! Cameras that do what a test tells them, where no real device can be made to.

use super::*;
use crate::{
    device::CameraMode,
    media::{EncoderChoice, H264Profile, Lease, Orientation, PixelFormat, Scene, Size, TrackFormat, VideoCodec},
    rtp::PacketBatch,
    stream::{Hub, Inbox, Taken, VideoEncoder, VideoSettings, Watch},
};
use std::sync::mpsc::{Receiver, Sender, channel};

const PATIENCE: Duration = Duration::from_secs(20);
/// By then every call of a driver is overdue.
const AN_HOUR: Duration = Duration::from_secs(3600);
const SIZE: Size = Size::new(64, 48);

/// The strings of one puppet: pictures or an error, and silence while the test says nothing: a driver that hangs.
type Strings = Sender<Result<RawFrame, DeviceError>>;

struct Puppet {
    mode: CameraMode,
    told: Receiver<Result<RawFrame, DeviceError>>,
    dropped: Sender<()>,
}

impl Camera for Puppet {
    fn mode(&self) -> &CameraMode {
        &self.mode
    }

    fn next(&mut self, _: Duration) -> Result<RawFrame, DeviceError> {
        self.told.recv().unwrap_or_else(|_| Err(failure("its strings were cut")))
    }

    fn dropped(&self) -> u64 {
        0
    }
}

impl Drop for Puppet {
    fn drop(&mut self) {
        let _ = self.dropped.send(());
    }
}

fn failure(what: &str) -> DeviceError {
    DeviceError::Failed { device: "puppet".into(), what: what.into() }
}

fn puppet(size: Size, fps: FrameRate) -> (Strings, Box<dyn Camera>, Receiver<()>) {
    let ((strings, told), (dropped, is_dropped)) = (channel(), channel());
    let mode = CameraMode { format: PixelFormat::I420, size, fps };
    (strings, Box::new(Puppet { mode, told, dropped }), is_dropped)
}

fn picture(size: Size, sequence: u64, stamp: MonoTime) -> Result<RawFrame, DeviceError> {
    Ok(RawFrame {
        format: PixelFormat::I420,
        size,
        shown: size,
        planes: RawFrame::layout(PixelFormat::I420, size, size.width as usize, usize::MAX).unwrap(),
        stamp,
        sequence,
        buffer: Lease::new(vec![sequence as u8; size.pixels() as usize * 3 / 2]),
    })
}

fn now_picture(sequence: u64) -> Result<RawFrame, DeviceError> {
    picture(SIZE, sequence, MonoTime::now())
}

fn wish() -> CameraWish {
    CameraWish {
        device: "puppet".into(),
        name: "front".into(),
        size: SIZE,
        fps: FrameRate::new(30, 1),
        format: None,
        pass_through: None,
        orientation: Orientation::default(),
        controls: vec![],
        scene: Scene::Bars,
    }
}

/// A source whose camera is, each time it is opened, the next one of a list.
struct Stage {
    source: Arc<CameraSource>,
    cameras: Sender<Result<Box<dyn Camera>, DeviceError>>,
}

impl Stage {
    fn new() -> Self {
        let (cameras, next) = channel::<Result<Box<dyn Camera>, DeviceError>>();
        let next = Mutex::new(next);
        let absent = || Err(DeviceError::Absent { wanted: "puppet".into(), present: vec![] });
        let open = move |_: &CameraWish| lock(&next).try_recv().unwrap_or_else(|_| absent());
        Self { source: CameraSource::start_with(wish(), Box::new(open)).unwrap(), cameras }
    }

    fn watcher(&self) -> (Arc<Mailbox<SourceFrame>>, Watch) {
        let demand = Demand::new();
        let watch = demand.watch();
        (self.source.subscribe(Mailbox::new(), demand, None), watch)
    }

    fn add(&self) -> (Strings, Receiver<()>) {
        let (strings, camera, dropped) = puppet(SIZE, FrameRate::new(30, 1));
        self.cameras.send(Ok(camera)).unwrap();
        (strings, dropped)
    }
}

/// The next frame; what is only meant to have the taker look around passes by.
fn frame(mailbox: &Mailbox<SourceFrame>) -> RawFrame {
    let deadline = MonoTime::now() + PATIENCE;
    loop {
        match mailbox.take(Some(deadline)) {
            Taken::Item(item) => return item.frame,
            _ => assert!(MonoTime::now() < deadline, "no frame"),
        }
    }
}

fn await_that(what: &str, mut such: impl FnMut() -> bool) {
    let deadline = MonoTime::now() + PATIENCE;
    while !such() {
        assert!(MonoTime::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_thread_stuck_in_its_driver_is_left_and_a_fresh_one_has_the_picture() {
    let stage = Stage::new();
    let (first, first_dropped) = stage.add();
    let (mailbox, _watch) = stage.watcher();
    first.send(now_picture(1)).unwrap();
    assert_eq!(frame(&mailbox).sequence, 1);
    // It says nothing more, and its call does not return.
    let source = &stage.source;
    source.watch_over(MonoTime::now());
    assert_eq!(source.stuck(MonoTime::now()).0, 0, "not before its time");
    await_that("it is in its driver", || source.stuck(MonoTime::now() + AN_HOUR).0 == 1);
    let (second, _second_dropped) = stage.add();
    source.watch_over(MonoTime::now() + AN_HOUR);
    let reason = source.silence(MonoTime::now()).unwrap();
    assert!(reason.contains("its driver has been stuck for"), "{reason}");
    second.send(now_picture(10)).unwrap();
    assert_eq!(frame(&mailbox).sequence, 10);
    assert_eq!((source.state(), source.stuck(MonoTime::now()).0), (SourceState::Live, 1));

    // The old one comes back: it drops its camera, and its picture is nobody's.
    first.send(now_picture(2)).unwrap();
    first_dropped.recv_timeout(PATIENCE).unwrap();
    await_that("it is no longer counted", || source.stuck(MonoTime::now()).0 == 0);
    second.send(now_picture(11)).unwrap();
    assert_eq!(frame(&mailbox).sequence, 11);
    assert_eq!((source.state(), source.silence(MonoTime::now())), (SourceState::Live, None));
}

#[test]
fn threads_that_are_left_are_few() {
    let stage = Stage::new();
    let cameras: Vec<_> = (0..8).map(|_| stage.add()).collect();
    let (_mailbox, _watch) = stage.watcher();
    let source = &stage.source;
    for left in 1..8 {
        await_that("one more hangs", || source.stuck(MonoTime::now() + AN_HOUR).0 == left.min(5));
        source.watch_over(MonoTime::now() + AN_HOUR);
    }
    // The one in charge may come back by itself.
    cameras[4].0.send(now_picture(1)).unwrap();
    await_that("it is live", || source.state() == SourceState::Live);
}

#[test]
fn whatever_the_reason_it_is_told_and_tried_again() {
    let stage = Stage::new();
    let unplugged = || Err(failure("it was unplugged"));
    stage.cameras.send(Err(DeviceError::Unusable { device: "p".into(), reason: "permission denied".into() })).unwrap();
    let (strings, dropped) = stage.add();
    let (mailbox, _watch) = stage.watcher();
    let (begun, source) = (MonoTime::now(), &stage.source);
    strings.send(now_picture(1)).unwrap();
    frame(&mailbox);
    assert!(MonoTime::now() - begun < Duration::from_secs(5), "tried again after a short pause");
    strings.send(unplugged()).unwrap();
    dropped.recv_timeout(PATIENCE).unwrap();
    await_that("its reason is told", || source.silence(MonoTime::now()) == Some("puppet: it was unplugged".into()));
    await_that("it is looked for", || {
        source.silence(MonoTime::now()).is_some_and(|reason| reason.contains("none is there"))
    });
    let (again, _dropped) = stage.add();
    again.send(now_picture(1)).unwrap();
    frame(&mailbox);
    assert_eq!((source.silence(MonoTime::now()), source.reopened()), (None, 1));
}

#[test]
fn a_live_camera_that_says_nothing_is_silent_soon() {
    let stage = Stage::new();
    let (strings, _dropped) = stage.add();
    let (mailbox, _watch) = stage.watcher();
    strings.send(now_picture(1)).unwrap();
    frame(&mailbox);
    assert_eq!(stage.source.silence(MonoTime::now()), None);
    let reason = stage.source.silence(MonoTime::now() + Duration::from_secs(3)).unwrap();
    assert!(reason.contains("has not answered"), "{reason}");
}

/// Time neither falls back nor runs ahead, whatever a camera says, also across one that is opened anew.
#[test]
fn time_never_falls_back() {
    let stage = Stage::new();
    let (strings, _dropped) = stage.add();
    let (mailbox, _watch) = stage.watcher();
    let (mut last, mut sequence) = (MonoTime::ZERO, 0);
    let mut goes_on = |strings: &Strings, stamp: MonoTime| {
        sequence += 1;
        strings.send(picture(SIZE, sequence, stamp)).unwrap();
        let made = frame(&mailbox).stamp;
        assert!(made >= last && made <= MonoTime::now(), "{made:?} after {last:?}");
        last = made;
        made
    };
    let first = MonoTime::now();
    assert_eq!(goes_on(&strings, first), first);
    assert_eq!(goes_on(&strings, MonoTime::ZERO), first);
    goes_on(&strings, first + AN_HOUR);
    strings.send(Err(failure("gone"))).unwrap();
    let (again, _dropped) = stage.add();
    goes_on(&again, first);
    let later = MonoTime::now();
    assert_eq!(goes_on(&again, later), later);
}

/// A camera comes back with other pictures: the stream keeps its size, its clock and its packets' order.
#[test]
fn a_camera_that_comes_back_otherwise_is_scaled() {
    let stage = Stage::new();
    let hub = Hub::new("main", true, false, MonoTime::now());
    let inbox = Arc::new(Inbox::default());
    hub.connect(inbox.clone());
    let _watch = hub.demand().watch();
    let settings = VideoSettings {
        size: None,
        fps: None,
        bitrate: 300_000,
        bitrate_ceiling: 300_000,
        adapt: None,
        gop: Duration::from_secs(60),
        profile: H264Profile::Baseline,
        codec: VideoCodec::H264,
        encoder: EncoderChoice::OpenH264,
        overlay: false,
        slices: Some(1),
        frame_skip: false,
        packet_size: 1200,
    };
    let _encoder = VideoEncoder::start(hub.clone(), stage.source.clone(), settings).unwrap();
    let mut batches: Vec<Arc<PacketBatch>> = vec![];
    let mut published = || {
        let mut deliveries = vec![];
        inbox.drain(&mut deliveries);
        batches.extend(deliveries.into_iter().map(|delivery| delivery.batch));
        batches.clone()
    };
    let size = || match hub.tracks()[0].format() {
        Some(TrackFormat::H264(format)) => Some(format.size),
        _ => None,
    };
    // Nothing is there yet: the slate.
    await_that("a slate", || !published().is_empty());
    for (pictures, fps) in [(Size::new(320, 240), 30), (Size::new(128, 96), 15)] {
        let (strings, camera, _dropped) = puppet(pictures, FrameRate::new(fps, 1));
        stage.cameras.send(Ok(camera)).unwrap();
        let (mut sent, mut sequence) = (vec![], 0);
        // A slate may just have been stamped later than a picture, which is left out then.
        await_that("its pictures are encoded", || {
            let stamp = MonoTime::now();
            sent.push(stamp);
            sequence += 1;
            strings.send(picture(pictures, sequence, stamp)).unwrap();
            published().iter().filter(|batch| sent.contains(&batch.stamp())).count() >= 3
        });
        assert_eq!(size(), Some(SIZE));
        strings.send(Err(failure("gone"))).unwrap();
        let before = published().len();
        await_that("the slate again", || stage.source.silence(MonoTime::now()).is_some() && published().len() > before);
    }
    let batches = published();
    assert!(batches.windows(2).all(|pair| (pair[1].timestamp().wrapping_sub(pair[0].timestamp()) as i32) > 0));
    assert!(batches[0].key(), "it begins with a key frame");
    // Another rate is another encoder, which begins with one too.
    assert!(batches.iter().filter(|batch| batch.key()).count() >= 2);
}
