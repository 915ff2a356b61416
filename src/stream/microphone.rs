use super::{
    Hub, Pulse, SourceState,
    errand::{Errand, Outbox},
    sound::{Fader, Level, Loudness, SoundLine},
    sync::{Bell, lock},
};
use crate::{
    codec::{CodecError, audio::AudioEncoder},
    device::{DeviceError, MicrophoneWish, hotplug::Hotplug, open_microphone},
    media::{AudioFormat, SampleBlock, TrackFormat},
    rtp::Packetizer,
    time::MonoTime,
};
use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::RecvTimeoutError,
    },
    thread,
    time::Duration,
};

/// From the first failure to the next try; doubled up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// While there is no microphone, silence goes out in pieces of this length.
const SILENCE: Duration = Duration::from_millis(40);
/// From then on listeners hear silence: longer than a card's buffer, so that nothing of it is overtaken.
const QUIET: Duration = Duration::from_millis(500);
/// A card that delivers nothing for so long has stalled.
const PATIENCE: Duration = Duration::from_secs(2);
/// A driver that does not return for so long is stuck; longer than [`PATIENCE`].
const STUCK: Duration = Duration::from_secs(3);
/// While so many threads are stuck in a microphone's driver, no further one is sent there.
const MOST_STUCK: u64 = 3;
/// Blocks that wait while this side is busy.
const WAITING: usize = 32;

/// A microphone that never ends: opened again when it fails, with silence in between. Its thread `mic-NAME` encodes, for
/// sound is cheap; another one, `alsa-NAME`, waits for the device.
pub struct MicrophoneSource {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    wish: MicrophoneWish,
    loudness: Mutex<Loudness>,
    state: Mutex<SourceState>,
    outputs: Mutex<Vec<SoundOutput>>,
    bell: Bell,
    stop: AtomicBool,
    health: Mutex<SoundHealth>,
    opened: AtomicU64,
    /// Threads that are stuck in the driver.
    stuck: Arc<AtomicU64>,
    pulse: Pulse,
}

/// What the device's thread tells.
enum Told {
    /// A block, and how often sound was lost so far.
    Block(SampleBlock, u64),
    /// It cannot go on.
    Failed(DeviceError),
}

/// How a microphone fares.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SoundHealth {
    /// How often the device lost sound.
    pub overruns: u64,
    /// The silence that stands for it.
    pub silence: Duration,
    /// By how much the device's clock is fast, in ppm; None until it is known.
    pub drift_ppm: Option<f64>,
    /// Of the last second; None while there is no sound.
    pub level: Option<Level>,
}

/// A stream's sound track fed from a microphone.
pub struct SoundOutput {
    hub: Arc<Hub>,
    track: usize,
    encoder: AudioEncoder,
    packetizer: Packetizer,
}

impl SoundOutput {
    /// Feeds the sound track of `hub`, which must have one, from a microphone that gives `rate` and channels, and
    /// announces its format.
    ///
    /// # Errors
    /// A format that cannot be made of it.
    pub fn new(hub: Arc<Hub>, format: &AudioFormat, input: (u32, u16), packet_size: usize) -> Result<Self, CodecError> {
        let index = hub.audio().expect("a sound output is made for a stream with sound");
        let encoder = AudioEncoder::new(format.clone(), input)?;
        let (announced, track) = (TrackFormat::Audio(format.clone()), &hub.tracks()[index]);
        let packetizer =
            Packetizer::new(&announced, packet_size, track.ssrc, track.first_sequence, track.timestamp_offset);
        track.set_format(announced);
        Ok(Self { track: index, hub, encoder, packetizer })
    }

    fn encode(&mut self, block: &SampleBlock) -> Result<(), CodecError> {
        let (hub, track, packetizer) = (&self.hub, self.track, &mut self.packetizer);
        self.encoder.encode(block, &mut |unit| {
            let batch = packetizer.packetize(unit);
            hub.publish(track, batch, unit.data.len(), None, MonoTime::now());
        })
    }
}

impl MicrophoneSource {
    /// Starts the thread `mic-NAME`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(name: &str, wish: MicrophoneWish, loudness: Loudness) -> io::Result<Arc<Self>> {
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            wish,
            loudness: Mutex::new(loudness),
            state: Mutex::new(SourceState::Idle),
            outputs: Mutex::default(),
            bell: Bell::default(),
            stop: AtomicBool::new(false),
            health: Mutex::default(),
            opened: AtomicU64::new(0),
            stuck: Arc::default(),
            pulse: Pulse::default(),
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

    pub fn health(&self) -> SoundHealth {
        *lock(&self.shared.health)
    }

    pub fn loudness(&self) -> Loudness {
        *lock(&self.shared.loudness)
    }

    /// Changes the loudness under the listeners.
    pub fn set_loudness(&self, loudness: Loudness) {
        *lock(&self.shared.loudness) = loudness;
    }

    /// Threads that never came back from the device's driver.
    pub fn stuck(&self) -> u64 {
        self.shared.stuck.load(Ordering::Relaxed)
    }

