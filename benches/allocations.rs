//! What the server's threads take of the heap for each access unit, in the steady state: with viewers over UDP and TCP, the
//! server runs in this process, under an allocator that counts; the viewers are in another.
//!
//! `cargo bench --bench allocations -- --camera DEVICE` takes that camera in place of the test pattern.

mod rig;

use eyrie::{app, bench::Crowd};
use rig::{Outcome, Viewer, Way};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    env, fs,
    io::Read,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// Set for the process of the viewers: where they connect.
const VIEWERS: &str = "EYRIE_BENCH_VIEWERS";
const FPS: u32 = 30;
/// Over this many sender reports of every viewer's tracks are due in a second; inside a connection each takes a
/// message of its own.
const REPORTS: f64 = 1.7;
const THREADS: usize = 256;

#[global_allocator]
static COUNTING: Counting = Counting;

/// How often each thread took of the heap, by the number in [`NUMBER`].
static TAKEN: [AtomicU64; THREADS] = [const { AtomicU64::new(0) }; THREADS];
/// The kernel's numbers of those threads.
static KERNEL: [AtomicUsize; THREADS] = [const { AtomicUsize::new(0) }; THREADS];
static THREADS_SEEN: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
}

struct Counting;

fn count() {
    let _ = NUMBER.try_with(|number| {
        if number.get() == usize::MAX {
            number.set(THREADS_SEEN.fetch_add(1, Ordering::Relaxed));
            if let Some(kernel) = KERNEL.get(number.get()) {
                kernel.store(nix::unistd::gettid().as_raw() as usize, Ordering::Relaxed);
            }
        }
        if let Some(taken) = TAKEN.get(number.get()) {
            taken.fetch_add(1, Ordering::Relaxed);
        }
    });
}

mod sys {
    use super::*;

    // SAFETY: all is the system's allocator; counting allocates nothing.
    unsafe impl GlobalAlloc for Counting {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            count();
            // SAFETY: as the caller promises.
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
            // SAFETY: as the caller promises.
            unsafe { System.dealloc(pointer, layout) }
        }

        unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            count();
            // SAFETY: as the caller promises.
            unsafe { System.realloc(pointer, layout, size) }
        }
    }
}

fn main() -> Outcome<()> {
    if let Ok(told) = env::var(VIEWERS) {
        return viewers(&told);
    }
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let _folder = serve(address)?;
    rig::heading("Allocations in the steady state, 1280x720 at 30");
    for (way, count) in [("udp", 1), ("udp", 50), ("tcp", 1), ("tcp", 50)] {
        let crowd = Watching::start(address, way, count)?;
        // The rings are full, and what is made again and again has been made once.
        thread::sleep(Duration::from_secs(if rig::smoke() { 1 } else { 12 }));
        let long = if rig::smoke() { 1 } else { 20 };
        let before = taken();
        thread::sleep(Duration::from_secs(long));
        let after = taken();
        drop(crowd);
        println!("  {count} viewers over {way}; allocations per access unit:");
        for (name, count_after) in &after {
            let count_before = before.iter().find(|(known, _)| known == name).map_or(0, |(_, count)| *count);
            let units = (long as u32 * FPS) as f64;
            let mut note = String::new();
            if name.starts_with("net-") {
                note = format!(
                    "   (sender reports and what receives reports take at most {:.2})",
                    f64::from(count) * REPORTS * 2.0 / f64::from(FPS)
                );
            }
            if *count_after > count_before {
                println!("    {name:<16} {:8.3}{note}", (count_after - count_before) as f64 / units);
            }
        }
    }
    Ok(())
}

/// As a config names it.
fn camera() -> String {
    env::args().skip_while(|argument| argument != "--camera").nth(1).unwrap_or_else(|| "test".to_owned())
}

/// Starts the server inside this process; returns once it accepts.
fn serve(address: SocketAddr) -> Outcome<TempDir> {
    let folder = tempfile::Builder::new().prefix("eyrie-bench-").tempdir()?;
    let config = folder.path().join("eyrie.toml");
    fs::write(
        &config,
        format!(
            "[server]\nlisten = [\"{address}\"]\nudp_ports = \"0\"\nanonymous = true\nstate_dir = {:?}\n\
             control_socket = {:?}\n{}",
            folder.path().join("state"),
            folder.path().join("control.sock"),
            rig::capture::STREAM.replace("\"test\"", &format!("{:?}", camera()))
        ),
    )?;
    thread::Builder::new()
        .name("main".into())
        .spawn(move || app::run(app::Options { config: Some(config), anonymous: true }))?;
    while TcpStream::connect(address).is_err() {
        thread::sleep(Duration::from_millis(10));
    }
    Ok(folder)
}

/// How often each thread that lives has taken of the heap.
fn taken() -> Vec<(String, u64)> {
    let seen = THREADS_SEEN.load(Ordering::Relaxed).min(THREADS);
    let threads = (0..seen).filter_map(|number| {
        let kernel = KERNEL[number].load(Ordering::Relaxed);
        let name = fs::read_to_string(format!("/proc/self/task/{kernel}/comm")).ok()?;
        Some((format!("{} {kernel}", name.trim()), TAKEN[number].load(Ordering::Relaxed)))
    });
    threads.filter(|(_, count)| *count > 0).collect()
}

/// The process of the viewers; ends with this.
struct Watching(Child);

impl Watching {
    fn start(address: SocketAddr, way: &str, count: u32) -> Outcome<Self> {
        let mut child = Command::new(env::current_exe()?)
            .env(VIEWERS, format!("{address} {way} {count}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut said = [0; 1];
        child.stdout.as_mut().ok_or("no stdout")?.read_exact(&mut said)?;
        Ok(Self(child))
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Viewers that watch until stdin ends.
fn viewers(told: &str) -> Outcome<()> {
    let words: Vec<&str> = told.split(' ').collect();
    let [address, way, count] = words[..] else { return Err("address, way, count".into()) };
    let way = if way == "udp" { Way::Udp } else { Way::Tcp };
    let mut crowd = Crowd::new()?;
    for _ in 0..count.parse()? {
        crowd.add(Viewer::set_up(TcpStream::connect(address)?, way)?)?;
    }
    crowd.play_all()?;
    println!();
    std::io::Write::flush(&mut std::io::stdout())?;
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}
