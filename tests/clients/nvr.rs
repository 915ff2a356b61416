//! Recorders log in and record, and their files play: Motion, and what others do with FFmpeg.

use std::{fs, path::Path, process::Command, time::Duration};

use nix::{sys::signal, unistd::Pid};

use super::players::SCENE;
use crate::support::{Expected, Player, Recording, Server, Times, missing, server};

/// Each file of it is as long.
const SECONDS: u64 = 6;

/// What it looks for motion in, where it records the other.
const SUB: &str = "
    [stream.sub]
    video = { from = \"cam\", codec = \"h264\", size = \"320x176\", fps = 15, bitrate = \"300k\" }";

/// Lets Motion record stream `main` until its first file is whole; what plays back from it.
fn record(passthrough: bool) -> Option<Recording> {
    if missing(&["motion", "ffmpeg"]) {
        return None;
    }
    let server = Server::start("", &format!("{SCENE}{SUB}"));
    let folder = tempfile::tempdir().unwrap();
    let (config, whole) = (folder.path().join("motion.conf"), folder.path().join("whole"));
    let (main, sub, tcp) = (server.url("main"), server.url("sub"), "rtsp_transport = tcp");
    let source = if passthrough {
        format!("netcam_url {sub}\nnetcam_high_url {main}\nnetcam_high_params {tcp}\nmovie_passthrough on")
    } else {
        format!("netcam_url {main}\nmovie_passthrough off")
    };
    // A recording without end, cut into files; neither a page, nor a stream, nor words in the picture.
    let text = format!(
        "daemon off\nlog_level 6\ntarget_dir {folder}\nwebcontrol_port 0\nstream_port 0\n\
         {source}\nnetcam_userpass viewer:{password}\nnetcam_params {tcp}\n\
         width 640\nheight 360\nframerate 30\nemulate_motion on\npicture_output off\ntext_right\n\
         movie_output on\nmovie_codec mkv\nmovie_quality 75\nmovie_max_time {SECONDS}\n\
         movie_filename %Y%m%d%H%M%S\non_movie_end echo %f >> {whole}\n",
        folder = folder.path().display(),
        password = server.viewer_password(),
        whole = whole.display(),
    );
    fs::write(&config, text).unwrap();
    let log = fs::File::create(folder.path().join("log")).unwrap();
    let mut motion = Command::new("motion");
    motion.args(["-n", "-c"]).arg(&config).arg("-p").arg(folder.path().join("pid"));
    let mut motion = motion.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    let file = first_line(&whole);
    signal::kill(Pid::from_raw(motion.id() as i32), signal::SIGINT).unwrap();
    let ended = server::wait(&mut motion, Duration::from_secs(20));
    let said = fs::read_to_string(folder.path().join("log")).unwrap();
    if ended.is_none() {
        let _ = motion.kill();
        let _ = motion.wait();
    }
    assert!(ended.is_some_and(|status| status.success()), "Motion ended with {ended:?} and said:\n{said}");
    assert!(said.contains(&format!("Writing movie to file: {file}")), "{file}, and Motion said:\n{said}");
    server.stop();
    // What it writes into its files are times by its own clock.
    let player = Player { width: 640, height: 360, pictures: 1000, sound: false, times: Times::Player };
    Some(player.ffmpeg(&[], &file))
}

/// The first line of a file that is to come.
fn first_line(path: &Path) -> String {
    for _ in 0..400 {
        let text = fs::read_to_string(path).unwrap_or_default();
        if let Some((line, _)) = text.split_once('\n') {
            return line.to_owned();
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("Motion finished no file");
}

#[test]
fn motion_records_the_stream_as_it_comes() {
    let Some(recording) = record(true) else { return };
    recording.check(Expected { fps: 30.0, step: 1, seconds: SECONDS as f64 - 2.0, sound: false });
    assert_lasts_as_long(&recording);
}

/// By a clock of its own, so that it takes some pictures twice and leaves some out.
#[test]
fn motion_records_what_it_decodes() {
    let Some(recording) = record(false) else { return };
    assert!(recording.complaints.is_empty(), "{:?}", recording.complaints);
    assert!(recording.pictures.iter().all(|picture| picture.strip.is_some() && picture.half_is_right));
    assert!(recording.pictures.is_sorted_by_key(|picture| picture.strip.map(|strip| strip.millis)));
    assert_lasts_as_long(&recording);
}

/// Lets ZoneMinder record stream `main`, by a monitor of the type Ffmpeg with these further columns; what plays back from
/// its second file, and what it said.
fn zoneminder(columns: &[&str]) -> (Recording, String) {
    let server = Server::start("", SCENE);
    let mut recorder = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/lib/zoneminder"));
    recorder.args(["record", "Width=640", "Height=360"]).args(columns);
    recorder.arg(format!("SectionLength={SECONDS}"));
    recorder.arg(format!("Path={}", server.url_as("main", "viewer", &server.viewer_password())));
    let recorded = recorder.output().unwrap();
    let said = String::from_utf8_lossy(&recorded.stderr).into_owned();
    assert!(recorded.status.success(), "{said}");
    server.stop();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, recorded.stdout).unwrap();
    let player = Player { width: 640, height: 360, pictures: 1000, sound: false, times: Times::Player };
    (player.ffmpeg(&[], file.path().to_str().unwrap()), said)
}

#[test]
#[ignore = "`scripts/test zoneminder` fetches what it needs"]
fn zoneminder_records_the_stream_as_it_comes() {
    let (recording, said) = zoneminder(&["Method=rtpRtsp", "VideoWriter=2"]);
    recording.check(Expected { fps: 30.0, step: 1, seconds: SECONDS as f64 - 0.5, sound: false });
    assert_lasts_as_long(&recording);
    assert!(!said.contains(".ERR-") && !said.contains(".WAR-"), "{said}");
}

#[test]
#[ignore = "`scripts/test zoneminder` fetches what it needs"]
fn zoneminder_records_what_it_decodes() {
    let encoder = "EncoderParameters=preset=ultrafast,crf=18,bf=0";
    let (recording, _) = zoneminder(&["Method=rtpUni", "VideoWriter=1", "OutputCodec=27", "Encoder=libx264", encoder]);
    recording.check(Expected { fps: 30.0, step: 1, seconds: SECONDS as f64 - 0.5, sound: false });
    assert_lasts_as_long(&recording);
}

/// The file as what it shows, and that is as much as was asked for.
fn assert_lasts_as_long(recording: &Recording) {
    let pictures = recording.pictures.iter().filter_map(|picture| Some((picture.time?, picture.strip?.millis)));
    let pictures: Vec<_> = pictures.collect();
    let ((first, begin), (last, end)) = (pictures[0], pictures[pictures.len() - 1]);
    let (file, shown) = (last - first, (end - begin) as f64 / 1000.0);
    assert!((0.9..1.1).contains(&(file / shown)), "{file} s long for {shown} s");
    assert!(shown >= SECONDS as f64 - 2.0 && pictures.len() as f64 > shown * 20.0, "{} in {shown} s", pictures.len());
}

/// Frigate records by the ffmpeg of its image, as it comes, with these options; other recorders do so too.
#[test]
fn what_frigate_calls_records_files_without_a_gap() {
    if missing(&["ffmpeg"]) {
        return;
    }
    let server = Server::start("", SCENE);
    let folder = tempfile::tempdir().unwrap();
    let url = server.url_as("main", "viewer", &server.viewer_password());
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-hide_banner", "-loglevel", "warning", "-nostdin", "-avoid_negative_ts", "make_zero"]);
    ffmpeg.args(["-fflags", "+genpts+discardcorrupt", "-rtsp_transport", "tcp", "-timeout", "5000000"]);
    ffmpeg.args(["-use_wallclock_as_timestamps", "1", "-i", &url, "-t", "10"]);
    ffmpeg.args(["-f", "segment", "-segment_time", "3", "-segment_format", "mp4", "-reset_timestamps", "1"]);
    ffmpeg.args(["-c:v", "copy", "-c:a", "aac"]).arg(folder.path().join("%03d.mp4"));
    let said = ffmpeg.output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    server.stop();
    let player = Player { width: 640, height: 360, pictures: 1000, sound: false, times: Times::Player };
    let files = ["000.mp4", "001.mp4"].map(|name| player.ffmpeg(&[], folder.path().join(name).to_str().unwrap()));
    // A file ends with a key frame: one is 4 s long and the next 2, or both 3, as the first came.
    files.iter().for_each(|file| file.check(Expected { fps: 30.0, step: 1, seconds: 1.5, sound: false }));
    let [last, first] = [files[0].pictures.last(), files[1].pictures.first()].map(|it| it.unwrap().strip.unwrap());
    assert_eq!(last.counter.wrapping_add(1), first.counter);
}
