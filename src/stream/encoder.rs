use super::{
    Bounds, CameraSource, Demand, Hub, Journeys, Mailbox, Passed, Pulse, SourceFrame, Taken,
    copy::{self, Passing},
    overlay::Overlay,
    sync::lock,
};
use crate::{
    codec::{self, CodecError, Converter, H264Settings, MakePicture, Picture},
    device::slate::Slate,
    media::{AccessUnit, EncoderChoice, FrameRate, H264Format, H264Profile, RawFrame, Size, TrackFormat, VideoCodec},
    rtp::Packetizer,
    time::{MonoTime, WallClock, WallTime},
};
use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

/// How often an encoder without frames looks whether its source has fallen silent.
const LOOK_AROUND: Duration = Duration::from_millis(250);

/// What a stream's picture is to be.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoSettings {
    /// None: the camera's.
    pub size: Option<Size>,
    /// At most so many pictures per second; None: the camera's.
    pub fps: Option<FrameRate>,
    /// Bit/s.
    pub bitrate: u32,
    /// How far the bitrate may be raised at run time without a new encoder, in bit/s.
    pub bitrate_ceiling: u32,
    /// Between these the bitrate follows the network.
    pub adapt: Option<Bounds>,
    pub gop: Duration,
    pub profile: H264Profile,
    pub codec: VideoCodec,
    pub encoder: EncoderChoice,
    /// Name and time in the picture.
    pub overlay: bool,
    /// None: as many as the board needs.
    pub slices: Option<u32>,
    pub frame_skip: bool,
    /// The largest RTP packet in bytes.
    pub packet_size: usize,
}

/// A running encoder thread, `enc-NAME`, or the one that passes on what the camera encoded. Ends when dropped.
pub struct VideoEncoder {
    source: Arc<CameraSource>,
    mailbox: Arc<Mailbox<SourceFrame>>,
    bitrate: Arc<AtomicU32>,
    overlay: Arc<AtomicBool>,
    /// The encoder that runs.
    kind: Arc<Mutex<Option<String>>>,
    demand: Arc<Demand>,
    pulse: Pulse,
}

impl VideoEncoder {
    /// Starts encoding `source`, or passing it on, for `hub`'s video track.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(hub: Arc<Hub>, source: Arc<CameraSource>, settings: VideoSettings) -> io::Result<Self> {
        let bitrate = Arc::new(AtomicU32::new(settings.bitrate));
        let overlay = Arc::new(AtomicBool::new(settings.overlay));
        let (kind, pulse) = (Arc::default(), Pulse::default());
        let (name, demand) = (format!("enc-{}", hub.name()), hub.demand().clone());
        if settings.codec == VideoCodec::Copy {
            let mailbox = source.subscribe(Mailbox::ordered(), demand.clone(), copy::thinned(source.wish(), &settings));
            let passing = Passing::new(hub, source.clone(), mailbox.clone(), settings, pulse.clone());
            thread::Builder::new().name(name).spawn(move || passing.run())?;
            return Ok(Self { source, mailbox, bitrate, overlay, kind, demand, pulse });
        }
        let mailbox = source.subscribe(Mailbox::new(), demand.clone(), settings.fps);
        let encoding = Encoding {
            kind: Arc::clone(&kind),
            pulse: pulse.clone(),
            mailbox: mailbox.clone(),
            source: source.clone(),
            bitrate: bitrate.clone(),
            overlay: overlay.clone(),
            track: hub.video().expect("an encoder is started for a stream with video"),
            size: settings.size,
            hub,
            settings,
            packetizer: None,
            running: None,
            unit: AccessUnit::default(),
            journeys: Journeys::default(),
            last_stamp: MonoTime::ZERO,
            slates: 0,
            complaint: String::new(),
        };
        thread::Builder::new().name(name).spawn(move || encoding.run())?;
        Ok(Self { source, mailbox, bitrate, overlay, kind, demand, pulse })
    }

    /// Changes the bitrate (bit/s) from the next picture on; a camera's own is set when it is opened.
    pub fn set_bitrate(&self, bitrate: u32) {
        self.bitrate.store(bitrate, Ordering::Relaxed);
    }

    /// Whether name and time are written into the picture, from the next one on.
    pub fn set_overlay(&self, overlay: bool) {
        self.overlay.store(overlay, Ordering::Relaxed);
    }

    /// What encodes: `openh264`, or `m2m` and the name of the board's encoder; None while nothing does.
    pub fn kind(&self) -> Option<String> {
        lock(&self.kind).clone()
    }

    /// The camera's pictures that it was too slow for.
    pub fn missed(&self) -> u64 {
        self.mailbox.lost()
    }

    /// Rises while the thread goes on, with the camera's pictures or the slate; None while nobody watches.
    pub fn pulse(&self) -> Option<u64> {
        self.demand.wanted(MonoTime::now()).then(|| self.pulse.count())
    }
}

impl Drop for VideoEncoder {
    fn drop(&mut self) {
        self.source.unsubscribe(&self.mailbox);
    }
}

