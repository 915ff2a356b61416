use super::{
    Demand, Mailbox, SourceState,
    pace::Thinning,
    sync::{Bell, lock},
};
use crate::{
    device::{
        Camera, CameraWish, DeviceError, camera_control, camera_controls, hotplug::Hotplug, list::ControlInfo,
        open_camera, set_camera_control,
    },
    media::{ControlValue, FrameRate, RawFrame},
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

/// From the first failure to the next try; doubled up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// A camera that delivers nothing for this long, or for three frame times, has stalled.
const SHORTEST_PATIENCE: Duration = Duration::from_secs(2);
/// A camera that works this long starts with a short pause again.
const PROVEN: Duration = Duration::from_secs(10);

/// A camera that never ends: its supervisor thread opens it, hands its frames to the encoders that are wanted, and opens
/// it again when it fails.
pub struct CameraSource {
    shared: Arc<Shared>,
}

struct Shared {
    wish: CameraWish,
    state: Mutex<State>,
    subscribers: Mutex<Vec<Subscriber>>,
    /// Set at run time; set again whenever the camera is opened anew.
    controls: Mutex<Vec<(String, ControlValue)>>,
    /// Wakes the supervisor when demand rises or the end comes.
    bell: Bell,
    stop: AtomicBool,
    /// Somebody who passes the camera's H.264 on needs a key frame.
    keyframe_wanted: AtomicBool,
    /// The camera takes requests for key frames; true until it refused one.
    takes_requests: AtomicBool,
    dropped: AtomicU64,
    opened: AtomicU64,
}

struct State {
    state: SourceState,
    last_frame: MonoTime,
}

struct Subscriber {
    mailbox: Arc<Mailbox<SourceFrame>>,
    demand: Arc<Demand>,
    fps: Option<FrameRate>,
    thinning: Option<Thinning>,
}

/// A frame for an encoder.
pub struct SourceFrame {
    pub frame: Arc<RawFrame>,
    /// The rate at which this encoder gets them.
    pub fps: FrameRate,
}

impl CameraSource {
    /// Starts the thread `cam-NAME`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(wish: CameraWish) -> io::Result<Arc<Self>> {
        let shared = Arc::new(Shared {
            wish,
            state: Mutex::new(State { state: SourceState::Idle, last_frame: MonoTime::now() }),
            subscribers: Mutex::default(),
            controls: Mutex::default(),
            bell: Bell::default(),
            stop: AtomicBool::new(false),
            keyframe_wanted: AtomicBool::new(false),
            takes_requests: AtomicBool::new(true),
            dropped: AtomicU64::new(0),
            opened: AtomicU64::new(0),
        });
        let supervisor = shared.clone();
        thread::Builder::new().name(format!("cam-{}", shared.wish.name)).spawn(move || supervisor.supervise())?;
        Ok(Arc::new(Self { shared }))
    }

    pub fn wish(&self) -> &CameraWish {
        &self.shared.wish
    }

    /// An encoder's mailbox: while `demand` lasts it gets frames, at most `fps` a second.
    pub fn subscribe(
        &self,
        mailbox: Mailbox<SourceFrame>,
        demand: Arc<Demand>,
        fps: Option<FrameRate>,
    ) -> Arc<Mailbox<SourceFrame>> {
        let mailbox = Arc::new(mailbox);
        let (shared, poked) = (Arc::downgrade(&self.shared), Arc::downgrade(&mailbox));
        demand.on_raise(move || {
            if let Some(mailbox) = poked.upgrade() {
                mailbox.poke();
            }
            if let Some(shared) = shared.upgrade() {
                shared.bell.ring();
            }
        });
        lock(&self.shared.subscribers).push(Subscriber { mailbox: mailbox.clone(), demand, fps, thinning: None });
        self.shared.bell.ring();
        mailbox
    }

    /// Ends what [`CameraSource::subscribe`] began.
    pub fn unsubscribe(&self, mailbox: &Arc<Mailbox<SourceFrame>>) {
        lock(&self.shared.subscribers).retain(|subscriber| !Arc::ptr_eq(&subscriber.mailbox, mailbox));
        mailbox.close();
    }

    pub fn state(&self) -> SourceState {
        lock(&self.shared.state).state.clone()
    }

    /// The camera's controls. May block in its driver.
    ///
    /// # Errors
    /// It is absent, or has none.
    pub fn controls(&self) -> Result<Vec<ControlInfo>, DeviceError> {
        camera_controls(&self.wish().device)
    }

    /// One control of the camera. May block in its driver.
    ///
    /// # Errors
    /// In words, with the nearest right name.
    pub fn control(&self, name: &str) -> Result<ControlInfo, DeviceError> {
        camera_control(&self.wish().device, name)
    }

    /// Sets a control, now and whenever the camera is opened anew; what it is then. May block in its driver.
    ///
    /// # Errors
    /// In words, with the nearest right name or value.
    pub fn set_control(&self, name: &str, value: ControlValue) -> Result<ControlInfo, DeviceError> {
        let control = set_camera_control(&self.wish().device, name, &value)?;
        let mut controls = lock(&self.shared.controls);
        controls.retain(|(set, _)| *set != control.name);
        controls.push((control.name.clone(), value));
        Ok(control)
    }

    /// Why there is no picture now, or None while frames come or are about to.
    pub fn silence(&self, now: MonoTime) -> Option<String> {
        let state = lock(&self.shared.state);
        match &state.state {
            SourceState::NoSignal(reason) => Some(reason.clone()),
            SourceState::Idle => None,
            // The device thread itself says so when a camera stalls; this is for one that is stuck in its driver.
            SourceState::Starting | SourceState::Live => {
                let quiet = now.since(state.last_frame);
                (quiet > SHORTEST_PATIENCE * 2)
                    .then(|| format!("the camera has not answered for {} s", quiet.as_secs()))
            }
        }
    }

    /// Asks a camera that encodes by itself for a key frame. Whether it can be asked shows in
    /// [`CameraSource::takes_requests`] by the next frame.
    pub fn request_keyframe(&self) {
        self.shared.keyframe_wanted.store(true, Ordering::Release);
    }

    /// Whether asking for a key frame is of any use.
    pub fn takes_requests(&self) -> bool {
        self.shared.takes_requests.load(Ordering::Relaxed)
    }

    /// Frames lost by the device, the driver or a busy encoder.
    pub fn dropped(&self) -> u64 {
        let busy: u64 = lock(&self.shared.subscribers).iter().map(|subscriber| subscriber.mailbox.lost()).sum();
        self.shared.dropped.load(Ordering::Relaxed) + busy
    }

    /// How often the device was opened again after the first time.
    pub fn reopened(&self) -> u64 {
        self.shared.opened.load(Ordering::Relaxed).saturating_sub(1)
    }
}

