use super::*;
use crate::{
    codec::{H264Encoder, H264Settings, Picture},
    device::{Camera, PassThrough, pattern::TestPattern},
    media::{
        EncoderChoice, H264Profile, Lease, Orientation, RawFrame, Scene, VideoCodec,
        h264::{Assembler, Found, nal_type},
    },
    rtp::Header,
    stream::{Delivery, Inbox, KeyframeAnswer},
};
use proptest::prelude::*;
use std::sync::OnceLock;

const SIZE: Size = Size::new(160, 128);
const FPS: FrameRate = FrameRate::new(30, 1);
const GOP: usize = 8;

fn wish(format: PixelFormat) -> CameraWish {
    CameraWish {
        device: "no such camera".into(),
        name: "front".into(),
        size: SIZE,
        fps: FPS,
        format: Some(format),
        pass_through: Some(PassThrough {
            alone: true,
            bitrate: 500_000,
            gop: Duration::from_secs(2),
            profile: H264Profile::Baseline,
        }),
        orientation: Orientation::default(),
        controls: vec![],
        scene: Scene::Bars,
    }
}

fn settings() -> VideoSettings {
    VideoSettings {
        size: None,
        fps: None,
        bitrate: 500_000,
        bitrate_ceiling: 500_000,
        adapt: None,
        gop: Duration::from_secs(2),
        profile: H264Profile::Baseline,
        codec: VideoCodec::Copy,
        encoder: EncoderChoice::Auto,
        overlay: false,
        slices: None,
        frame_skip: false,
        packet_size: 1360,
    }
}

/// What a camera would send: four groups of pictures in two slices each, as NAL units, the parameter sets in the first.
fn camera() -> &'static [Vec<Vec<u8>>] {
    static CODED: OnceLock<Vec<Vec<Vec<u8>>>> = OnceLock::new();
    CODED.get_or_init(|| {
        let mut encoder = H264Encoder::new(&H264Settings {
            size: SIZE,
            fps: FPS,
            bitrate: 1_000_000,
            bitrate_ceiling: 1_000_000,
            gop: FPS.interval() * GOP as u32,
            profile: H264Profile::Baseline,
            slices: Some(2),
            frame_skip: false,
        })
        .unwrap();
        let test = CameraWish { device: "test".into(), format: None, ..wish(PixelFormat::H264) };
        let mut pattern = TestPattern::open(&test).unwrap();
        let mut unit = AccessUnit::default();
        let mut code = |number: usize| {
            let frame = pattern.next(Duration::from_secs(1)).unwrap();
            let picture = Picture::of(&frame).unwrap();
            assert!(encoder.encode(&picture, frame.stamp, false, &mut unit).unwrap());
            assert_eq!(unit.key, number.is_multiple_of(GOP));
            let sets =
                |nal: &&[u8]| number == 0 || nal_type::of(nal) != nal_type::SPS && nal_type::of(nal) != nal_type::PPS;
            unit.nals().filter(sets).map(<[u8]>::to_vec).collect::<Vec<_>>()
        };
        (0..4 * GOP).map(&mut code).collect()
    })
}

fn annex_b(nals: &[Vec<u8>]) -> Vec<u8> {
    nals.iter().flat_map(|nal| [&[0, 0, 0, 1][..], nal].concat()).collect()
}

fn frame(format: PixelFormat, bytes: Vec<u8>, begun: MonoTime, sequence: u64) -> RawFrame {
    RawFrame {
        format,
        size: SIZE,
        shown: SIZE,
        planes: RawFrame::layout(format, SIZE, 0, bytes.len()).unwrap(),
        stamp: begun + FPS.interval() * sequence as u32,
        sequence,
        buffer: Lease::new(bytes),
    }
}

/// A stream that passes a camera on, and what a worker gets of it.
struct World {
    passing: Passing,
    hub: Arc<Hub>,
    inbox: Arc<Inbox>,
    /// When the camera gave its picture 0: now, as slates are stamped, however long the machine is up.
    begun: MonoTime,
}