    /// Rises while the thread `mic-NAME` goes on, with sound or silence; None while nobody listens.
    pub fn pulse(&self) -> Option<u64> {
        self.shared.wanted().then(|| self.shared.pulse.count())
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
        let mut sound = Sound::new(self);
        let mut pause = FIRST_PAUSE;
        while !self.stop.load(Ordering::Acquire) {
            self.pulse.beat();
            if !self.wanted() {
                self.set_state(SourceState::Idle);
                sound.line.end();
                self.bell.wait();
                continue;
            }
            if *lock(&self.state) == SourceState::Idle {
                self.set_state(SourceState::Starting);
            }
            let Err(error) = self.attend(&mut sound, &mut pause) else { continue };
            let reason = error.to_string();
            if *lock(&self.state) != SourceState::NoSignal(reason.clone()) {
                tracing::warn!(microphone = self.name, "no sound: {reason}");
            }
            self.set_state(SourceState::NoSignal(reason));
            let again = MonoTime::now() + pause;
            pause = (pause * 2).min(LONGEST_PAUSE);
            // Nobody is sent after those who did not come back.
            let hopeless = || self.stuck.load(Ordering::Relaxed) >= MOST_STUCK;
            while (MonoTime::now() < again || hopeless()) && self.wanted() && !self.stop.load(Ordering::Acquire) {
                if hotplug.wait(SILENCE) && !hopeless() {
                    pause = FIRST_PAUSE;
                    break;
                }
                sound.fill(MonoTime::now());
                self.pulse.beat();
            }
        }
        self.set_state(SourceState::Idle);
    }

    /// Encodes what the microphone gives until nobody wants it (Ok) or it fails; silence where it says nothing. Once it
    /// works, `pause` is short again.
    fn attend(&self, sound: &mut Sound, pause: &mut Duration) -> Result<(), DeviceError> {
        let (wish, device) = (self.wish.clone(), self.wish.device.clone());
        let failed = |what: String| DeviceError::Failed { device: device.clone(), what };
        let thread = format!("alsa-{}", self.name);
        let errand = Errand::start(thread.clone(), WAITING, &self.stuck, move |outbox| read(&wish, outbox))
            .map_err(|error| failed(format!("no thread for it: {error}")))?;
        let overruns_before = lock(&self.health).overruns;
        let (mut live, mut heard) = (false, MonoTime::now());
        while self.wanted() && !self.stop.load(Ordering::Acquire) {
            self.pulse.beat();
            match errand.next(SILENCE) {
                Ok(Told::Block(block, overruns)) => {
                    heard = MonoTime::now();
                    if !std::mem::replace(&mut live, true) {
                        self.delivers();
                        *pause = FIRST_PAUSE;
                    }
                    sound.take(&block);
                    lock(&self.health).overruns = overruns_before + overruns;
                }
                Ok(Told::Failed(error)) => {
                    errand.end();
                    return Err(error);
                }
                Err(RecvTimeoutError::Disconnected) => return Err(failed("its thread ended".into())),
                Err(RecvTimeoutError::Timeout) => match MonoTime::now() - heard {
                    quiet if quiet > STUCK => {
                        errand.leave();
                        let what =
                            format!("its driver has not answered for {} s; thread {thread} is left", STUCK.as_secs());
                        return Err(failed(what));
                    }
                    quiet if quiet > QUIET => sound.fill(MonoTime::now()),
                    _ => {}
                },
            }
        }
        if !errand.end() {
            tracing::warn!(microphone = self.name, "{device}: does not close; thread {thread} is left");
        }
        Ok(())
    }

    /// The first block came.
    fn delivers(&self) {
        if self.opened.fetch_add(1, Ordering::Relaxed) > 0 {
            tracing::info!(microphone = self.name, "the sound is back");
        }
        self.set_state(SourceState::Live);
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
        if state != SourceState::Live {
            lock(&self.health).level = None;
        }
        *lock(&self.state) = state;
    }
}

/// Hands over what the microphone gives until it fails or nobody wants more.
fn read(wish: &MicrophoneWish, outbox: &Outbox<Told>) {
    let failed = open_microphone(wish).and_then(|mut microphone| {
        loop {
            let block = microphone.next(PATIENCE)?;
            if !outbox.send(Told::Block(block, microphone.overruns())) {
                return Ok(());
            }
        }
    });
    if let Err(error) = failed {
        outbox.send(Told::Failed(error));
    }
}

/// What the device gives on its way to the encoders.
struct Sound<'a> {
    shared: &'a Shared,
    line: SoundLine,
    fader: Fader,
}

impl<'a> Sound<'a> {
    fn new(shared: &'a Shared) -> Self {
        let MicrophoneWish { rate, channels, map, .. } = &shared.wish;
        Self { shared, line: SoundLine::new(*rate, *channels, map), fader: Fader::new(*rate, *channels) }
    }

    fn take(&mut self, block: &SampleBlock) {
        let (shared, fader) = (self.shared, &mut self.fader);
        let taken = self.line.push(block, &mut |mut block| {
            if let Some(level) = fader.apply(&mut block.samples, *lock(&shared.loudness)) {
                lock(&shared.health).level = Some(level);
            }
            shared.encode(&block);
        });
        if let Err(error) = taken {
            tracing::warn!(microphone = shared.name, "{error}");
        }
        let mut health = lock(&shared.health);
        (health.drift_ppm, health.silence) = (self.line.drift_ppm(), self.line.lost());
    }

    /// Silence up to `now`.
    fn fill(&mut self, now: MonoTime) {
        let shared = self.shared;
        if let Err(error) = self.line.silence_until(now, &mut |block| shared.encode(&block)) {
            tracing::warn!(microphone = shared.name, "{error}");
        }
    }
}