struct Encoding {
    hub: Arc<Hub>,
    track: usize,
    source: Arc<CameraSource>,
    mailbox: Arc<Mailbox<SourceFrame>>,
    settings: VideoSettings,
    bitrate: Arc<AtomicU32>,
    overlay: Arc<AtomicBool>,
    kind: Arc<Mutex<Option<String>>>,
    pulse: Pulse,
    /// Fixed by the configuration or by the first picture; viewers never see it change.
    size: Option<Size>,
    packetizer: Option<Packetizer>,
    running: Option<Running>,
    unit: AccessUnit,
    /// Of the camera's pictures that are being encoded.
    journeys: Journeys,
    last_stamp: MonoTime,
    slates: u64,
    complaint: String,
}

/// The encoder while somebody watches.
struct Running {
    encoder: codec::VideoEncoder,
    converter: Converter,
    /// Drawn when the source first falls silent: most never do, and it takes as much memory as a few pictures.
    slate: Option<Slate>,
    overlay: Option<Overlay>,
    size: Size,
    fps: FrameRate,
    bitrate: u32,
}

/// Makes the stream's picture of one frame.
struct Maker<'a> {
    converter: &'a mut Converter,
    overlay: Option<&'a mut Overlay>,
    /// It is one already, in the stream's size and upright.
    slate: bool,
    /// When it was made.
    made: Option<MonoTime>,
}

impl MakePicture for Maker<'_> {
    fn keeps(&self, frame: &RawFrame) -> bool {
        self.slate || self.overlay.is_none() && self.converter.keeps(frame)
    }

    fn make<'a>(&'a mut self, frame: &'a RawFrame) -> Result<Picture<'a>, CodecError> {
        let picture = if self.slate { Picture::of(frame) } else { self.converter.convert(frame) }?;
        let picture = match &mut self.overlay {
            Some(overlay) => overlay.draw(&picture, WallClock::start().wall(frame.stamp)),
            None => picture,
        };
        self.made = Some(MonoTime::now());
        Ok(picture)
    }
}

impl Encoding {
    fn run(mut self) {
        loop {
            self.pulse.beat();
            match self.mailbox.take(self.deadline()) {
                Taken::Closed => return,
                Taken::Item(SourceFrame { frame, fps, dequeued }) => {
                    let done = self.encode(&frame, fps, Some(dequeued));
                    self.report(done);
                }
                Taken::Nothing if !self.hub.demand().wanted(MonoTime::now()) => {
                    if self.running.take().is_some() {
                        self.packetizer.iter_mut().for_each(Packetizer::rest);
                        codec::give_back_pages();
                    }
                    *lock(&self.kind) = None;
                }
                Taken::Nothing => {
                    let done = self.publish_ready().and_then(|()| self.encode_slate(MonoTime::now()));
                    self.report(done);
                }
            }
        }
    }

    /// When to look around if no frame comes: for the next slate, or for the source's silence. Without demand, never.
    fn deadline(&self) -> Option<MonoTime> {
        let now = MonoTime::now();
        match &self.running {
            _ if !self.hub.demand().wanted(now) => self.running.as_ref().map(|_| now),
            Some(running) if self.source.silence(now).is_some() => Some(self.last_stamp + running.fps.interval()),
            _ => Some(now + LOOK_AROUND),
        }
    }

    fn encode_slate(&mut self, now: MonoTime) -> Result<(), CodecError> {
        let Some(reason) = self.source.silence(now) else { return Ok(()) };
        let source = self.source.clone();
        let wish = source.wish();
        let (size, fps) = (
            self.size.unwrap_or(wish.orientation.turned(wish.size)),
            self.settings.fps.unwrap_or(wish.fps).min(wish.fps),
        );
        if now < self.last_stamp + fps.interval() && self.running.is_some() {
            return Ok(());
        }
        self.slates += 1;
        let sequence = self.slates;
        let fps = self.running.as_ref().map_or(fps, |running| running.fps);
        let running = self.prepare(size, fps)?;
        let slate = running.slate.get_or_insert_with(|| Slate::new(size, &wish.name));
        let frame = slate.draw(&reason, WallTime::now(), now, sequence);
        self.encode(&frame, fps, None)
    }

    /// Encodes one picture, and packetizes and publishes what is ready by then. `dequeued`: when the camera's thread had it;
    /// None: a slate, which goes as it is.
    fn encode(&mut self, frame: &RawFrame, fps: FrameRate, dequeued: Option<MonoTime>) -> Result<(), CodecError> {
        if frame.stamp <= self.last_stamp {
            return Ok(());
        }
        let (taken, slate) = (MonoTime::now(), dequeued.is_none());
        let source = self.source.clone();
        let turned = source.wish().orientation.turned(frame.shown);
        let size = self.size.unwrap_or(Size::new(turned.width & !1, turned.height & !1));
        let keyframe = self.hub.take_keyframe_wish();
        let overlaid = self.overlay.load(Ordering::Relaxed);
        let Running { encoder, converter, overlay, .. } = self.prepare(size, fps)?;
        let overlay = match slate || !overlaid {
            true => None,
            false => Some(&mut *overlay.get_or_insert_with(|| Overlay::new(size, &source.wish().name))),
        };
        let mut maker = Maker { converter, overlay, slate, made: None };
        let submitted = encoder.submit(frame, &mut maker, keyframe);
        // What is encoded as the camera gave it is ready when it is taken.
        let converted = maker.made.unwrap_or(taken);
        if let Some(dequeued) = dequeued {
            self.journeys.begin(Passed { stamp: frame.stamp, dequeued, taken, converted });
        }
        self.last_stamp = frame.stamp;
        // What went in before may come out all the same.
        submitted.and(self.publish_ready())
    }