impl World {
    fn new(format: PixelFormat) -> Self {
        let begun = MonoTime::now();
        let hub = Hub::new("main", true, false, begun);
        let inbox = Arc::new(Inbox::default());
        hub.connect(inbox.clone());
        let source = CameraSource::start(wish(format)).unwrap();
        let mailbox = source.subscribe(Mailbox::ordered(), hub.demand().clone(), None);
        Self { passing: Passing::new(hub.clone(), source, mailbox, settings(), Pulse::default()), hub, inbox, begun }
    }

    fn pass(&mut self, format: PixelFormat, bytes: Vec<u8>, sequence: u64) -> Vec<Delivery> {
        self.passing.pass(&frame(format, bytes, self.begun, sequence), FPS);
        self.published()
    }

    /// Pictures of the camera above, one a buffer.
    fn pass_pictures(&mut self, numbers: std::ops::Range<usize>) -> Vec<Delivery> {
        let mut pass = |number: usize| self.pass(PixelFormat::H264, annex_b(&camera()[number]), number as u64);
        numbers.flat_map(&mut pass).collect()
    }

    fn slate(&mut self) -> Vec<Delivery> {
        self.passing.out.last_slate = MonoTime::ZERO;
        self.passing.stand_in(MonoTime::now());
        self.published()
    }

    fn published(&self) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        self.inbox.drain(&mut deliveries);
        deliveries
    }

    fn sps(&self) -> Vec<u8> {
        match self.hub.tracks()[0].format() {
            Some(TrackFormat::H264(format)) => format.parameter_sets.sps.to_vec(),
            other => panic!("{other:?}"),
        }
    }
}

/// The NAL units of what an assembler finds, and how often it found a picture damaged.
fn assemble(assembler: &mut Assembler, buffers: &[&[u8]]) -> (Vec<Vec<Vec<u8>>>, usize) {
    let (mut pictures, mut damaged) = (Vec::new(), 0);
    for buffer in buffers {
        assembler.push(buffer, MonoTime::ZERO, &mut |found| match found {
            Found::Picture(picture) => pictures.push(picture.unit.nals().map(<[u8]>::to_vec).collect()),
            Found::Damaged => damaged += 1,
            Found::Unreadable(why) => panic!("{why}"),
        });
    }
    (pictures, damaged)
}

/// Without parameter sets.
fn slices(picture: &[Vec<u8>]) -> Vec<&Vec<u8>> {
    picture.iter().filter(|nal| ![nal_type::SPS, nal_type::PPS].contains(&nal_type::of(nal))).collect()
}

#[test]
fn a_picture_in_a_buffer_goes_out_with_its_buffer_once_that_is_proven() {
    let mut assembler = Assembler::new(FPS);
    let counts: Vec<_> =
        camera().iter().map(|picture| assemble(&mut assembler, &[&annex_b(picture)]).0.len()).collect();
    assert_eq!(counts[..4], [0, 2, 1, 1]);
    assert_eq!(counts.iter().sum::<usize>(), camera().len());
}

#[test]
fn every_key_picture_has_its_parameter_sets_before_it() {
    let mut assembler = Assembler::new(FPS);
    let buffers: Vec<_> = camera().iter().map(|picture| annex_b(picture)).collect();
    let (pictures, damaged) = assemble(&mut assembler, &buffers.iter().map(Vec::as_slice).collect::<Vec<_>>());
    assert_eq!((pictures.len(), damaged), (camera().len(), 0));
    for (number, picture) in pictures.iter().enumerate() {
        let kinds: Vec<_> = picture.iter().map(|nal| nal_type::of(nal)).collect();
        let expected: &[u8] = if number % GOP == 0 { &[7, 8, 5, 5] } else { &[1, 1] };
        assert_eq!(kinds, expected, "{number}");
    }
}

