//! What `codec = "copy"` asks of its camera, and which keys it leaves without sense.

use super::{
    schema::{CameraConfig, StreamConfig, VideoConfig},
    section::Section,
};
use crate::media::{EncoderChoice, Orientation, PixelFormat, Size, VideoCodec, jpeg::LARGEST_SIDE};

/// Refuses what contradicts `codec = "copy"` in the section of a stream's video, or elsewhere. `others` are the streams
/// before it: each pair of streams is looked at once.
pub(super) fn check(
    s: &Section<'_, '_>,
    video: &VideoConfig,
    overlay: bool,
    cameras: &[CameraConfig],
    others: &[StreamConfig],
) {
    let Some(camera) = cameras.iter().find(|camera| camera.name == video.from) else { return };
    let others: Vec<_> = others
        .iter()
        .filter_map(|stream| Some((stream.name.as_str(), stream.video.as_ref()?)))
        .filter(|(_, other)| other.from == video.from)
        .collect();
    let mixed = others.iter().any(|(_, other)| other.codec != video.codec);
    match video.codec {
        VideoCodec::Copy => {
            keys(s, video, overlay, camera, mixed);
            one_wish(s, video, &others);
        }
        VideoCodec::H264 if camera.format == Some(PixelFormat::H264) => {
            let mend = format!("format = \"mjpeg\" in [camera.{}], which serves both, or \"copy\"", camera.name);
            s.refuse_key("codec", "a camera's H.264 is not decoded to encode it again", mend);
        }
        VideoCodec::H264 => {}
    }
    let jpeg = camera.format == Some(PixelFormat::Mjpeg) || camera.format.is_none() && mixed;
    let copied = video.codec == VideoCodec::Copy || mixed;
    if jpeg && copied && too_large(camera.size) {
        let wrong = format!(
            "camera {:?} gives JPEGs of {}, and RTP carries none over {LARGEST_SIDE}",
            camera.name, camera.size
        );
        s.refuse_key("codec", wrong, "a smaller size of the camera, or \"h264\"");
    }
}

/// Keys that only make sense for pictures that are encoded here.
fn keys(s: &Section<'_, '_>, video: &VideoConfig, overlay: bool, camera: &CameraConfig, mixed: bool) {
    let instead = "with codec = \"h264\"";
    if camera.device == "test" {
        s.refuse_key("codec", "the test pattern has no coding of its own", "\"h264\", or a real camera");
    }
    if let Some(format) = camera.format
        && !format.is_coded()
    {
        let mend = format!("format = \"auto\", \"h264\" or \"mjpeg\" in [camera.{}]", camera.name);
        s.refuse_key("codec", format!("the camera's {format} is no coding that viewers know"), mend);
    }
    if video.size.is_some_and(|size| size != camera.size) {
        let mend = format!("none, so that it is the camera's, {}, or another {instead}", camera.size);
        s.refuse_key("size", "what is passed through keeps the camera's size", mend);
    }
    let thinned = camera.format == Some(PixelFormat::Mjpeg) || camera.format.is_none() && mixed;
    if video.fps.is_some_and(|fps| fps < camera.fps) && !thinned {
        let mend = format!("that fps in [camera.{}], or {instead}", camera.name);
        s.refuse_key("fps", "of H.264 that is passed through no picture can be left out", mend);
    }
    if overlay {
        s.refuse_key("codec", "nothing can be drawn into what is passed through", "overlay = false, or \"h264\"");
    }
    if camera.orientation != Orientation::default() {
        let mend = "the camera's own `controls` to turn it, such as { horizontal_flip = 1 }, or \"h264\"";
        s.refuse_key("codec", "what is passed through cannot be turned or flipped", mend);
    }
    let senseless = [
        ("slices", video.slices.is_some()),
        ("encoder", video.encoder != EncoderChoice::Auto),
        ("frame_skip", video.frame_skip),
        ("adapt", video.adapt),
    ];
    for (key, _) in senseless.into_iter().filter(|(_, set)| *set) {
        s.refuse_key(key, "the camera itself encodes", format!("it only {instead}"));
    }
}

