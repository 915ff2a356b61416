//! The `retina` client, with openh264 for a decoder: the one that sees every RTP and RTCP time stamp.

use std::{collections::HashMap, time::Duration};

use eyrie::time::MonoTime;
use futures::StreamExt;
use openh264::{decoder::Decoder, formats::YUVSource};
use retina::{
    Timestamp,
    client::{Credentials, Demuxed, PlayOptions, Session, SessionOptions, SetupOptions},
    codec::{CodecItem, FrameFormat, VideoFrame},
    rtcp::ReceivedCompoundPacket,
};

use crate::support::{
    Picture, Recording, Sound,
    marks::{self, Luma},
};

/// What to play, and how.
pub struct Retina<'a> {
    pub url: &'a str,
    pub user: Option<(&'a str, &'a str)>,
    /// `udp` or `tcp`.
    pub transport: &'a str,
    /// From the first picture to the last.
    pub seconds: f64,
}

/// A recording, and what only this client sees.
pub struct Seen {
    pub recording: Recording,
    /// Mean bitrate of the access units in bit/s.
    pub bitrate: f64,
    /// From the PLAY request to the first whole picture.
    pub first_picture: Duration,
    /// By how many seconds each later sender report disagreed with its stream's first.
    pub clock_errors: Vec<f64>,
}

impl Retina<'_> {
    /// Plays and decodes everything; fails with what the server answered.
    pub fn watch(&self) -> Result<Seen, retina::Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(self.play())
    }

    async fn play(&self) -> Result<Seen, retina::Error> {
        let credentials =
            self.user.map(|(name, password)| Credentials { username: name.into(), password: password.into() });
        let options = SessionOptions::default().creds(credentials);
        let mut session = Session::describe(self.url.parse().unwrap(), options).await?;
        for stream in 0..session.streams().len() {
            let options = SetupOptions::default();
            let options = options.transport(self.transport.parse()?).frame_format(FrameFormat::SIMPLE);
            session.setup(stream, options).await?;
        }
        let asked = MonoTime::now();
        let mut items = session.play(PlayOptions::default()).await?.demuxed()?;
        let mut notes = Notes { asked, ..Notes::new() };
        while !notes.last_enough(self.seconds) {
            let Some(item) = items.next().await else { panic!("the stream ended by itself") };
            notes.take(item?);
        }
        Ok(notes.conclude(&items))
    }
}

/// Everything that arrived, as it arrived.
struct Notes {
    asked: MonoTime,
    first_picture: Option<Duration>,
    decoder: Decoder,
    pictures: Vec<(Picture, Timestamp)>,
    bytes: usize,
    /// µ-law samples, and the time stamp of each packet with the index of its first sample.
    samples: Vec<f32>,
    packets: Vec<(usize, Timestamp)>,
    /// Which stream each kind of frame came from.
    video: usize,
    audio: usize,
    /// By stream: the NTP time in seconds and the RTP time of each sender report.
    reports: HashMap<usize, Vec<(f64, Timestamp)>>,
    complaints: Vec<String>,
}

impl Notes {
    fn new() -> Self {
        Notes {
            asked: MonoTime::now(),
            first_picture: None,
            decoder: Decoder::new().unwrap(),
            pictures: Vec::new(),
            bytes: 0,
            samples: Vec::new(),
            packets: Vec::new(),
            video: 0,
            audio: 1,
            reports: HashMap::new(),
            complaints: Vec::new(),
        }
    }

    fn last_enough(&self, seconds: f64) -> bool {
        let elapsed = |at: Option<&(Picture, Timestamp)>| at.map_or(0.0, |(_, time)| time.elapsed_secs());
        elapsed(self.pictures.last()) - elapsed(self.pictures.first()) >= seconds - 1e-4
    }

    fn take(&mut self, item: CodecItem) {
        match item {
            CodecItem::VideoFrame(frame) => self.picture(&frame),
            CodecItem::AudioFrame(frame) => {
                self.lost(frame.loss(), "sound");
                self.audio = frame.stream_id();
                self.packets.push((self.samples.len(), frame.timestamp()));
                self.samples.extend(frame.data().iter().copied().map(marks::ulaw));
            }
            CodecItem::Rtcp(packet) => self.report(&packet),
            _ => {}
        }
    }

    fn picture(&mut self, frame: &VideoFrame) {
        self.lost(frame.loss(), "video");
        if self.first_picture.is_none() {
            self.first_picture = Some(MonoTime::now().since(self.asked));
            if !frame.is_random_access_point() {
                self.complaints.push("the first picture is no key frame".into());
            }
        }
        self.video = frame.stream_id();
        self.bytes += frame.data().len();
        match self.decoder.decode(frame.data()) {
            Ok(Some(picture)) => {
                let (width, height) = picture.dimensions();
                let luma = Luma { data: picture.y(), width, height, stride: picture.strides().0 };
                self.pictures.push((Picture::read(luma, None), frame.timestamp()));
            }
            Ok(None) => self.complaints.push("an access unit without a picture".into()),
            Err(error) => self.complaints.push(format!("decoder: {error}")),
        }
    }

    fn lost(&mut self, packets: u16, of: &str) {
        if packets > 0 {
            self.complaints.push(format!("{packets} packets of {of} lost"));
        }
    }

    fn report(&mut self, packet: &ReceivedCompoundPacket) {
        let Some(rtp) = packet.rtp_timestamp() else { return };
        let Some(Ok(Some(report))) = packet.pkts().next().map(|first| first.as_sender_report()) else { return };
        let ntp = report.ntp_timestamp().0 as f64 / (1u64 << 32) as f64;
        self.reports.entry(packet.stream_id()).or_default().push((ntp, rtp));
    }

    fn conclude(mut self, items: &Demuxed) -> Seen {
        for (stream, media) in items.streams().iter().enumerate().map(|(at, stream)| (at, stream.media())) {
            if !self.reports.contains_key(&stream) {
                self.complaints.push(format!("no sender report for {media}"));
            }
        }
        let time = |stream, stamp: Timestamp| Some(wall(self.reports.get(&stream)?.first()?, stamp));
        let pictures: Vec<Picture> = self
            .pictures
            .iter()
            .map(|(picture, stamp)| Picture { time: time(self.video, *stamp), ..*picture })
            .collect();
        let pieces = self.packets.iter().filter_map(|(at, stamp)| Some((*at, time(self.audio, *stamp)?))).collect();
        let clock_errors = self
            .reports
            .values()
            .flat_map(|reports| reports[1..].iter().map(|(ntp, stamp)| wall(&reports[0], *stamp) - ntp))
            .collect();
        let sound = (!self.samples.is_empty()).then_some(Sound { rate: 8000, samples: self.samples, pieces });
        let elapsed = |at: Option<&(Picture, Timestamp)>| at.map_or(0.0, |(_, time)| time.elapsed_secs());
        let span = elapsed(self.pictures.last()) - elapsed(self.pictures.first());
        let interval = span / (pictures.len().max(2) - 1) as f64;
        Seen {
            bitrate: self.bytes as f64 * 8.0 / (span + interval),
            first_picture: self.first_picture.unwrap_or_default(),
            clock_errors,
            recording: Recording { pictures, sound, stream_time: true, complaints: self.complaints },
        }
    }
}

/// The NTP time in seconds of an RTP time stamp, by a sender report.
fn wall(report: &(f64, Timestamp), stamp: Timestamp) -> f64 {
    report.0 + (stamp.timestamp() - report.1.timestamp()) as f64 / f64::from(stamp.clock_rate().get())
}
