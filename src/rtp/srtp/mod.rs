//! SRTP and SRTCP (RFC 3711): how a track is protected, once for all who share its key, and how what comes back is opened.

mod context;

pub use context::{Context, MasterKey};

use super::{Header, PacketBatch};
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

/// Octets that SRTP appends to a packet: the 80-bit tag of AES_CM_128_HMAC_SHA1_80 (RFC 4568 §6.2). Kept free in
/// every packet, so that one batch serves plain and protected viewers.
pub const SRTP_TRAILER: usize = context::TAG;

/// So many packets of a track may be older than the first that is protected under a key, and still be read.
const SLACK: u64 = 4096;
/// A key is given to newcomers for so many packets at most. Receivers that take the rollover counter for 0, whatever they
/// are told, as GStreamer's do, thus have as many before it counts.
const FRESH: u64 = 32_768;
/// SRTCP's index has 31 bits (RFC 3711 §3.4). A key is given to newcomers until half of them are used.
const REPORTS: u32 = 1 << 30;
/// Sources (SSRC) of reports that one viewer may have: it is one, and another one after a collision (RFC 3550 §8.2).
const SOURCES: usize = 8;

/// One track's protection under one key: what all who were told this key are sent.
///
/// Packets are numbered anew from where the key is first used, so that its rollover counter begins with 0.
#[derive(Debug)]
pub struct Protection {
    id: u64,
    key: MasterKey,
    context: Context,
    /// The [extended number](PacketBatch::extended) of the packet whose index is 0.
    origin: OnceLock<u64>,
    /// Reports protected so far, to all viewers: the same index twice would give both away.
    reports: AtomicU32,
}

impl Protection {
    /// Under a new key.
    ///
    /// # Errors
    /// The kernel has no randomness to give.
    pub fn random() -> Result<Arc<Self>, getrandom::Error> {
        Ok(Arc::new(Self::new(MasterKey::random()?)))
    }

    pub fn new(key: MasterKey) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            context: Context::new(&key),
            key,
            origin: OnceLock::new(),
            // As libsrtp counts.
            reports: AtomicU32::new(1),
        }
    }

    pub fn key(&self) -> &MasterKey {
        &self.key
    }

    /// Unique within the process.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// The SRTP index of the packet with this extended number: sequence number and, above 16 bits, the rollover counter.
    pub fn index(&self, extended: u64) -> u64 {
        let origin = *self.origin.get_or_init(|| extended.saturating_sub(SLACK));
        extended.wrapping_sub(origin) & ((1 << 48) - 1)
    }

    /// The rollover counter at the packet with this extended number.
    pub fn rollover(&self, extended: u64) -> u32 {
        // Where nothing came yet, or nothing is known any more, it is where it begins.
        self.origin.get().and_then(|origin| extended.checked_sub(*origin)).map_or(0, |index| (index >> 16) as u32)
    }

    /// Whether a newcomer who begins about the packet with this extended number is to be told this key.
    pub fn is_fresh(&self, extended: u64) -> bool {
        self.origin.get().is_none_or(|origin| extended.wrapping_sub(*origin) < FRESH) && self.has_reports_left()
    }

    /// Whether newcomers may be told this key at all.
    pub fn has_reports_left(&self) -> bool {
        self.reports.load(Ordering::Relaxed) < REPORTS
    }

    /// Protects a compound RTCP packet. False: the key has no index left, and nothing may be sent.
    #[must_use]
    pub fn protect_report(&self, packet: &mut Vec<u8>) -> bool {
        let next = |index: u32| (index < 2 * REPORTS).then_some(index + 1);
        let Ok(index) = self.reports.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next) else { return false };
        self.context.protect_rtcp(packet, index);
        true
    }

    /// Appends all packets of a batch, protected, back to back, and where each ends.
    pub(super) fn protect(&self, batch: &PacketBatch, bytes: &mut Vec<u8>, ends: &mut Vec<u32>) {
        bytes.reserve_exact(batch.bytes().len() + batch.len() * SRTP_TRAILER);
        let first = self.index(batch.extended());
        for (packet, index) in batch.packets().zip(first..) {
            let start = bytes.len();
            bytes.extend_from_slice(packet);
            Header::renumber(&mut bytes[start..], index as u16);
            self.context.protect_rtp(bytes, start, Header::SIZE, index);
            ends.push(bytes.len() as u32);
        }
    }
}

/// What one viewer sends back of a track: opened under its own key, and taken only once.
#[derive(Debug)]
pub struct Receiver {
    context: Context,
    /// Octets of the key's name in each packet.
    mki: usize,
    /// Of each source in it: every SSRC counts for itself (RFC 3711 §3.2.3).
    windows: Vec<(u32, Window)>,
}

/// Which of one source's packets have come (RFC 3711 §3.3.2).
#[derive(Debug)]
struct Window {
    highest: u32,
    /// Bit n: the index n below the highest has come.
    seen: u64,
}

impl Receiver {
    pub fn new(key: &MasterKey, mki: usize) -> Self {
        Self { context: Context::new(key), mki, windows: Vec::new() }
    }

    /// The compound packet inside. None: it is not of this viewer, has come before, or is of one source too many.
    pub fn open(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let (plain, index) = self.context.unprotect_rtcp(packet, self.mki)?;
        let ssrc = context::ssrc(&plain[4..]);
        if !self.windows.iter().any(|(known, _)| *known == ssrc) && self.windows.len() < SOURCES {
            self.windows.push((ssrc, Window { highest: index, seen: 0 }));
        }
        // None is forgotten for another: what it sent could come again.
        let (_, window) = self.windows.iter_mut().find(|(known, _)| *known == ssrc)?;
        window.take(index).then_some(plain)
    }

    /// Whether this viewer made it.
    pub fn is_authentic(&self, packet: &[u8]) -> bool {
        self.context.unprotect_rtcp(packet, self.mki).is_some()
    }
}

impl Window {
    /// Whether the packet with this index comes for the first time, and not too late to tell.
    fn take(&mut self, index: u32) -> bool {
        if index > self.highest {
            self.seen = self.seen.checked_shl(index - self.highest).unwrap_or(0);
            self.highest = index;
        }
        let Some(bit) = 1u64.checked_shl(self.highest - index).filter(|bit| self.seen & bit == 0) else { return false };
        self.seen |= bit;
        true
    }
}

#[cfg(test)]
mod tests;
