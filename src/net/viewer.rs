use super::{
    cursor::Cursor,
    feedback::{Allowance, Feedback},
    keys::TrackKeys,
    multicast::Member,
    pacer::Pacer,
    reports::{ReportContext, Reports},
    ring::Ring,
    udp,
};
use crate::{rtp::PacketBatch, stream::Watch, time::MonoTime};
use bytes::Bytes;
use std::{borrow::Cow, io, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};
use tokio::net::UdpSocket;

/// One session's media: a place in the ring, and how it is sent to.
pub struct Viewer {
    /// [`crate::stream::Hub::id`] of what it watches.
    pub hub: u64,
    /// Its name.
    pub stream: Arc<str>,
    pub peer: SocketAddr,
    pub user: Option<String>,
    /// Since the first PLAY.
    pub since: Option<MonoTime>,
    /// None while not playing.
    pub cursor: Option<Cursor>,
    pub outlet: Outlet,
    /// By index into the hub's tracks; None for tracks that were not set up.
    pub tracks: [Option<ViewerTrack>; 2],
    pub bytes: u64,
    /// It stands among those that have more to send after a pacing tick.
    pub paced: bool,
    /// Access units dropped before the present cursor.
    pub dropped_before: u64,
    /// Of key frames that it may ask for.
    pub allowance: Allowance,
    /// Keeps the sources running for as long as the viewer lives.
    pub _watch: Watch,
}

/// What a viewer's track has of its own.
#[derive(Debug, Default)]
pub struct ViewerTrack {
    pub ssrc: u32,
    pub clock_rate: u32,
    pub reports: Reports,
    pub feedback: Feedback,
    /// Packets left out before the present cursor.
    pub unsent_before: u64,
    /// Its receiver has said BYE.
    pub gone: bool,
    /// None: it goes in clear, or inside TLS alone.
    pub keys: Option<Box<TrackKeys>>,
}

impl ViewerTrack {
    /// A batch as it goes to this viewer.
    fn form<'b>(&self, batch: &'b Arc<PacketBatch>) -> &'b Arc<PacketBatch> {
        self.keys.as_ref().map_or(batch, |keys| batch.protected(&keys.ours))
    }

    /// Makes of an RTCP packet what goes to this viewer. False: it must not be sent.
    #[must_use]
    pub fn protect(&self, packet: &mut Vec<u8>) -> bool {
        self.keys.as_ref().is_none_or(|keys| keys.ours.protect_report(packet))
    }

    /// The sender report to send before `batch`, as it goes to this viewer; None while none is due.
    fn report(&mut self, batch: &PacketBatch, context: &ReportContext<'_>) -> Option<Cow<'_, [u8]>> {
        let report = self.reports.due(batch, self.clock_rate, context)?;
        let Some(keys) = &self.keys else { return Some(Cow::Borrowed(report)) };
        let mut report = report.to_vec();
        keys.ours.protect_report(&mut report).then_some(Cow::Owned(report))
    }

    /// The sequence number that this viewer sees for the packet with that extended one.
    pub fn sequence(&self, extended: u64) -> u16 {
        self.keys.as_ref().map_or(extended, |keys| keys.ours.index(extended)) as u16
    }
}

/// How one viewer is sent to.
pub enum Outlet {
    Udp(Box<UdpOutlet>),
    /// To a group: the one sender of all its members.
    Group(Box<UdpOutlet>),
    /// What the group's sender sends.
    Member(Member),
    Interleaved(InterleavedOutlet),
}

/// Over the RTSP connection itself (RFC 2326 §10.12); the bytes go out with that connection's replies.
pub struct InterleavedOutlet {
    pub connection: u64,
    /// RTP channels by track; RTCP is on a channel of its own.
    pub channels: [Option<(u8, u8)>; 2],
}

/// Over UDP, with connected sockets of the viewer's own.
pub struct UdpOutlet {
    pub tracks: [Option<UdpTrack>; 2],
    pacer: Pacer,
    /// Whether the kernel cuts runs into packets.
    offload: bool,
    /// The entry that is being sent, how many of its bytes are out, and when it was begun.
    under_way: Option<(u64, usize, MonoTime)>,
    /// How long the last one took that did not go out at once.
    pub paced: Option<Duration>,
    interval: Duration,
}

pub struct UdpTrack {
    pub rtp: Channel,
    pub rtcp: Channel,
}

/// A connected socket and what is known of its far end.
pub struct Channel {
    pub socket: Rc<UdpSocket>,
    pub local: SocketAddr,
    pub peer: SocketAddr,
    /// Whether anything came from there: then the port is the true one and is not learnt anew.
    pub heard: bool,
    /// Reads the socket; ends with it.
    pub reader: Option<tokio::task::AbortHandle>,
}

impl Drop for Channel {
    fn drop(&mut self) {
        if let Some(reader) = &self.reader {
            reader.abort();
        }
    }
}

/// What [`Viewer::send`] left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// It is at the live edge.
    Nothing,
    /// More is to follow after a pacing tick.
    More,
}

impl UdpOutlet {
    /// `interval`: one frame's time.
    pub fn new(interval: Duration, now: MonoTime) -> Self {
        Self { tracks: [None, None], pacer: Pacer::new(now), offload: true, under_way: None, paced: None, interval }
    }

