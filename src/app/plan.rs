//! What is to run, as values: made from a config, compared with what runs.

use crate::{
    codec::audio::AudioEncoder,
    config::{CameraConfig, Config, MicrophoneConfig, Multicast, Start, StreamConfig},
    device::{CameraWish, MicrophoneWish, PassThrough},
    media::{AudioFormat, VideoCodec},
    stream::{Bounds, Loudness, VideoSettings},
};
use std::{collections::BTreeMap, sync::Arc};

/// The sources and streams of a config.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub cameras: BTreeMap<String, CameraWish>,
    pub microphones: BTreeMap<String, MicrophonePlan>,
    /// In the order of the config.
    pub streams: Vec<StreamPlan>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct MicrophonePlan {
    pub wish: MicrophoneWish,
    /// Can change under listeners.
    pub loudness: Loudness,
}

#[derive(Clone, Debug, PartialEq)]
pub struct StreamPlan {
    pub name: String,
    pub aliases: Vec<String>,
    /// Never begin from a key frame older than 250 ms.
    pub fresh: bool,
    pub on_demand: bool,
    /// Viewers at a time; None: as many as come.
    pub max_viewers: Option<usize>,
    /// Where further ones are sent.
    pub relay: Option<Arc<str>>,
    /// The mark of its packets.
    pub dscp: u8,
    pub srtp: bool,
    pub multicast: Option<Multicast>,
    pub video: Option<VideoPlan>,
    pub audio: Option<AudioPlan>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct VideoPlan {
    pub camera: String,
    pub settings: VideoSettings,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AudioPlan {
    pub microphone: String,
    /// Rate and channels that it gives.
    pub input: (u32, u16),
    pub format: AudioFormat,
    /// The largest RTP packet in bytes.
    pub packet_size: usize,
}

/// What becomes of a stream of the new plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamChange {
    /// It goes on; its viewers notice nothing but perhaps another bitrate.
    Keep,
    /// It is made new; who watched the old one is told BYE.
    Make,
}

/// From what runs to what is to run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// Sources that go on as they are, by name.
    pub kept_cameras: Vec<String>,
    pub kept_microphones: Vec<String>,
    /// For each stream of the new plan.
    pub streams: Vec<StreamChange>,
}

impl Plan {
    /// Of a config that holds together; only what its streams use.
    pub fn new(config: &Config) -> Self {
        let streams: Vec<_> = config.streams.iter().map(|stream| stream_plan(config, stream)).collect();
        let videos = streams.iter().filter_map(|stream| stream.video.as_ref());
        let audios = streams.iter().filter_map(|stream| stream.audio.as_ref());
        let cameras = videos.filter_map(|video| config.camera(&video.camera));
        let microphones = audios.filter_map(|audio| config.microphone(&audio.microphone));
        Self {
            cameras: cameras.map(|camera| (camera.name.clone(), camera_wish(camera, &streams))).collect(),
            microphones: microphones.map(|one| (one.name.clone(), microphone_plan(one))).collect(),
            streams,
        }
    }

    /// What has to change so that `next` runs instead. Touches only what differs.
    pub fn diff(&self, next: &Self) -> Change {
        let kept_cameras: Vec<_> = kept(&self.cameras, &next.cameras, |wish| wish);
        let kept_microphones: Vec<_> = kept(&self.microphones, &next.microphones, |plan| &plan.wish);
        let sources_stay = |stream: &StreamPlan| {
            stream.video.as_ref().is_none_or(|video| kept_cameras.contains(&video.camera))
                && stream.audio.as_ref().is_none_or(|audio| kept_microphones.contains(&audio.microphone))
        };
        let change = |stream: &StreamPlan| {
            let before = self.streams.iter().find(|before| before.name == stream.name);
            let goes_on = before.is_some_and(|before| before.essence() == stream.essence()) && sources_stay(stream);
            if goes_on { StreamChange::Keep } else { StreamChange::Make }
        };
        let streams = next.streams.iter().map(change).collect();
        Change { kept_cameras, kept_microphones, streams }
    }
}

