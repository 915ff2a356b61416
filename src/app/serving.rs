//! What runs: sources, streams, and the worker that serves them.

use super::plan::{Change, Plan, StreamChange, StreamPlan};
use crate::{
    net::{Access, Settings, Table, TableEntry, Worker},
    stream::{CameraSource, Hub, MicrophoneSource, SoundOutput, VideoEncoder, Watch},
    time::MonoTime,
};
use std::{collections::BTreeMap, io, sync::Arc};

/// All that was built from a [`Plan`].
pub struct Serving {
    plan: Plan,
    pub worker: Worker,
    pub cameras: BTreeMap<String, Arc<CameraSource>>,
    pub microphones: BTreeMap<String, Arc<MicrophoneSource>>,
    /// In the order of the plan.
    pub streams: Vec<Running>,
}

/// A stream that runs.
pub struct Running {
    pub plan: StreamPlan,
    pub hub: Arc<Hub>,
    encoder: Option<VideoEncoder>,
    /// Held for a stream that runs without viewers too.
    permanent: Option<Watch>,
}

/// All that can fail of a change, done: what is new runs already, what is old still does.
pub struct Staged {
    plan: Plan,
    change: Change,
    cameras: BTreeMap<String, Arc<CameraSource>>,
    microphones: BTreeMap<String, Arc<MicrophoneSource>>,
    made: Vec<Running>,
}

impl Serving {
    /// Nothing runs yet but the worker.
    pub fn new(worker: Worker) -> Self {
        Self {
            plan: Plan::default(),
            worker,
            cameras: BTreeMap::new(),
            microphones: BTreeMap::new(),
            streams: Vec::new(),
        }
    }

    /// Does all of a change that can fail.
    ///
    /// # Errors
    /// The system gives no thread, or sound cannot be coded so; all is as before.
    pub fn stage(&self, plan: Plan) -> io::Result<Staged> {
        let change = self.plan.diff(&plan);
        let mut cameras = BTreeMap::new();
        for (name, wish) in &plan.cameras {
            let kept = self.cameras.get(name).filter(|_| change.kept_cameras.contains(name));
            cameras
                .insert(name.clone(), kept.map_or_else(|| CameraSource::start(wish.clone()), |kept| Ok(kept.clone()))?);
        }
        let mut microphones = BTreeMap::new();
        for (name, microphone) in &plan.microphones {
            let kept = self.microphones.get(name).filter(|_| change.kept_microphones.contains(name));
            let started = || MicrophoneSource::start(name, microphone.wish.clone(), microphone.loudness);
            microphones.insert(name.clone(), kept.map_or_else(started, |kept| Ok(kept.clone()))?);
        }
        let new = plan.streams.iter().zip(&change.streams).filter(|(_, change)| **change == StreamChange::Make);
        let made: io::Result<_> = new.map(|(stream, _)| self.make(stream, &cameras, &microphones)).collect();
        Ok(Staged { made: made?, plan, change, cameras, microphones })
    }

    fn make(
        &self,
        plan: &StreamPlan,
        cameras: &BTreeMap<String, Arc<CameraSource>>,
        microphones: &BTreeMap<String, Arc<MicrophoneSource>>,
    ) -> io::Result<Running> {
        let hub = Hub::new(&plan.name, plan.video.is_some(), plan.audio.is_some(), MonoTime::now());
        hub.connect(self.worker.inbox().clone());
        if let Some(video) = &plan.video {
            hub.set_adaptive(video.settings.bitrate, video.settings.adapt);
        }
        let encoder = plan
            .video
            .as_ref()
            .map(|video| VideoEncoder::start(hub.clone(), cameras[&video.camera].clone(), video.settings.clone()));
        let encoder = encoder.transpose()?;
        if let Some(audio) = &plan.audio {
            let output = SoundOutput::new(hub.clone(), &audio.format, audio.input, audio.packet_size);
            let output = output.map_err(|error| io::Error::other(format!("stream {}: {error}", plan.name)))?;
            microphones[&audio.microphone].add(output);
        }
        let permanent = (!plan.on_demand).then(|| hub.demand().watch());
        Ok(Running { plan: plan.clone(), hub, encoder, permanent })
    }

    /// Makes a staged change what runs.
    pub fn commit(&mut self, staged: Staged, access: Arc<Access>, settings: Settings) {
        let mut made = staged.made.into_iter();
        let mut before: Vec<Running> = std::mem::take(&mut self.streams);
        for (plan, change) in staged.plan.streams.iter().zip(&staged.change.streams) {
            let kept = before.iter().position(|running| running.plan.name == plan.name);
            match (change, kept) {
                (StreamChange::Keep, Some(index)) => {
                    let mut running = before.swap_remove(index);
                    running.adjust(plan.clone());
                    self.streams.push(running);
                }
                _ => self.streams.extend(made.next()),
            }
        }
        // Who watched what is gone is told so before its encoder ends.
        self.worker.apply(self.table(), access, settings);
        for gone in before {
            if let Some(audio) = &gone.plan.audio
                && let Some(microphone) = self.microphones.get(&audio.microphone)
            {
                microphone.remove(gone.hub.id());
            }
        }
        self.cameras = staged.cameras;
        self.microphones = staged.microphones;
        for (name, microphone) in &self.microphones {
            microphone.set_loudness(staged.plan.microphones[name].loudness);
        }
        self.plan = staged.plan;
    }

    /// Every thread that makes pictures or sound, by a name for people, and its pulse; None while it rests.
    pub fn pulses(&self) -> impl Iterator<Item = (String, Option<u64>)> {
        let pictures = self.streams.iter().filter_map(|running| {
            let encoder = running.encoder.as_ref()?;
            Some((format!("the picture of stream {}", running.plan.name), encoder.pulse()))
        });
        let sound = self.microphones.iter().map(|(name, one)| (format!("the sound of microphone {name}"), one.pulse()));
        pictures.chain(sound)
    }

    fn table(&self) -> Table {
        let entries = self.streams.iter().map(|running| TableEntry {
            hub: running.hub.clone(),
            aliases: running.plan.aliases.clone(),
            fresh: running.plan.fresh,
            max_viewers: running.plan.max_viewers,
            relay: running.plan.relay.clone(),
            camera: running.plan.video.as_ref().map(|video| video.camera.clone()),
            bitrate: running.plan.video.as_ref().map_or(0, |video| video.settings.bitrate),
            dscp: running.plan.dscp,
            srtp: running.plan.srtp,
            multicast: running.plan.multicast.clone(),
        });
        Table { streams: entries.collect() }
    }
}

impl Running {
    /// What encodes now.
    pub fn encoder(&self) -> Option<String> {
        self.encoder.as_ref()?.kind()
    }

    /// The camera's pictures that it was too slow for.
    pub fn missed(&self) -> Option<u64> {
        self.encoder.as_ref().map(VideoEncoder::missed)
    }

    /// Takes over what can change under viewers.
    fn adjust(&mut self, plan: StreamPlan) {
        if let (Some(encoder), Some(video)) = (&self.encoder, &plan.video) {
            encoder.set_bitrate(video.settings.bitrate);
            self.hub.set_adaptive(video.settings.bitrate, video.settings.adapt);
            encoder.set_overlay(video.settings.overlay);
        }
        self.permanent = match (plan.on_demand, self.permanent.take()) {
            (true, _) => None,
            (false, held) => Some(held.unwrap_or_else(|| self.hub.demand().watch())),
        };
        self.plan = plan;
    }
}