    fn send(
        &mut self,
        cursor: &mut Cursor,
        ring: &Ring,
        tracks: &mut [Option<ViewerTrack>; 2],
        context: &ReportContext<'_>,
        bytes: &mut u64,
    ) -> Left {
        while let Some(entry) = cursor.entry(ring) {
            let (Some(route), Some(track)) = (&self.tracks[entry.track], &mut tracks[entry.track]) else {
                cursor.advance();
                continue;
            };
            let batch = track.form(&entry.batch);
            let total = batch.bytes().len();
            let (mut sent, begun) = match self.under_way {
                Some((position, sent, begun)) if position == cursor.position() => (sent, begun),
                _ => {
                    self.pacer.begin(total, self.interval, context.now);
                    if let Some(report) = track.report(&entry.batch, context) {
                        // Lost reports are made up for by the next.
                        let _ = udp::send_datagram(&route.rtcp.socket, &report);
                    }
                    (0, context.now)
                }
            };
            let allowed = self.pacer.allowance(context.now);
            match udp::send_batch(&route.rtp.socket, batch, sent, allowed, &mut self.offload) {
                Ok(to) => {
                    self.pacer.spend(to - sent);
                    *bytes += (to - sent) as u64;
                    let stuck = to == sent;
                    sent = to;
                    if stuck && sent < total {
                        self.under_way = Some((cursor.position(), sent, begun));
                        return Left::More;
                    }
                }
                Err(error) if is_congestion(&error) => {
                    self.under_way = Some((cursor.position(), sent, begun));
                    return Left::More;
                }
                // Nobody listens there (any more), or there is no way: its time-out will end it.
                Err(_) => sent = total,
            }
            if sent >= total {
                self.under_way = None;
                if context.now > begun {
                    self.paced = Some(context.now.since(begun));
                }
                cursor.advance();
            } else {
                self.under_way = Some((cursor.position(), sent, begun));
            }
        }
        Left::Nothing
    }
}

/// The kernel's buffers are full for the moment.
fn is_congestion(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::ENOBUFS)
}

impl Viewer {
    /// The sender of a group stands for no viewer of its own.
    pub fn is_group(&self) -> bool {
        matches!(self.outlet, Outlet::Group(_))
    }

    /// Whether its packets are encrypted each by itself.
    pub fn is_protected(&self) -> bool {
        self.tracks.iter().flatten().any(|track| track.keys.is_some())
    }

    /// Sends what is due over UDP. An interleaved viewer's connection fetches its own.
    pub fn send(&mut self, ring: &Ring, context: &ReportContext<'_>) -> Left {
        let (Some(cursor), Outlet::Udp(udp) | Outlet::Group(udp)) = (&mut self.cursor, &mut self.outlet) else {
            return Left::Nothing;
        };
        udp.send(cursor, ring, &mut self.tracks, context, &mut self.bytes)
    }

    /// The next batch for an interleaved viewer, already moved past, with the report that goes before it.
    pub fn next_interleaved(&mut self, ring: &Ring, context: &ReportContext<'_>) -> Option<NextInterleaved> {
        let (Some(cursor), Outlet::Interleaved(outlet)) = (&mut self.cursor, &self.outlet) else { return None };
        while let Some(entry) = cursor.entry(ring) {
            let route = outlet.channels[entry.track].zip(self.tracks[entry.track].as_mut());
            cursor.advance();
            let Some(((rtp, rtcp), track)) = route else { continue };
            let report = track.report(&entry.batch, context).map(|report| framed(rtcp, &report));
            let batch = track.form(&entry.batch).clone();
            self.bytes += batch.bytes().len() as u64;
            return Some(NextInterleaved { batch, channel: rtp, report });
        }
        None
    }

    /// Access units that were dropped for this viewer.
    pub fn dropped(&self) -> u64 {
        self.dropped_before + self.cursor.as_ref().map_or(0, Cursor::dropped)
    }

    /// Packets of a track that were left out for this viewer.
    pub fn unsent(&self, track: usize) -> u64 {
        let before = self.tracks[track].as_ref().map_or(0, |track| track.unsent_before);
        before + self.cursor.as_ref().map_or(0, |cursor| cursor.unsent(track))
    }

    /// Stops sending; [`Viewer::cursor`] is set again by the next PLAY.
    pub fn pause(&mut self) {
        if let Some(cursor) = self.cursor.take() {
            self.dropped_before += cursor.dropped();
            for (index, track) in self.tracks.iter_mut().enumerate() {
                track.iter_mut().for_each(|track| track.unsent_before += cursor.unsent(index));
            }
        }
        if let Outlet::Udp(udp) | Outlet::Group(udp) = &mut self.outlet {
            udp.under_way = None;
        }
    }
}

/// What an interleaved viewer is to be sent next.
pub struct NextInterleaved {
    pub batch: std::sync::Arc<crate::rtp::PacketBatch>,
    pub channel: u8,
    /// Framed for the connection.
    pub report: Option<Bytes>,
}

/// A packet in `$` framing (RFC 2326 §10.12).
pub fn framed(channel: u8, packet: &[u8]) -> Bytes {
    let mut framed = Vec::with_capacity(packet.len() + 4);
    framed.extend_from_slice(&[b'$', channel]);
    framed.extend_from_slice(&(packet.len() as u16).to_be_bytes());
    framed.extend_from_slice(packet);
    framed.into()
}
