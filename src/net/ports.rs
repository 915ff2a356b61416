//! Datagrams from clients: receiver reports, and the ports of those that sit behind address translation.

use super::{
    state::State,
    udp,
    viewer::{Channel, Outlet, UdpTrack},
};
use crate::{
    rtp::{is_rtcp, is_well_formed_rtp, rtcp},
    rtsp::SessionId,
    time::MonoTime,
};
use std::{cell::RefCell, io, net::SocketAddr, rc::Rc};
use tokio::{net::UdpSocket, task::spawn_local};

/// Longer than any report, and than the packets that open a way through address translation.
pub const DATAGRAM: usize = 2048;

/// Which of a track's two ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Rtp,
    Rtcp,
}

/// Hears the datagrams that no viewer's own socket takes, without end.
pub async fn hear_strangers(state: Rc<RefCell<State>>, socket: UdpSocket, kind: Kind) {
    let mut buffer = [0; DATAGRAM];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, from)) => {
                let from = udp::canonical(from);
                state.borrow_mut().heard_stranger(from, kind, &buffer[..length], MonoTime::now());
            }
            // An ICMP error of something sent before; the socket itself is sound.
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

/// Hears what comes from a viewer's own port, until its task is aborted.
async fn hear(
    state: std::rc::Weak<RefCell<State>>,
    socket: Rc<UdpSocket>,
    session: SessionId,
    track: usize,
    kind: Kind,
) {
    let mut buffer = [0; DATAGRAM];
    loop {
        let received = socket.recv(&mut buffer).await;
        let Some(state) = state.upgrade() else { return };
        match received {
            Ok(length) => state.borrow_mut().heard(session, track, kind, &buffer[..length], MonoTime::now()),
            // Port unreachable: the client is gone, or not there yet.
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

impl State {
    /// Opens a viewer's sockets for one track.
    ///
    /// # Errors
    /// There is no UDP here, or the system gives no socket.
    pub fn open_udp(
        &self,
        session: SessionId,
        track: usize,
        peer: SocketAddr,
        local: SocketAddr,
        client_ports: (u16, u16),
        dscp: u8,
    ) -> io::Result<UdpTrack> {
        let port = self.settings.ports.ok_or_else(|| io::Error::other("UDP is not on offer"))?;
        let open = |kind: Kind, local_port: u16, client_port: u16| {
            let (mut local, mut peer) = (local, peer);
            local.set_port(local_port);
            peer.set_port(client_port);
            self.open_channel(session, track, kind, (local, peer), dscp)
        };
        Ok(UdpTrack { rtp: open(Kind::Rtp, port, client_ports.0)?, rtcp: open(Kind::Rtcp, port + 1, client_ports.1)? })
    }

    fn open_channel(
        &self,
        session: SessionId,
        track: usize,
        kind: Kind,
        (local, peer): (SocketAddr, SocketAddr),
        dscp: u8,
    ) -> io::Result<Channel> {
        let socket = Rc::new(udp::connected(local, peer)?);
        udp::mark(&*socket, dscp);
        let reader = spawn_local(hear(self.me.clone(), socket.clone(), session, track, kind)).abort_handle();
        Ok(Channel { socket, local, peer, heard: false, reader: Some(reader) })
    }

    /// A datagram came from the port that a viewer announced: it is the true one.
    fn heard(&mut self, session: SessionId, track: usize, kind: Kind, datagram: &[u8], now: MonoTime) {
        let Some(viewer) = self.viewers.get_mut(&session) else { return };
        let Outlet::Udp(udp) = &mut viewer.outlet else { return };
        let Some(route) = &mut udp.tracks[track] else { return };
        match kind {
            Kind::Rtp => route.rtp.heard = true,
            Kind::Rtcp => route.rtcp.heard = true,
        }
        if kind == Kind::Rtcp {
            self.receive_report(session, track, datagram, now);
        }
    }

    /// A datagram from a port that nobody announced. It may be a client behind address translation, which opens its way
    /// with a packet of its own: its port is learnt if nothing has come from the announced one, and if no other session
    /// of that address waits for the same. All else is dropped and counted.
    fn heard_stranger(&mut self, from: SocketAddr, kind: Kind, datagram: &[u8], now: MonoTime) {
        let Some((session, track)) =
            self.awaited(from, kind).filter(|(session, track)| self.is_from(*session, *track, kind, datagram))
        else {
            self.strangers += 1;
            return;
        };
        let Some(local) = self.channel(session, track, kind).map(|channel| channel.local) else { return };
        let stream = self.viewers.get(&session).and_then(|viewer| self.streams.get(&viewer.hub));
        let dscp = stream.map_or(0, |stream| stream.entry.dscp);
        let Ok(mut learnt) = self.open_channel(session, track, kind, (local, from), dscp) else { return };
        learnt.heard = true;
        tracing::debug!(%from, "learnt a viewer's port");
        if let Some(channel) = self.channel(session, track, kind) {
            *channel = learnt;
        }
        self.heard(session, track, kind, datagram, now);
    }

    /// Whether a datagram may be of that session's client.
    fn is_from(&self, session: SessionId, track: usize, kind: Kind, datagram: &[u8]) -> bool {
        let keys = || self.viewers.get(&session)?.tracks[track].as_ref()?.keys.as_ref();
        match (kind, keys()) {
            // Nobody sends us media: it only opens the way.
            (Kind::Rtp, _) => is_well_formed_rtp(datagram) && !is_rtcp(datagram),
            (Kind::Rtcp, None) => rtcp::is_well_formed(datagram),
            (Kind::Rtcp, Some(keys)) => keys.theirs.is_authentic(datagram),
        }
    }

    /// The one session of that address that has not heard from its announced port, and its track: of several the one
    /// whose announced port is nearest, for address translation mostly keeps the order.
    fn awaited(&self, from: SocketAddr, kind: Kind) -> Option<(SessionId, usize)> {
        let mut waiting = self.viewers.iter().filter_map(|(id, viewer)| {
            let Outlet::Udp(udp) = &viewer.outlet else { return None };
            let tracks = udp.tracks.iter().enumerate().filter_map(|(index, route)| {
                let channel = match kind {
                    Kind::Rtp => &route.as_ref()?.rtp,
                    Kind::Rtcp => &route.as_ref()?.rtcp,
                };
                let distance = channel.peer.port().abs_diff(from.port());
                (!channel.heard && channel.peer.ip() == from.ip()).then_some((distance, index))
            });
            tracks.min().map(|(_, track)| (*id, track))
        });
        let first = waiting.next()?;
        waiting.next().is_none().then_some(first)
    }

    fn channel(&mut self, session: SessionId, track: usize, kind: Kind) -> Option<&mut Channel> {
        let Outlet::Udp(udp) = &mut self.viewers.get_mut(&session)?.outlet else { return None };
        let route = udp.tracks[track].as_mut()?;
        Some(match kind {
            Kind::Rtp => &mut route.rtp,
            Kind::Rtcp => &mut route.rtcp,
        })
    }
}
