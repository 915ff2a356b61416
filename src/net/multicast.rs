//! Multicast: one sender for all who watch a stream through its group. It begins with the first PLAY and ends with the last
//! viewer; it is a viewer like any other, whose address is the group's. Viewers that come in through several interfaces of
//! the machine have a sender on each.

use super::{
    cursor::Cursor,
    feedback::Allowance,
    ports::DATAGRAM,
    state::State,
    udp,
    viewer::{Channel, Outlet, UdpOutlet, UdpTrack, Viewer, ViewerTrack},
};
use crate::{
    rtp::rtcp,
    rtsp::{Group, SessionId},
    time::MonoTime,
};
use nix::{ifaddrs::getifaddrs, net::if_::if_nametoindex};
use std::{
    cell::RefCell,
    io,
    net::{IpAddr, SocketAddr, SocketAddrV6},
    rc::{Rc, Weak},
    time::Duration,
};
use tokio::{net::UdpSocket, task::AbortHandle, task::spawn_local};

/// A viewer that gets what its group's sender sends.
#[derive(Debug)]
pub struct Member {
    /// What it came in through, and what the group is sent out by.
    pub interface: Interface,
    /// While it plays: what its sender had sent and dropped when it came.
    pub joined: Option<(u64, u64)>,
}

/// A network interface, by its index, with the address of the group's family that it sends from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    pub index: u32,
    pub address: IpAddr,
}

/// A sender that runs.
pub struct RunningGroup {
    interface: u32,
    /// Its viewer.
    sender: SessionId,
    /// They hear the members' reports.
    listeners: Vec<AbortHandle>,
}

impl Drop for RunningGroup {
    fn drop(&mut self) {
        self.listeners.iter().for_each(AbortHandle::abort);
    }
}

impl Interface {
    /// The one that has the address `local`, for a group of `family`'s kind.
    ///
    /// # Errors
    /// There is none any more, or it has no address of the group's family.
    pub fn of(local: IpAddr, family: IpAddr) -> io::Result<Self> {
        let addresses: Vec<(String, IpAddr)> = getifaddrs()?
            .filter_map(|found| {
                let address = found.address?;
                let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
                let address = v4.or(address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))?;
                Some((found.interface_name, address))
            })
            .collect();
        // All of 127.0.0.0/8 is the loopback interface's, which tells of one address.
        let same = |address: IpAddr| address == local || (address.is_loopback() && local.is_loopback());
        let none = |what: String| io::Error::new(io::ErrorKind::AddrNotAvailable, what);
        let (name, _) = addresses
            .iter()
            .find(|(_, address)| same(*address))
            .ok_or_else(|| none(format!("no interface has {local}")))?;
        let of_family = |address: &IpAddr| address.is_ipv4() == family.is_ipv4();
        let own = addresses.iter().filter(|(other, address)| other == name && of_family(address));
        let address = Some(local).filter(of_family).or(own.map(|(_, address)| *address).next());
        let address = address.ok_or_else(|| none(format!("{name} has no address to reach {family} from")))?;
        Ok(Self { index: if_nametoindex(name.as_str())?, address })
    }

    /// `port` of an address on this interface: a link-local one needs to be told which.
    fn at(self, address: IpAddr, port: u16) -> SocketAddr {
        match address {
            IpAddr::V4(_) => SocketAddr::new(address, port),
            IpAddr::V6(v6) => SocketAddrV6::new(v6, port, 0, self.index).into(),
        }
    }
}