/// A camera encodes in one way for all who pass it on.
fn one_wish(s: &Section<'_, '_>, video: &VideoConfig, others: &[(&str, &VideoConfig)]) {
    let Some((name, other)) = others.iter().find(|(_, other)| other.codec == VideoCodec::Copy) else { return };
    let differs = [
        ("bitrate", other.bitrate != video.bitrate),
        ("gop", other.gop != video.gop),
        ("profile", other.profile != video.profile),
    ];
    for (key, _) in differs.into_iter().filter(|(_, differs)| *differs) {
        s.refuse_key(key, format!("stream {name:?} passes the same camera on with another"), "the same in both");
    }
}

fn too_large(size: Size) -> bool {
    size.width.max(size.height) > LARGEST_SIDE
}

#[cfg(test)]
mod tests {
    use crate::config::parse;

    /// What is said of a stream `main` that passes `camera` on, with further keys.
    fn said(camera: &str, video: &str, more: &str) -> String {
        let text = format!(
            "[camera.front]\ndevice = 'usb-1'\n{camera}\n[stream.main.video]\nfrom = 'front'\ncodec = 'copy'\n{video}\n{more}"
        );
        parse(&text, "f").err().map(|errors| errors.to_string()).unwrap_or_default()
    }

    const SUB: &str = "[stream.sub.video]\nfrom = 'front'";

    #[test]
    fn what_can_be_passed_through_is() {
        for (camera, video, more) in [
            ("", "", ""),
            ("", "", SUB),
            ("format = 'h264'", "bitrate = '3M'\ngop = '1s'\nprofile = 'high'", ""),
            ("format = 'mjpeg'", "fps = 5", SUB),
            ("size = '1920x1080'", "size = '1920x1080'", ""),
            ("size = '2560x1440'", "", ""),
            ("", "", "[stream.other.video]\nfrom = 'front'\ncodec = 'copy'"),
        ] {
            assert_eq!(said(camera, video, more), "", "{camera} {video} {more}");
        }
    }

    #[test]
    fn what_contradicts_it_is_refused_with_the_mend() {
        for (camera, video, more, expected) in [
            ("format = 'yuyv'", "", "", "video.codec: the camera's yuyv is no coding"),
            ("", "size = '640x360'", "", "video.size: what is passed through keeps the camera's size; expected none"),
            (
                "format = 'h264'",
                "fps = 15",
                "",
                "video.fps: of H.264 that is passed through no picture can be left out",
            ),
            ("", "slices = 2", "", "video.slices: the camera itself encodes; expected it only with codec = \"h264\""),
            ("", "frame_skip = true", "", "video.frame_skip: the camera itself"),
            ("format = 'h264'", "", SUB, "sub.video.codec: a camera's H.264 is not decoded"),
            ("format = 'h264'", "", SUB, "expected format = \"mjpeg\" in [camera.front], which serves both"),
            ("format = 'mjpeg'\nsize = '2560x1440'", "", "", "camera \"front\" gives JPEGs of 2560x1440"),
            ("size = '2560x1440'", "", SUB, "a smaller size of the camera, or \"h264\""),
            (
                "",
                "",
                "[stream.other.video]\nfrom = 'front'\ncodec = 'copy'\ngop = '4s'",
                "other.video.gop: stream \"main\" passes the same camera on with another",
            ),
        ] {
            let said = said(camera, video, more);
            assert!(said.contains(expected), "{said}");
        }
        let test = parse("[camera.c]\ndevice = 'test'\n[stream.s.video]\nfrom = 'c'\ncodec = 'copy'", "f").unwrap_err();
        assert!(test.to_string().contains("the test pattern has no coding of its own"), "{test}");
    }
}