impl StreamPlan {
    /// Without what can change under viewers.
    fn essence(&self) -> Self {
        let mut essence = Self {
            aliases: Vec::new(),
            fresh: false,
            on_demand: false,
            dscp: 0,
            srtp: false,
            multicast: None,
            max_viewers: None,
            relay: None,
            ..self.clone()
        };
        if let Some(video) = &mut essence.video {
            video.settings.bitrate = 0;
            video.settings.bitrate_ceiling = 0;
            video.settings.adapt = None;
            video.settings.overlay = false;
        }
        essence
    }
}

/// Those of `next` whose `essence` is that of before.
fn kept<T, E: PartialEq>(
    before: &BTreeMap<String, T>,
    next: &BTreeMap<String, T>,
    essence: impl Fn(&T) -> &E,
) -> Vec<String> {
    let same = |(name, plan): &(&String, &T)| before.get(*name).is_some_and(|before| essence(before) == essence(plan));
    next.iter().filter(same).map(|(name, _)| name.clone()).collect()
}

fn camera_wish(camera: &CameraConfig, streams: &[StreamPlan]) -> CameraWish {
    let videos = streams.iter().filter_map(|stream| stream.video.as_ref());
    let (copies, encoded): (Vec<_>, Vec<_>) = videos
        .filter(|video| video.camera == camera.name)
        .map(|video| &video.settings)
        .partition(|settings| settings.codec == VideoCodec::Copy);
    // The checker lets no two of them want something else.
    let pass_through = copies.first().map(|settings| PassThrough {
        alone: encoded.is_empty(),
        bitrate: settings.bitrate,
        gop: settings.gop,
        profile: settings.profile,
    });
    CameraWish {
        device: camera.device.clone(),
        name: camera.name.clone(),
        size: camera.size,
        fps: camera.fps,
        format: camera.format,
        pass_through,
        orientation: camera.orientation,
        controls: camera.controls.clone(),
        scene: camera.scene,
    }
}

fn microphone_plan(microphone: &MicrophoneConfig) -> MicrophonePlan {
    let wish = MicrophoneWish {
        device: microphone.device.clone(),
        rate: microphone.rate,
        channels: microphone.channels,
        map: microphone.map.clone(),
        tone: microphone.tone,
    };
    MicrophonePlan { wish, loudness: Loudness { gain: microphone.gain, mute: microphone.mute } }
}