#[test]
fn delimiters_and_filler_are_left_out_and_information_stays_where_it_belongs() {
    let mut assembler = Assembler::new(FPS);
    let dressed = |picture: &Vec<Vec<u8>>| {
        let sei = vec![0x06, 5, 1, 7, 0x80];
        let mut nals = vec![vec![0x09, 0xf0]];
        nals.extend(picture.iter().filter(|nal| nal[0] & 0x1f >= 7).cloned());
        nals.push(sei);
        nals.extend(slices(picture).into_iter().cloned());
        nals.push(vec![0x0c, 0xff, 0x80]);
        annex_b(&nals)
    };
    let buffers: Vec<_> = camera()[..GOP + 2].iter().map(dressed).collect();
    let (pictures, damaged) = assemble(&mut assembler, &buffers.iter().map(Vec::as_slice).collect::<Vec<_>>());
    assert_eq!((pictures.len(), damaged), (GOP + 2, 0));
    let kinds = |number: usize| pictures[number].iter().map(|nal| nal_type::of(nal)).collect::<Vec<_>>();
    assert_eq!([kinds(0), kinds(1), kinds(GOP)], [vec![7, 8, 6, 5, 5], vec![6, 1, 1], vec![7, 8, 6, 5, 5]]);
}

#[test]
fn several_pictures_in_a_buffer_are_several_access_units() {
    let mut assembler = Assembler::new(FPS);
    let buffers: Vec<_> = camera().chunks(3).map(|pictures| annex_b(&pictures.concat())).collect();
    let (pictures, damaged) = assemble(&mut assembler, &buffers.iter().map(Vec::as_slice).collect::<Vec<_>>());
    assert_eq!((pictures.len(), damaged), (camera().len(), 0));
}

#[test]
fn a_slice_a_buffer_is_put_together() {
    let mut assembler = Assembler::new(FPS);
    let buffers: Vec<_> = camera().iter().flatten().map(|nal| annex_b(std::slice::from_ref(nal))).collect();
    let (pictures, damaged) = assemble(&mut assembler, &buffers.iter().map(Vec::as_slice).collect::<Vec<_>>());
    assert_eq!(damaged, 0);
    // The last one waits for what begins the next.
    assert_eq!(pictures.len(), camera().len() - 1);
    assert!(pictures.iter().zip(camera()).all(|(found, sent)| slices(found) == slices(sent)));
}

