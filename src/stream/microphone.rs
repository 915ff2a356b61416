use super::{
    Hub, SourceState,
    sync::{Bell, lock},
    timeline::Timeline,
};
use crate::{
    codec::audio::AudioEncoder,
    device::{DeviceError, Microphone, MicrophoneMode, MicrophoneWish, hotplug::Hotplug, open_microphone},
    media::{AudioFormat, SampleBlock, TrackFormat},
    rtp::Packetizer,
    time::MonoTime,
};
use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// From one try to open a failed microphone to the next.
const PAUSE: Duration = Duration::from_secs(1);
/// While there is no microphone, silence goes out in pieces of this length.
const SILENCE: Duration = Duration::from_millis(40);
/// A card that delivers nothing for so long has stalled.
const PATIENCE: Duration = Duration::from_secs(2);

/// A microphone that never ends: opened again when it fails, with silence in between. Its thread `mic-NAME` also encodes,
/// for sound is cheap.
pub struct MicrophoneSource {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    wish: MicrophoneWish,
    state: Mutex<SourceState>,
    outputs: Mutex<Vec<SoundOutput>>,
    bell: Bell,
    stop: AtomicBool,
    overruns: AtomicU64,
    silence: AtomicU64,
    opened: AtomicU64,
}

/// A stream's sound track fed from a microphone.
pub struct SoundOutput {
    hub: Arc<Hub>,
    track: usize,
    format: AudioFormat,
    packetizer: Packetizer,
    /// With the rate and channels it was made for.
    encoder: Option<(MicrophoneMode, AudioEncoder)>,
}

impl SoundOutput {
    /// Feeds the sound track of `hub`, which must have one, and announces its format.
    pub fn new(hub: Arc<Hub>, format: AudioFormat, packet_size: usize) -> Self {
        let index = hub.audio().expect("a sound output is made for a stream with sound");
        let (announced, track) = (TrackFormat::Audio(format.clone()), &hub.tracks()[index]);
        let packetizer =
            Packetizer::new(&announced, packet_size, track.ssrc, track.first_sequence, track.timestamp_offset);
        track.set_format(announced);
        Self { track: index, hub, format, packetizer, encoder: None }
    }

    fn encode(&mut self, block: &SampleBlock) -> Result<(), crate::codec::CodecError> {
        let mode = MicrophoneMode { rate: block.rate, channels: block.channels };
        let (_, encoder) = match &mut self.encoder {
            Some(made) if made.0 == mode => made,
            slot => slot.insert((mode, AudioEncoder::new(self.format.clone(), (mode.rate, mode.channels))?)),
        };
        let (hub, track, packetizer) = (&self.hub, self.track, &mut self.packetizer);
        encoder.encode(block, &mut |unit| {
            let batch = Arc::new(packetizer.packetize(unit));
            hub.publish(track, batch, unit.data.len(), MonoTime::now());
        })
    }
}

impl MicrophoneSource {
    /// Starts the thread `mic-NAME`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(name: &str, wish: MicrophoneWish) -> io::Result<Arc<Self>> {
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            wish,
            state: Mutex::new(SourceState::Idle),
            outputs: Mutex::default(),
            bell: Bell::default(),
            stop: AtomicBool::new(false),
            overruns: AtomicU64::new(0),
            silence: AtomicU64::new(0),
            opened: AtomicU64::new(0),
        });
        let supervisor = shared.clone();
        thread::Builder::new().name(format!("mic-{name}")).spawn(move || supervisor.supervise())?;
        Ok(Arc::new(Self { shared }))
    }

    pub fn wish(&self) -> &MicrophoneWish {
        &self.shared.wish
    }

    pub fn add(&self, output: SoundOutput) {
        let shared = Arc::downgrade(&self.shared);
        output.hub.demand().on_raise(move || {
            if let Some(shared) = shared.upgrade() {
                shared.bell.ring();
            }
        });
        lock(&self.shared.outputs).push(output);
        self.shared.bell.ring();
    }

    /// Takes away the output that feeds the stream with that hub.
    pub fn remove(&self, hub: u64) {
        lock(&self.shared.outputs).retain(|output| output.hub.id() != hub);
    }

    pub fn state(&self) -> SourceState {
        lock(&self.shared.state).clone()
    }

    /// How many overruns there were.
    pub fn overruns(&self) -> u64 {
        self.shared.overruns.load(Ordering::Relaxed)
    }

    /// How often the device was opened again after the first time.
    pub fn reopened(&self) -> u64 {
        self.shared.opened.load(Ordering::Relaxed).saturating_sub(1)
    }
}

impl Drop for MicrophoneSource {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.bell.ring();
    }
}

impl Shared {
    fn supervise(&self) {
        let mut hotplug = Hotplug::new();
        let mut timeline = Timeline::default();
        while !self.stop.load(Ordering::Acquire) {
            if !self.wanted() {
                self.set_state(SourceState::Idle);
                timeline = Timeline::default();
                self.bell.wait();
                continue;
            }
            if *lock(&self.state) == SourceState::Idle {
                self.set_state(SourceState::Starting);
            }
            let opened = open_microphone(&self.wish);
            let Err(error) = opened.and_then(|microphone| self.capture(microphone, &mut timeline)) else { continue };
            let reason = error.to_string();
            if *lock(&self.state) != SourceState::NoSignal(reason.clone()) {
                tracing::warn!(microphone = self.name, "no sound: {reason}");
            }
            self.set_state(SourceState::NoSignal(reason));
            let again = MonoTime::now() + PAUSE;
            while MonoTime::now() < again && self.wanted() && !hotplug.wait(SILENCE) {
                self.fill(&mut timeline);
            }
        }
        self.set_state(SourceState::Idle);
    }

    /// Encodes what the microphone gives until nobody wants it (Ok) or it fails.
    fn capture(&self, mut microphone: Box<dyn Microphone>, timeline: &mut Timeline) -> Result<(), DeviceError> {
        let opened = self.opened.fetch_add(1, Ordering::Relaxed);
        let mut live = false;
        while self.wanted() && !self.stop.load(Ordering::Acquire) {
            let mut block = microphone.next(PATIENCE)?;
            if !live {
                live = true;
                if opened > 0 {
                    tracing::info!(microphone = self.name, "the sound is back");
                }
                self.set_state(SourceState::Live);
                if let Some(silence) = timeline.join(&mut block) {
                    self.encode(&silence);
                }
            }
            timeline.passed(&block);
            if block.frames() > 0 {
                self.encode(&block);
            }
            let (overruns, frames) = microphone.overruns();
            self.overruns.store(overruns, Ordering::Relaxed);
            self.silence.store(frames, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Silence up to now.
    fn fill(&self, timeline: &mut Timeline) {
        let silence = timeline.silence_until(MonoTime::now(), self.wish.rate, self.wish.channels);
        if silence.frames() > 0 {
            timeline.passed(&silence);
            self.encode(&silence);
        }
    }

    fn encode(&self, block: &SampleBlock) {
        let now = MonoTime::now();
        for output in lock(&self.outputs).iter_mut().filter(|output| output.hub.demand().wanted(now)) {
            if let Err(error) = output.encode(block) {
                tracing::warn!(stream = output.hub.name(), "sound was not encoded: {error}");
            }
        }
    }

    fn wanted(&self) -> bool {
        let now = MonoTime::now();
        lock(&self.outputs).iter().any(|output| output.hub.demand().wanted(now))
    }

    fn set_state(&self, state: SourceState) {
        *lock(&self.state) = state;
    }
}
