//! Everything that fuzzing once found, and what it starts from, through the same functions that are fuzzed.

use std::{fs, path::Path};

#[path = "../fuzz/src/lib.rs"]
mod targets;

/// Runs a target on each of its seeds.
macro_rules! seeds {
    ($($target:ident)*) => {
        $(
            #[test]
            fn $target() {
                each_seed(stringify!($target), targets::$target);
            }
        )*

        #[test]
        fn every_folder_of_seeds_has_a_target() {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
            for entry in fs::read_dir(root.join("seeds")).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                assert!([$(stringify!($target)),*].contains(&name.as_str()), "{name}");
            }
            for target in [$(stringify!($target)),*] {
                assert!(root.join(format!("fuzz_targets/{target}.rs")).exists(), "{target}");
            }
        }
    };
}

seeds! { rtsp_messages rtsp_connection rtsp_transport rtsp_headers rtsp_url digest rtcp config sps annex_b mikey mjpeg packetize tunnel websocket }

fn each_seed(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        eprintln!("{}", path.display());
        run(&fs::read(&path).unwrap());
        count += 1;
    }
    assert!(count > 0, "no seeds in {}", folder.display());
    run(b"");
}