/// A driver that was seen to give whole access units gives one in two buffers after all.
#[test]
fn an_access_unit_that_went_out_too_early_is_called_damaged_and_none_does_so_again() {
    let mut assembler = Assembler::new(FPS);
    let whole: Vec<_> = camera()[..4].iter().map(|picture| annex_b(picture)).collect();
    assert_eq!(assemble(&mut assembler, &whole.iter().map(Vec::as_slice).collect::<Vec<_>>()).0.len(), 4);
    let rest = annex_b(&camera()[4..].concat());
    let (pictures, damaged) = assemble(&mut assembler, &rest.chunks(500).collect::<Vec<_>>());
    assert!(damaged >= 1);
    let last = slices(&camera()[camera().len() - 2]).into_iter().cloned().collect::<Vec<_>>();
    assert_eq!(pictures.last(), Some(&last));
    assert!(pictures.len() >= camera().len() - 7, "{}", pictures.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn it_does_not_matter_where_buffers_are_cut(
        sizes in prop::collection::vec(1usize..6000, 1..60),
    ) {
        let bytes = annex_b(&camera().concat());
        let (mut assembler, mut rest, mut sizes) = (Assembler::new(FPS), &bytes[..], sizes.iter().cycle());
        let mut buffers = Vec::new();
        while !rest.is_empty() {
            let (buffer, behind) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
            buffers.push(buffer);
            rest = behind;
        }
        let (pictures, damaged) = assemble(&mut assembler, &buffers);
        // Cuts that look like whole access units at first may cost the one that shows they are none.
        prop_assert!(damaged <= 2);
        prop_assert!(damaged > 0 || pictures.len() + 1 >= camera().len());
        for picture in pictures.iter().filter(|_| damaged == 0) {
            prop_assert!(camera().iter().any(|sent| slices(sent) == slices(picture)));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn damage_ends_with_the_next_whole_key_picture(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
    ) {
        let mut bytes = annex_b(&camera()[..3 * GOP].concat());
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let mut assembler = Assembler::new(FPS);
        bytes.chunks(700).for_each(|buffer| assembler.push(buffer, MonoTime::ZERO, &mut |_| {}));
        assembler.reset();
        let whole = annex_b(&camera().concat());
        let mut keys = 0;
        assembler.push(&whole, MonoTime::ZERO, &mut |found| {
            if let Found::Picture(picture) = found {
                keys += usize::from(picture.unit.key);
            }
        });
        prop_assert_eq!(keys, 4);
    }
}

#[test]
fn after_a_lost_buffer_nothing_passes_until_the_next_key_picture() {
    let mut world = World::new(PixelFormat::H264);
    assert_eq!(world.pass_pictures(0..GOP - 3).len(), GOP - 3);
    assert_eq!(world.pass_pictures(GOP - 2..GOP).len(), 0, "they build on the lost one");
    let after = world.pass_pictures(GOP..GOP + 3);
    assert_eq!(after.len(), 3);
    assert!(after[0].batch.key() && !after[1].batch.key());
}

#[test]
fn a_slate_has_its_own_parameter_sets_and_stays_until_the_next_key_picture() {
    let mut world = World::new(PixelFormat::H264);
    let live = world.pass_pictures(0..4);
    let camera_sps = world.sps();
    let version = world.hub.version();
    world.passing.missing = Some("unplugged".into());
    let mut slates = world.slate();
    slates.extend(world.slate());
    assert_eq!(slates.iter().map(|slate| slate.batch.key()).collect::<Vec<_>>(), [true, false]);
    assert_ne!(world.sps(), camera_sps);
    assert!(world.hub.version() > version);
    assert_eq!(world.hub.tracks()[0].format().unwrap().picture().unwrap().0, SIZE);
    // The camera is back, in the middle of a group of pictures.
    assert_eq!(world.pass_pictures(GOP + 1..2 * GOP).len(), 0);
    assert_eq!(world.slate().len(), 1);
    let back = world.pass_pictures(2 * GOP..2 * GOP + 2);
    assert!(back[0].batch.key());
    assert_eq!((world.sps(), world.slate().len()), (camera_sps, 0));
    let all: Vec<_> = live.iter().chain(&slates).chain(&back).collect();
    for pair in all.windows(2) {
        let rise = pair[1].batch.timestamp().wrapping_sub(pair[0].batch.timestamp());
        assert!((1..1 << 31).contains(&rise), "timestamps rise: {rise}");
    }
    let sequence = |delivery: &Delivery| Header::parse(delivery.batch.packet(0)).unwrap().0.sequence;
    assert_eq!(sequence(slates.first().unwrap()), {
        let last = &live.last().unwrap().batch;
        last.first_sequence().wrapping_add(last.len() as u16)
    });
}

#[test]
fn a_camera_that_takes_no_requests_starts_viewers_from_the_ring() {
    let mut world = World::new(PixelFormat::Mjpeg);
    assert_eq!(world.hub.ask_keyframe(MonoTime::now()), KeyframeAnswer::Asked);
    let jpeg = include_bytes!("../../../fuzz/seeds/mjpeg/usual-422.jpg");
    let published = world.pass(PixelFormat::Mjpeg, jpeg.to_vec(), 0);
    assert!(published[0].batch.key() && world.hub.keyframes() == 1);
    assert_eq!(world.hub.ask_keyframe(MonoTime::now()), KeyframeAnswer::Unable);
}

#[test]
fn jpegs_have_a_slate_of_their_kind_and_are_refused_in_words() {
    let mut world = World::new(PixelFormat::Mjpeg);
    world.passing.missing = Some("unplugged".into());
    let slate = world.slate();
    assert_eq!(slate.len(), 1);
    assert_eq!(Header::parse(slate[0].batch.packet(0)).unwrap().0.payload_type, 26);
    let usual = include_bytes!("../../../fuzz/seeds/mjpeg/usual-422.jpg").to_vec();
    assert_eq!(world.pass(PixelFormat::Mjpeg, usual, 1).len(), 1);
    assert_eq!(world.passing.missing, None);
    assert_eq!(world.hub.tracks()[0].format().unwrap().picture(), Some((Size::new(64, 48), FPS)));
    let full_colour = include_bytes!("../../../fuzz/seeds/mjpeg/444.jpg").to_vec();
    assert_eq!(world.pass(PixelFormat::Mjpeg, full_colour.clone(), 2).len(), 0);
    assert_eq!(world.passing.missing, None, "a single one may be damage");
    let Some(Way::Jpeg(way)) = &mut world.passing.way else { panic!() };
    way.since_long_bad();
    world.pass(PixelFormat::Mjpeg, full_colour, 3);
    let expected = "the camera gives a JPEG of 4:4:4, which cannot be passed on; codec = \"h264\" helps";
    assert_eq!(world.hub.trouble(), Some(Trouble::Dark(expected.into())));
    assert_eq!(world.slate().len(), 1);
    world.pass(PixelFormat::H264, vec![0, 0, 0, 1], 4);
    let Some(Trouble::Dark(why)) = world.hub.trouble() else { panic!() };
    assert!(why.contains("gives h264 now"), "{why}");
}

#[test]
fn broken_h264_is_named() {
    let told = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut world = World::new(PixelFormat::H264);
        for (number, picture) in camera()[..3].iter().enumerate() {
            let mut picture = picture.clone();
            change(&mut picture);
            world.pass(PixelFormat::H264, annex_b(&picture), number as u64);
        }
        (world.hub.trouble(), world)
    };
    assert_eq!(told(&|_| {}).0, None);

    let low = |picture: &mut Vec<Vec<u8>>| {
        picture.iter_mut().filter(|nal| nal_type::of(nal) == nal_type::SPS).for_each(|sps| sps[3] = 9);
    };
    let (trouble, world) = told(&low);
    let Some(Trouble::Flawed(why)) = trouble else { panic!("{trouble:?}") };
    assert!(why.contains("says level 0.9, and 160x128 at 30 fps needs 1.1"), "{why}");
    assert_eq!(world.sps()[3], 11);

    // A slice type of 1, coded as 010, instead of 0, coded as 1; the beginning of a slice is enough.
    let bidirectional = |picture: &mut Vec<Vec<u8>>| {
        for slice in picture.iter_mut().filter(|nal| nal_type::of(nal) == nal_type::SLICE && nal[1] & 0x80 != 0) {
            assert_eq!(slice[1] & 0xc0, 0b1100_0000, "first macroblock 0, slice type 0");
            let header = u32::from_be_bytes(slice[1..5].try_into().unwrap());
            let changed = 0b1010 << 28 | (header << 2) >> 4;
            *slice = [&slice[..1], &changed.to_be_bytes(), &[0x80]].concat();
        }
    };
    let Some(Trouble::Flawed(why)) = told(&bidirectional).0 else { panic!() };
    assert!(why.contains("reorders pictures (B-frames)"), "{why}");

    let (trouble, mut world) = told(&|picture| picture.retain(|nal| nal_type::of(nal) < nal_type::SPS));
    assert_eq!(trouble, None, "the parameter sets may still come");
    let Some(Way::H264(way)) = &mut world.passing.way else { panic!() };
    way.since_long_shut();
    world.pass_pictures(3..4);
    let Some(Trouble::Dark(why)) = world.hub.trouble() else { panic!() };
    assert!(why.contains("without parameter sets (SPS and PPS)"), "{why}");

    let (_, mut world) = told(&|_| {});
    world.pass_pictures(4..5);
    assert_eq!(world.pass_pictures(6..7).len(), 0);
    let Some(Way::H264(way)) = &mut world.passing.way else { panic!() };
    way.since_long_shut();
    world.pass_pictures(7..8);
    let Some(Trouble::Dark(why)) = world.hub.trouble() else { panic!() };
    assert!(why.contains("no key frame (IDR) for 10 s"), "{why}");
    assert_eq!(world.slate().len(), 1, "viewers see why");
    assert_eq!(world.pass_pictures(GOP..GOP + 1).len(), 1);
    assert_eq!(world.hub.trouble(), None);
}