    /// Packetizes and publishes what the encoder has ready.
    fn publish_ready(&mut self) -> Result<(), CodecError> {
        let mut unit = std::mem::take(&mut self.unit);
        while let Some(running) = &mut self.running
            && running.encoder.next(&mut unit)?
        {
            let encoded = MonoTime::now();
            if unit.key {
                // Its parameter sets may be others than before.
                self.announce();
            }
            // Made for the first key frame, before which nothing can be shown.
            let Some(packetizer) = &mut self.packetizer else { continue };
            let batch = packetizer.packetize(&unit);
            let now = MonoTime::now();
            let handled = self.journeys.end(self.hub.latency(), unit.stamp, encoded, now);
            self.hub.publish(self.track, batch, unit.data.len(), handled, now);
        }
        self.unit = unit;
        self.note_fall_back();
        Ok(())
    }

    /// One line when the board's encoder is not used though it was to be. One that failed is not tried again.
    fn note_fall_back(&mut self) {
        if let Some(running) = &self.running
            && let Some(why) = running.encoder.fallen_back()
            && self.settings.encoder != EncoderChoice::OpenH264
        {
            tracing::warn!(stream = self.hub.name(), "openh264 encodes in place of the board's encoder: {why}");
            self.settings.encoder = EncoderChoice::OpenH264;
            *lock(&self.kind) = Some(running.encoder.name());
        }
    }

    /// An encoder for pictures of that size and rate: the running one where it fits, else a new one.
    fn prepare(&mut self, size: Size, fps: FrameRate) -> Result<&mut Running, CodecError> {
        let configured = self.bitrate.load(Ordering::Relaxed);
        let carried = self.hub.carried_bitrate();
        let bitrate = carried.unwrap_or(configured);
        let bounds = self.hub.bitrate_bounds();
        if let Some(running) = &mut self.running
            && running.bitrate != bitrate
            && running.encoder.set_bitrate(bitrate).is_ok()
        {
            running.bitrate = bitrate;
            self.announce();
        }
        let fits = |running: &Running| running.size == size && running.fps == fps && running.bitrate == bitrate;
        if !self.running.as_ref().is_some_and(fits) {
            self.running = None;
            let settings = H264Settings {
                size,
                fps,
                bitrate,
                bitrate_ceiling: bounds.map_or(0, |bounds| bounds.most).max(self.settings.bitrate_ceiling).max(bitrate),
                gop: self.settings.gop,
                profile: self.settings.profile,
                slices: self.settings.slices,
                frame_skip: self.settings.frame_skip,
            };
            let encoder = codec::VideoEncoder::new(&settings, self.settings.encoder)?;
            let converter = Converter::new(size, self.source.wish().orientation);
            tracing::info!(
                stream = self.hub.name(),
                "encodes {size} at {fps} fps, {bitrate} bit/s, with {}{}",
                encoder.name(),
                encoder.slices().map_or(String::new(), |slices| format!(" in {slices} slices"))
            );
            if self.settings.fps.is_some_and(|wanted| wanted > fps) {
                tracing::warn!(stream = self.hub.name(), "the camera gives only {fps} pictures a second");
            }
            self.size = Some(size);
            *lock(&self.kind) = Some(encoder.name());
            self.running = Some(Running { encoder, converter, slate: None, overlay: None, size, fps, bitrate });
            self.note_fall_back();
        }
        Ok(self.running.as_mut().expect("just made where it was missing"))
    }

    /// Tells the hub what the track is now.
    fn announce(&mut self) {
        let Some(running) = &self.running else { return };
        let Some(parameter_sets) = running.encoder.parameter_sets().cloned() else { return };
        let format = TrackFormat::H264(H264Format {
            size: running.size,
            fps: running.fps,
            // What may follow the network is described by the most that it may be.
            bitrate: self.hub.bitrate_bounds().map_or(running.bitrate, |bounds| bounds.most),
            parameter_sets,
        });
        let track = &self.hub.tracks()[self.track];
        if self.packetizer.is_none() {
            let size = self.settings.packet_size;
            self.packetizer =
                Some(Packetizer::new(&format, size, track.ssrc, track.first_sequence, track.timestamp_offset));
        }
        track.set_format(format);
    }

    /// Logs a failure, once for as long as it stays the same.
    fn report(&mut self, done: Result<(), CodecError>) {
        let complaint = done.err().map(|error| error.to_string()).unwrap_or_default();
        if !complaint.is_empty() && complaint != self.complaint {
            tracing::warn!(stream = self.hub.name(), "a picture was not encoded: {complaint}");
            self.complaint = complaint;
        }
    }
}
