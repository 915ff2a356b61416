//! What systemd is told (sd_notify(3)). Where another started the server there is nobody to tell, and nothing happens.

use sd_notify::NotifyState;
use std::time::Duration;

/// Every socket is bound.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The config is read anew; [`ready`] ends it.
pub fn reloading() {
    // systemd from 253 on wants the time with it.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// All goes on: the service is not to be restarted.
pub fn feed() {
    tell(&[NotifyState::Watchdog]);
}

/// The line that `systemctl status` shows.
pub fn status(line: &str) {
    tell(&[NotifyState::Status(line)]);
}

/// How long it may take from one [`feed`] to the next; None without a watchdog.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|time| !time.is_zero())
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!("systemd cannot be told: {error}");
    }
}