impl Drop for CameraSource {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.bell.ring();
    }
}

impl Shared {
    fn supervise(&self) {
        let name = &self.wish.name;
        let mut hotplug = Hotplug::new();
        let mut pause = FIRST_PAUSE;
        while !self.stop.load(Ordering::Acquire) {
            if !self.wanted() {
                self.set_state(SourceState::Idle);
                self.bell.wait();
                continue;
            }
            if self.state() == SourceState::Idle {
                self.set_state(SourceState::Starting);
            }
            let begun = MonoTime::now();
            let Err(error) = open_camera(&self.wish()).and_then(|camera| self.capture(camera)) else { continue };
            let reason = error.to_string();
            if self.state() != SourceState::NoSignal(reason.clone()) {
                tracing::warn!(camera = name, "no picture: {reason}");
            }
            self.set_state(SourceState::NoSignal(reason));
            self.wake_encoders();
            if MonoTime::now() - begun > PROVEN {
                pause = FIRST_PAUSE;
            }
            hotplug.wait(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.set_state(SourceState::Idle);
    }

    /// What is wished now: what was set at run time comes after what it takes the place of.
    fn wish(&self) -> CameraWish {
        let mut wish = self.wish.clone();
        wish.controls.extend(lock(&self.controls).iter().cloned());
        wish
    }

    /// Hands frames on until nobody wants them (Ok) or the camera fails.
    fn capture(&self, mut camera: Box<dyn Camera>) -> Result<(), DeviceError> {
        let mode = camera.mode().clone();
        let opened = self.opened.fetch_add(1, Ordering::Relaxed);
        let patience = (mode.fps.interval() * 3).max(SHORTEST_PATIENCE);
        for subscriber in lock(&self.subscribers).iter_mut() {
            subscriber.thinning = None;
        }
        let (mut live, dropped_before) = (false, self.dropped.load(Ordering::Relaxed));
        while self.wanted() && !self.stop.load(Ordering::Acquire) {
            if self.keyframe_wanted.swap(false, Ordering::Acquire) {
                self.takes_requests.store(camera.request_keyframe(), Ordering::Relaxed);
            }
            let frame = Arc::new(camera.next(patience)?);
            lock(&self.state).last_frame = MonoTime::now();
            if !live {
                live = true;
                if opened > 0 {
                    tracing::info!(camera = self.wish.name, "the picture is back");
                }
                self.set_state(SourceState::Live);
            }
            self.dropped.store(dropped_before + camera.dropped(), Ordering::Relaxed);
            self.hand_out(&frame, mode.fps);
        }
        Ok(())
    }

    fn hand_out(&self, frame: &Arc<RawFrame>, given: FrameRate) {
        let now = MonoTime::now();
        for subscriber in lock(&self.subscribers).iter_mut() {
            let wanted = subscriber.fps.unwrap_or(given);
            let thinning = subscriber.thinning.get_or_insert_with(|| Thinning::new(wanted, given));
            if thinning.keeps(frame.sequence) && subscriber.demand.wanted(now) {
                subscriber.mailbox.put(SourceFrame { frame: frame.clone(), fps: thinning.rate() });
            }
        }
    }

    fn wanted(&self) -> bool {
        let now = MonoTime::now();
        lock(&self.subscribers).iter().any(|subscriber| subscriber.demand.wanted(now))
    }

    fn wake_encoders(&self) {
        lock(&self.subscribers).iter().for_each(|subscriber| subscriber.mailbox.poke());
    }

    fn state(&self) -> SourceState {
        lock(&self.state).state.clone()
    }

    fn set_state(&self, state: SourceState) {
        let mut current = lock(&self.state);
        if matches!(state, SourceState::Starting) {
            current.last_frame = MonoTime::now();
        }
        current.state = state;
    }
}
