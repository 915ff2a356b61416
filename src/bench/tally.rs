use super::Figures;
use crate::time::MonoTime;
use std::{collections::HashMap, time::Duration};

/// A viewer that is no further behind than this is at the live edge.
const EDGE: Duration = Duration::from_millis(50);

/// What a crowd has got.
#[derive(Default)]
pub struct Tally {
    pub packets: u64,
    /// Of RTP packets.
    pub bytes: u64,
    /// Packets that end an access unit.
    pub marked: u64,
    /// Packets that a gap in the sequence numbers tells of.
    pub lost: u64,
    /// Responses with 200.
    pub answers: usize,
    /// The first lines of others.
    pub refusals: Vec<String>,
    /// By RTP timestamp.
    units: HashMap<u32, Times>,
    members: Vec<Member>,
}

/// When packets of one access unit came, to whoever it was.
#[derive(Clone, Copy)]
struct Times {
    first: MonoTime,
    last: MonoTime,
}

#[derive(Clone, Default)]
struct Member {
    expected: Option<u16>,
    packets: u64,
    joined: Joined,
}

/// How a viewer began.
#[derive(Clone, Copy, Debug, Default)]
pub struct Joined {
    /// Its first packet.
    pub first: Option<MonoTime>,
    /// Its first packet with a part of an IDR picture.
    pub idr: Option<MonoTime>,
    /// How long before its first packet somebody else had that access unit.
    pub back: Duration,
    /// When it was at the live edge.
    pub edge: Option<MonoTime>,
    /// Packets that it lost.
    pub lost: u64,
}

impl Tally {
    /// Counts anew. Who is there stays.
    pub fn begin(&mut self) {
        let members = vec![Member::default(); self.members.len()];
        *self = Self { members, ..Self::default() };
    }

    /// Another viewer.
    pub fn add(&mut self) {
        self.members.push(Member::default());
    }

    /// An RTP packet of `length` bytes that begins with `head` has come to `member`.
    pub fn packet(&mut self, member: usize, head: &[u8], length: usize, now: MonoTime) {
        let &[_, kind, s0, s1, t0, t1, t2, t3, ..] = head else { return };
        let (sequence, timestamp) = (u16::from_be_bytes([s0, s1]), u32::from_be_bytes([t0, t1, t2, t3]));
        self.packets += 1;
        self.marked += u64::from(kind >> 7);
        self.bytes += length as u64;
        let times = self.units.entry(timestamp).or_insert(Times { first: now, last: now });
        times.last = now;
        let lag = now - times.first;
        let member = &mut self.members[member];
        member.packets += 1;
        let gap = member.expected.map_or(0, |expected| sequence.wrapping_sub(expected));
        // What is out of order is not lost.
        if gap < 1 << 15 {
            self.lost += u64::from(gap);
            member.joined.lost += u64::from(gap);
            member.expected = Some(sequence.wrapping_add(1));
        }
        let joined = &mut member.joined;
        if joined.first.is_none() {
            (joined.first, joined.back) = (Some(now), lag);
        }
        if joined.idr.is_none() && is_idr(head) {
            joined.idr = Some(now);
        }
        if joined.edge.is_none() && lag <= EDGE {
            joined.edge = Some(now);
        }
    }

    pub fn response(&mut self, head: &str) {
        match head.strip_prefix("RTSP/1.0 ") {
            Some(rest) if rest.starts_with("200 ") => self.answers += 1,
            _ => self.refusals.push(head.lines().next().unwrap_or_default().to_owned()),
        }
    }

    /// From the first packet that anybody got of an access unit to the last that anybody got, in milliseconds, of each
    /// access unit that is whole: the first and the last are left out.
    pub fn spreads(&self) -> Figures {
        let mut times: Vec<Times> = self.units.values().copied().collect();
        times.sort_by_key(|times| times.first);
        let whole = times.get(1..times.len().saturating_sub(1)).unwrap_or_default();
        whole.iter().map(|times| (times.last - times.first).as_secs_f64() * 1e3).collect()
    }

    /// How many have got nothing at all.
    pub fn silent(&self) -> usize {
        self.members.iter().filter(|member| member.packets == 0).count()
    }

    pub fn joined(&self, member: usize) -> Joined {
        self.members[member].joined
    }
}

/// Whether an RTP packet that begins so (RFC 6184 §5.6, §5.8) holds a part of an IDR picture.
pub(super) fn is_idr(head: &[u8]) -> bool {
    const IDR: u8 = 5;
    const FU_A: u8 = 28;
    match head.get(12..) {
        Some([nal, fragment, ..]) if nal & 31 == FU_A => fragment & 31 == IDR,
        Some([nal, ..]) => nal & 31 == IDR,
        _ => false,
    }
}