/// Hears what members send to a group's RTCP port, until its task is aborted.
async fn hear(state: Weak<RefCell<State>>, socket: UdpSocket, sender: SessionId, track: usize) {
    let mut buffer = [0; DATAGRAM];
    loop {
        let received = socket.recv_from(&mut buffer).await;
        let Some(state) = state.upgrade() else { return };
        match received {
            Ok((length, from)) => {
                let from = udp::canonical(from);
                state.borrow_mut().heard_member(sender, track, from, &buffer[..length], MonoTime::now());
            }
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

impl State {
    /// Where a track of a stream goes by multicast: video to the group's port, sound two further. None without a group.
    pub fn group(&self, hub: u64, track: usize) -> Option<Group> {
        let entry = &self.streams.get(&hub)?.entry;
        let group = entry.multicast.as_ref().filter(|_| self.settings.multicast)?;
        let offset = if entry.hub.tracks().get(track)?.video { 0 } else { 2 };
        Some(Group { address: group.address, port: group.port + offset, ttl: group.ttl })
    }

    /// The sender of the group that this session is a member of.
    pub fn sender_of(&self, session: SessionId) -> Option<SessionId> {
        let viewer = self.viewers.get(&session)?;
        let Outlet::Member(member) = &viewer.outlet else { return None };
        let groups = &self.streams.get(&viewer.hub)?.groups;
        groups.iter().find(|group| group.interface == member.interface.index).map(|group| group.sender)
    }

    /// A member begins to play; the first starts the sender, at `cursor`.
    pub fn join(&mut self, session: SessionId, cursor: &Cursor, now: MonoTime) {
        let sent = match self.sender_of(session) {
            Some(sender) => self.viewers.get(&sender).map(|sender| (sender.bytes, sender.dropped())),
            None => self.start_sender(session, cursor.position(), now).map(|_| (0, 0)),
        };
        if let Some(viewer) = self.viewers.get_mut(&session)
            && let Outlet::Member(member) = &mut viewer.outlet
        {
            member.joined = member.joined.or(sent);
        }
    }

    /// A member plays no more; the last one ends the sender.
    pub fn part(&mut self, session: SessionId, now: MonoTime) {
        let Some(sender) = self.sender_of(session) else { return };
        let (bytes, dropped) = self.sent_to_member(session);
        if let Some(viewer) = self.viewers.get_mut(&session)
            && let Outlet::Member(member) = &mut viewer.outlet
            && member.joined.take().is_some()
        {
            viewer.bytes += bytes;
            viewer.dropped_before += dropped;
        }
        let playing = |id: &SessionId| {
            let viewer = self.viewers.get(id).map(|viewer| &viewer.outlet);
            matches!(viewer, Some(Outlet::Member(member)) if member.joined.is_some())
        };
        if !self.members(sender).iter().any(playing) {
            self.end_viewer(sender, now);
        }
    }

    /// Bytes and dropped access units of the sender since this member came.
    pub fn sent_to_member(&self, session: SessionId) -> (u64, u64) {
        let joined = match self.viewers.get(&session).map(|viewer| &viewer.outlet) {
            Some(Outlet::Member(member)) => member.joined,
            _ => None,
        };
        let sender = self.sender_of(session).and_then(|sender| self.viewers.get(&sender));
        let Some(((bytes, dropped), sender)) = joined.zip(sender) else { return (0, 0) };
        (sender.bytes - bytes, sender.dropped() - dropped)
    }

    fn members(&self, sender: SessionId) -> Vec<SessionId> {
        let ids = self.viewers.keys().copied();
        ids.filter(|id| self.sender_of(*id) == Some(sender)).collect()
    }

    fn start_sender(&mut self, first: SessionId, position: u64, now: MonoTime) -> Option<SessionId> {
        let viewer = self.viewers.get(&first)?;
        let Outlet::Member(member) = &viewer.outlet else { return None };
        let (hub_id, interface) = (viewer.hub, member.interface);
        match self.open_sender(hub_id, interface, position, now) {
            Ok((viewer, group)) => {
                let sender = group.sender;
                tracing::info!(group = %viewer.peer, by = %interface.address, "multicast begins");
                self.viewers.insert(sender, viewer);
                let stream = self.streams.get_mut(&hub_id)?;
                stream.groups.push(group);
                stream.viewers.push(sender);
                self.send_first(sender, now);
                Some(sender)
            }
            Err(error) => {
                tracing::warn!(by = %interface.address, "no multicast: {error}");
                None
            }
        }
    }

    fn open_sender(
        &self,
        hub: u64,
        interface: Interface,
        position: u64,
        now: MonoTime,
    ) -> io::Result<(Viewer, RunningGroup)> {
        let gone = || io::Error::other("the stream is gone");
        let entry = &self.streams.get(&hub).ok_or_else(gone)?.entry;
        let sender = SessionId::random().map_err(io::Error::other)?;
        let formats = || entry.hub.tracks().iter().map(|track| track.format());
        let interval = formats().find_map(|format| format?.picture().map(|(_, fps)| fps.interval()));
        let mut outlet = UdpOutlet::new(interval.unwrap_or(Duration::from_millis(33)), now);
        let mut running = RunningGroup { interface: interface.index, sender, listeners: Vec::new() };
        let (mut tracks, mut peer) = ([None, None], None);
        for (index, track) in entry.hub.tracks().iter().enumerate() {
            let group = self.group(hub, index).ok_or_else(gone)?;
            let open = |local_port: u16, port: u16| {
                let (local, peer) = (interface.at(interface.address, local_port), interface.at(group.address, port));
                let socket = udp::to_group(local, peer, interface.index, group.ttl)?;
                udp::mark(&socket, entry.dscp);
                Ok::<_, io::Error>(Channel { socket: Rc::new(socket), local, peer, heard: true, reader: None })
            };
            let local_port = self.settings.ports.unwrap_or(0);
            let rtcp_port = if local_port == 0 { 0 } else { local_port + 1 };
            let route = UdpTrack { rtp: open(local_port, group.port)?, rtcp: open(rtcp_port, group.port + 1)? };
            let hearing = udp::in_group(route.rtcp.peer, interface.index)?;
            let reader = spawn_local(hear(self.me.clone(), hearing, sender, index));
            running.listeners.push(reader.abort_handle());
            peer.get_or_insert(route.rtp.peer);
            outlet.tracks[index] = Some(route);
            let clock_rate = track.format().map_or(super::asks::CLOCK_RATE, |format| format.clock_rate());
            tracks[index] = Some(ViewerTrack { ssrc: track.ssrc, clock_rate, ..ViewerTrack::default() });
        }
        let viewer = Viewer {
            hub,
            stream: entry.hub.name().into(),
            peer: peer.ok_or_else(gone)?,
            user: None,
            since: Some(now),
            cursor: Some(Cursor::new(position, [tracks[0].is_some(), tracks[1].is_some()])),
            outlet: Outlet::Group(Box::new(outlet)),
            tracks,
            bytes: 0,
            paced: false,
            dropped_before: 0,
            allowance: Allowance::default(),
            _watch: entry.hub.demand().watch(),
        };
        Ok((viewer, running))
    }

    /// RTCP on a group's port. Reports count for the member at that address; of several at one address it cannot be told
    /// whose they are, and they only keep all of them alive. The server's own come back too.
    fn heard_member(&mut self, sender: SessionId, track: usize, from: SocketAddr, datagram: &[u8], now: MonoTime) {
        let own = match self.viewers.get(&sender).map(|viewer| &viewer.outlet) {
            Some(Outlet::Group(group)) => group.tracks[track].as_ref().map(|route| route.rtcp.socket.local_addr()),
            _ => None,
        };
        if own.is_some_and(|own| own.is_ok_and(|own| (own.ip(), own.port()) == (from.ip(), from.port())))
            || !rtcp::is_well_formed(datagram)
        {
            return;
        }
        let at = |id: &SessionId| self.viewers.get(id).is_some_and(|member| member.peer.ip() == from.ip());
        let members: Vec<SessionId> = self.members(sender).into_iter().filter(at).collect();
        match members[..] {
            [member] => self.receive_report(member, track, datagram, now),
            _ => members.iter().for_each(|member| self.sessions.touch(*member, now)),
        }
    }

    /// A sender has ended: nobody is its member any more.
    pub fn forget_group(&mut self, hub: u64, sender: SessionId) {
        if let Some(stream) = self.streams.get_mut(&hub) {
            stream.groups.retain(|group| group.sender != sender);
        }
    }
}
