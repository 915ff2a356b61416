//! What is served where the file names no stream.

use super::{AudioConfig, CameraConfig, Config, MicrophoneConfig, StreamConfig, VideoConfig};
use crate::media::{FrameRate, PixelFormat, Size, VideoCodec};

/// The first camera with the first microphone.
pub const BUILT_IN_MAIN: &str = "main";
/// The same, small, and only while somebody watches.
pub const BUILT_IN_SUB: &str = "sub";

impl Config {
    /// A config with streams: its own; else the built-in ones of its cameras and microphones, or, where it names none,
    /// of the devices found; or, where there are none, of the test pattern and beep.
    #[must_use]
    pub fn or_built_in_streams(mut self, found_cameras: &[String], found_microphone: Option<&str>) -> Self {
        if !self.streams.is_empty() {
            return self;
        }
        if self.cameras.is_empty() {
            let named = |(i, device): (usize, &String)| CameraConfig::new(numbered("camera", i), device);
            self.cameras = found_cameras.iter().enumerate().map(named).collect();
        }
        // A real camera without a sound card has no sound; a beep would be none of its own.
        let mut microphone = found_microphone;
        if self.cameras.is_empty() {
            self.cameras = vec![CameraConfig::new("camera", "test")];
            microphone = microphone.or(Some("test"));
        }
        if self.microphones.is_empty() {
            self.microphones =
                microphone.map(|device| MicrophoneConfig::new("microphone", device)).into_iter().collect();
        }
        let audio = self.microphones.first().map(|microphone| AudioConfig::new(&microphone.name));
        for (i, camera) in self.cameras.iter().enumerate() {
            let mut main = StreamConfig::new(numbered(BUILT_IN_MAIN, i));
            let codec = if is_h264(camera) { VideoCodec::Copy } else { VideoCodec::H264 };
            main.video = Some(VideoConfig { codec, ..VideoConfig::new(&camera.name) });
            main.audio = audio.clone().filter(|_| i == 0);
            self.streams.push(main);
        }
        if is_h264(&self.cameras[0]) {
            return self;
        }
        let mut sub = StreamConfig::new(BUILT_IN_SUB);
        sub.video = Some(VideoConfig {
            size: Some(Size::new(640, 360)),
            fps: Some(FrameRate::new(15, 1)),
            bitrate: 500_000,
            ..VideoConfig::new(&self.cameras[0].name)
        });
        sub.audio = audio;
        sub.on_demand = true;
        self.streams.insert(1, sub);
        self
    }
}

/// What it gives can be passed on alone.
fn is_h264(camera: &CameraConfig) -> bool {
    camera.format == Some(PixelFormat::H264)
}

/// `name`, `name2`, `name3` …
fn numbered(name: &str, i: usize) -> String {
    if i == 0 { name.to_owned() } else { format!("{name}{}", i + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(config: &Config) -> Vec<&str> {
        config.streams.iter().map(|stream| stream.name.as_str()).collect()
    }

    #[test]
    fn a_camera_that_is_to_give_h264_is_passed_on_and_has_no_sub() {
        let text = "[camera.front]\ndevice = 'usb-1'\nformat = 'h264'\n[camera.back]\ndevice = 'usb-2'";
        let config = crate::config::parse(text, "f").unwrap().or_built_in_streams(&[], None);
        assert_eq!(names(&config), ["main", "main2"]);
        let codec = |name: &str| config.stream(name).unwrap().video.as_ref().unwrap().codec;
        assert_eq!([codec("main"), codec("main2")], [VideoCodec::Copy, VideoCodec::H264]);
    }

    #[test]
    fn without_a_camera_the_test_pattern_beeps() {
        let config = Config::default().or_built_in_streams(&[], None);
        assert_eq!(names(&config), ["main", "sub"]);
        assert_eq!(config.cameras[0].device, "test");
        assert_eq!(config.microphones[0].device, "test");
        assert!(config.streams.iter().all(|stream| stream.audio == Some(AudioConfig::new("microphone"))));
        let sub = config.stream("sub").unwrap();
        let video = sub.video.as_ref().unwrap();
        assert_eq!((video.size, video.bitrate, sub.on_demand), (Some(Size::new(640, 360)), 500_000, true));
        let microphone = Config::default().or_built_in_streams(&[], Some("hw:CARD=Device")).microphones;
        assert_eq!(microphone[0].device, "hw:CARD=Device");
    }

    #[test]
    fn further_cameras_have_neither_sound_nor_sub() {
        let found = ["usb-1".to_owned(), "usb-2".to_owned(), "usb-3".to_owned()];
        let config = Config::default().or_built_in_streams(&found, Some("hw:1"));
        assert_eq!(names(&config), ["main", "sub", "main2", "main3"]);
        assert_eq!(config.stream("main3").unwrap().video.as_ref().unwrap().from, "camera3");
        assert_eq!(config.camera("camera3").unwrap().device, "usb-3");
        assert!(config.stream("main2").unwrap().audio.is_none());
        assert!(Config::default().or_built_in_streams(&found, None).microphones.is_empty());
    }

    #[test]
    fn the_files_own_come_first() {
        let text = "[camera.door]\ndevice = 'test'\n[microphone.desk]\ndevice = 'test'";
        let config = super::super::parse(text, "f").unwrap().or_built_in_streams(&["usb-1".into()], Some("hw:1"));
        assert_eq!(config.cameras.len(), 1);
        assert_eq!(config.stream("sub").unwrap().video.as_ref().unwrap().from, "door");
        assert_eq!(config.stream("main").unwrap().audio.as_ref().unwrap().from, "desk");
        let text = format!("{text}\n[stream.one]\nvideo = {{ from = 'door' }}");
        let config = super::super::parse(&text, "f").unwrap();
        assert_eq!(config.clone().or_built_in_streams(&[], None), config);
    }
}
