//! The camera program of the tests, `programs/camera.rs`.

use std::env;

/// A config's `device` that starts it with these arguments.
pub fn camera_program(arguments: &str) -> String {
    // Cargo builds examples beside the folder of the tests.
    let tests = env::current_exe().unwrap();
    let program = tests.ancestors().nth(2).unwrap().join("examples/camera");
    assert!(program.is_file(), "{program:?} is not there: `cargo build --example camera` makes it");
    format!("child:{} {arguments}", program.display())
}