fn stream_plan(config: &Config, stream: &StreamConfig) -> StreamPlan {
    let packet_size = config.server.packet_size;
    let video = stream.video.as_ref().map(|video| VideoPlan {
        camera: video.from.clone(),
        settings: VideoSettings {
            size: video.size,
            fps: video.fps,
            bitrate: video.bitrate,
            bitrate_ceiling: video.bitrate_max.max(video.bitrate),
            adapt: video.adapt.then_some(Bounds { least: video.bitrate_min, most: video.bitrate_max }),
            gop: video.gop,
            profile: video.profile,
            codec: video.codec,
            encoder: video.encoder,
            overlay: stream.overlay,
            slices: video.slices,
            frame_skip: video.frame_skip,
            packet_size,
        },
    });
    let audio = stream.audio.as_ref().and_then(|audio| {
        let microphone = config.microphone(&audio.from)?;
        let format = AudioEncoder::format_for(audio.codec, microphone.rate, microphone.channels);
        let input = (microphone.rate, microphone.channels);
        Some(AudioPlan { microphone: audio.from.clone(), input, format, packet_size })
    });
    StreamPlan {
        name: stream.name.clone(),
        aliases: stream.aliases.clone(),
        fresh: stream.start == Start::Fresh,
        on_demand: stream.on_demand,
        max_viewers: (stream.max_viewers > 0).then_some(stream.max_viewers as usize),
        relay: stream.relay.as_deref().map(Arc::from),
        dscp: stream.dscp,
        srtp: stream.srtp,
        multicast: stream.multicast.clone(),
        video,
        audio,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config, media::H264Profile};

    const TWO: &str = "
        [camera.front]
        device = 'test'
        [camera.back]
        device = 'test'
        [microphone.desk]
        device = 'test'
        [stream.main]
        video = { from = 'front', bitrate = '2M' }
        audio = { from = 'desk' }
        [stream.yard]
        video = { from = 'back' }
        ";

    fn plan(text: &str) -> Plan {
        Plan::new(&config::parse(text, "test").unwrap())
    }

    #[test]
    fn the_same_config_changes_nothing() {
        let change = plan(TWO).diff(&plan(TWO));
        assert_eq!(change.streams, [StreamChange::Keep, StreamChange::Keep]);
        assert_eq!(change.kept_cameras, ["back", "front"]);
        assert_eq!(change.kept_microphones, ["desk"]);
    }

    #[test]
    fn a_bitrate_an_alias_an_overlay_the_start_or_a_relay_drops_no_viewer() {
        let changed = "'3M' }
            aliases = ['/live']
            start = 'fresh'
            on_demand = true
            overlay = true
            dscp = 46
            multicast = { address = '239.255.12.1' }
            max_viewers = 1
            relay = 'rtsp://relay/main'";
        let next = TWO.replace("'2M' }", changed);
        assert_eq!(plan(TWO).diff(&plan(&next)).streams, [StreamChange::Keep, StreamChange::Keep]);
    }

    #[test]
    fn a_changed_source_or_size_touches_its_own_streams_alone() {
        let resized = TWO.replace("'2M' }", "'2M', size = '640x360' }");
        assert_eq!(plan(TWO).diff(&plan(&resized)).streams, [StreamChange::Make, StreamChange::Keep]);
        let other_camera = TWO.replace("[camera.back]", "[camera.back]\nfps = 15");
        let change = plan(TWO).diff(&plan(&other_camera));
        assert_eq!(change.streams, [StreamChange::Keep, StreamChange::Make]);
        assert_eq!(change.kept_cameras, ["front"]);
        let slower = TWO.replace("[microphone.desk]", "[microphone.desk]\nrate = 16000");
        assert_eq!(plan(TWO).diff(&plan(&slower)).streams, [StreamChange::Make, StreamChange::Keep]);
    }

    #[test]
    fn gain_and_mute_drop_no_listener() {
        let louder = TWO.replace("[microphone.desk]", "[microphone.desk]\ngain = '6dB'\nmute = true");
        let change = plan(TWO).diff(&plan(&louder));
        assert_eq!(change.streams, [StreamChange::Keep, StreamChange::Keep]);
        assert_eq!(change.kept_microphones, ["desk"]);
        assert_eq!(plan(&louder).microphones["desk"].loudness, Loudness { gain: 6.0, mute: true });
    }

    #[test]
    fn a_camera_knows_what_is_passed_through_and_whether_that_is_all() {
        let config = "
            [camera.front]
            device = 'usb-1'
            [stream.main]
            video = { from = 'front', codec = 'copy', bitrate = '3M', gop = '1s', profile = 'high' }
            ";
        let pass = |alone| PassThrough {
            alone,
            bitrate: 3_000_000,
            gop: std::time::Duration::from_secs(1),
            profile: H264Profile::High,
        };
        assert_eq!(plan(config).cameras["front"].pass_through, Some(pass(true)));
        let both = format!("{config}\n[stream.sub]\nvideo = {{ from = 'front' }}");
        assert_eq!(plan(&both).cameras["front"].pass_through, Some(pass(false)));
        assert_eq!(plan(TWO).cameras["front"].pass_through, None);
    }

    #[test]
    fn unused_sources_do_not_run() {
        let next = TWO.replace("audio = { from = 'desk' }", "");
        assert!(plan(&next).microphones.is_empty());
    }
}
