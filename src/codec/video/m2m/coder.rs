//! The two queues of a stateful encoder, whatever it codes to: the steps are those of the kernel's "Memory-to-Memory
//! Stateful Video Encoder Interface", whose words for them stand in the comments.

use super::{
    input::Input,
    node::Node,
    plan::{Plan, Shape},
};
use crate::{
    codec::{CodecError, MakePicture},
    media::{FrameRate, RawFrame, Size},
    time::MonoTime,
    v4l2::{self as sys, Dequeued, Descriptor, Filled, Mapping, Memory, MemoryPlane, Ready},
};
use nix::{
    errno::Errno,
    poll::PollFlags,
    unistd::{Whence, lseek},
};
use std::{
    collections::VecDeque,
    os::fd::{AsRawFd, RawFd},
    time::Duration,
};

/// An encoder that has given nothing back for so long has failed.
const PATIENCE: Duration = Duration::from_secs(2);
/// One is filled while the encoder reads another and a third waits.
const RAW_BUFFERS: u32 = 3;
/// As many as a camera has buffers, so that each keeps its place and is mapped once.
const DMA_BUFFERS: u32 = 8;
const CODED_BUFFERS: u32 = 4;
/// A running encoder. Dropping it stops it and gives all frames back.
pub struct Coder {
    node: Node,
    size: Size,
    fps: FrameRate,
    /// The frames that come now, and how they are taken; None before the first.
    plan: Option<(Shape, Plan)>,
    /// The encoder did not take another driver's memory.
    no_dma: bool,
    slots: Vec<Slot>,
    coded: Vec<Mapping>,
    /// The coded buffer that was handed out last and is not given back yet.
    lent: Option<u32>,
    /// Pictures that went in and did not come out: their stamps, and when they went in.
    pending: VecDeque<(MonoTime, MonoTime)>,
    /// What came out while the encoder was drained.
    kept: VecDeque<(Vec<u8>, Dequeued)>,
    /// Of `kept`, what was handed out last.
    taken: Vec<u8>,
    counts: Counts,
}

/// How pictures came into the encoder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Read where the camera's driver had put them.
    pub shared: u64,
    /// Copied or converted into the encoder's own buffers.
    pub copied: u64,
}

/// A buffer of the raw queue.
struct Slot {
    mappings: Vec<Mapping>,
    /// The DMA-BUF that it had last.
    fd: RawFd,
    /// The driver has it.
    queued: bool,
    /// The frame in it, until the driver gives the buffer back.
    frame: Option<RawFrame>,
}

/// What one buffer of the coded queue holds: most often one coded picture.
#[derive(Debug)]
pub struct Coded<'a> {
    pub bytes: &'a [u8],
    /// Of the picture that it comes from.
    pub stamp: MonoTime,
    /// The driver could not code it.
    pub damaged: bool,
}

impl Coder {
    /// For pictures of `size`; begins with the first.
    pub fn new(node: Node, size: Size, fps: FrameRate) -> Self {
        Self {
            node,
            size,
            fps,
            plan: None,
            no_dma: false,
            slots: Vec::new(),
            coded: Vec::new(),
            lent: None,
            pending: VecDeque::new(),
            kept: VecDeque::new(),
            taken: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Whether it takes pictures of that size at all.
    ///
    /// # Errors
    /// Why not.
    pub fn can_take(&self) -> Result<(), CodecError> {
        Plan::converted(&self.node, self.size).map(drop)
    }

    pub fn name(&self) -> &str {
        &self.node.name
    }

    pub fn device(&self) -> &Descriptor {
        &self.node.device
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether pictures went in that did not come out.
    pub fn busy(&self) -> bool {
        !self.pending.is_empty() || !self.kept.is_empty()
    }

    /// Gives the encoder one picture: where the frame's memory can be shared it is read there and held until then, else
    /// it is copied, after `maker` made the stream's picture of it where it is not that already. A frame that comes
    /// in another way than the one before makes the encoder begin anew, after it coded all it has.
    ///
    /// # Errors
    /// A damaged picture; all others are the encoder's end.
    pub fn submit(&mut self, frame: &RawFrame, maker: &mut dyn MakePicture) -> Result<(), Failure> {
        let shape = Shape::of(frame, maker, !self.no_dma);
        if self.plan.as_ref().is_none_or(|(known, _)| *known != shape) {
            let plan = Plan::of(&self.node, frame, &shape, self.size).map_err(Failure::Encoder)?;
            if self.plan.as_ref().is_none_or(|(_, known)| *known != plan) {
                self.stop()?;
                self.start(&plan)?;
            }
            self.plan = Some((shape, plan));
        }
        let (_, plan) = self.plan.clone().expect("made above where it was missing");
        match plan.memory {
            Memory::Mapped => self.submit_copy(frame, maker, &plan),
            Memory::Dma => match self.submit_shared(frame, &plan) {
                // Not every driver can read every other's memory.
                Err(Errno::EINVAL | Errno::ENOMEM | Errno::EFAULT | Errno::ENOTSUP) if self.counts.shared == 0 => {
                    tracing::debug!("{} does not read the camera's memory; pictures are copied", self.node.name);
                    self.no_dma = true;
                    self.submit(frame, maker)
                }
                done => done.map_err(|error| failed("giving it a picture", error)),
            },
        }
    }

    fn submit_copy(&mut self, frame: &RawFrame, maker: &mut dyn MakePicture, plan: &Plan) -> Result<(), Failure> {
        let index = self.free_slot(-1)?;
        let mut pieces: Vec<&mut [u8]> = self.slots[index].mappings.iter_mut().map(Mapping::bytes_mut).collect();
        let copied = match plan.as_it_is {
            true => plan.input.copy_frame(frame, &mut pieces),
            false => maker.make(frame).and_then(|picture| plan.input.copy_picture(&picture, &mut pieces)),
        };
        copied.map_err(Failure::Picture)?;
        let planes: Vec<MemoryPlane> = plan.input.pieces.iter().map(|length| piece(*length, *length, -1)).collect();
        self.give(index, plan.memory, &planes, frame.stamp).map_err(|e| failed("giving it a picture", e))?;
        self.counts.copied += 1;
        Ok(())
    }

    fn submit_shared(&mut self, frame: &RawFrame, plan: &Plan) -> Result<(), Errno> {
        let mut planes = Vec::with_capacity(plan.input.pieces.len());
        for (number, used) in plan.input.pieces.iter().enumerate() {
            let shared = frame.buffer.dma(number).ok_or(Errno::EINVAL)?;
            let length = lseek(shared, 0, Whence::SeekEnd)? as usize;
            planes.push(piece((*used).min(length), length, shared.as_raw_fd()));
        }
        let fd = planes.first().map_or(-1, |plane| plane.fd);
        let index = self.free_slot(fd).map_err(|_| Errno::EIO)?;
        self.give(index, plan.memory, &planes, frame.stamp)?;
        (self.slots[index].fd, self.slots[index].frame) = (fd, Some(frame.clone()));
        self.counts.shared += 1;
        Ok(())
    }

    fn give(&mut self, index: usize, memory: Memory, planes: &[MemoryPlane], stamp: MonoTime) -> Result<(), Errno> {
        let filled = Filled { index: index as u32, memory, planes, stamp: to_kernel(stamp) };
        self.node.device.queue(self.node.raw, &filled)?;
        self.slots[index].queued = true;
        self.pending.push_back((stamp, MonoTime::now()));
        Ok(())
    }

    /// A buffer that the driver does not have, at best the one that had this DMA-BUF before. Waits a bounded time.
    fn free_slot(&mut self, fd: RawFd) -> Result<usize, Failure> {
        let deadline = MonoTime::now() + PATIENCE;
        loop {
            self.reclaim().map_err(|error| failed("taking a read picture back", error))?;
            let free = |slot: &Slot| !slot.queued;
            let same = self.slots.iter().position(|slot| free(slot) && slot.fd == fd);
            if let Some(index) = same.or_else(|| self.slots.iter().position(free)) {
                return Ok(index);
            }
            let left = deadline - MonoTime::now();
            if left.is_zero() {
                return Err(stalled());
            }
            let ready = self.node.device.wait_for(PollFlags::POLLOUT, left);
            self.check(ready)?;
        }
    }

    /// Takes back the raw buffers that the encoder has read, and drops the frames in them.
    fn reclaim(&mut self) -> Result<(), Errno> {
        let Some((_, Plan { memory, .. })) = &self.plan else { return Ok(()) };
        while let Some(done) = self.node.device.dequeue(self.node.raw, *memory)? {
            if let Some(slot) = self.slots.get_mut(done.index as usize) {
                (slot.queued, slot.frame) = (false, None);
            }
        }
        Ok(())
    }

    /// The next buffer of coded bytes; None if none is there by `until`.
    ///
    /// # Errors
    /// The driver fails, or has had a picture for two seconds.
    pub fn next(&mut self, until: MonoTime) -> Result<Option<Coded<'_>>, Failure> {
        self.give_back()?;
        if let Some((bytes, done)) = self.kept.pop_front() {
            self.taken = bytes;
            return Ok(Some(coded(&self.taken, &done, &self.pending)));
        }
        let Some(done) = self.dequeue(until)? else {
            let overdue = |(_, since): &(_, MonoTime)| MonoTime::now().since(*since) > PATIENCE;
            return if self.pending.front().is_some_and(overdue) { Err(stalled()) } else { Ok(None) };
        };
        self.lent = Some(done.index);
        self.reclaim().map_err(|error| failed("taking a read picture back", error))?;
        Ok(Some(coded(bytes_of(&self.coded, &done), &done, &self.pending)))
    }

    /// The picture of that stamp came out whole, and with it all before it: stamps rise from one to the next.
    pub fn finish(&mut self, stamp: MonoTime) {
        while self.pending.front().is_some_and(|(oldest, _)| *oldest <= stamp) {
            self.pending.pop_front();
        }
    }

    /// A filled buffer of the coded queue; None if there is none by `until`, and none after the last of a drain.
    fn dequeue(&mut self, until: MonoTime) -> Result<Option<Dequeued>, Failure> {
        if self.coded.is_empty() {
            return Ok(None);
        }
        loop {
            match self.node.device.dequeue(self.node.coded, Memory::Mapped) {
                Ok(Some(done)) if (done.index as usize) < self.coded.len() => return Ok(Some(done)),
                Ok(Some(_)) => return Err(failed("taking a coded picture", Errno::EPROTO)),
                Ok(None) => {}
                Err(Errno::EPIPE) => return Ok(None),
                Err(error) => return Err(failed("taking a coded picture", error)),
            }
            let left = until - MonoTime::now();
            if left.is_zero() {
                return Ok(None);
            }
            let ready = self.node.device.wait(left);
            self.check(ready)?;
        }
    }

    fn check(&self, ready: Result<Ready, Errno>) -> Result<(), Failure> {
        match ready {
            Ok(Ready::Trouble) => Err(failed("waiting for it", Errno::EIO)),
            Ok(_) => Ok(()),
            Err(error) => Err(failed("waiting for it", error)),
        }
    }

    fn give_back(&mut self) -> Result<(), Failure> {
        let Some(index) = self.lent.take() else { return Ok(()) };
        self.queue_coded(index).map_err(|error| failed("giving a buffer back", error))
    }

    fn queue_coded(&self, index: u32) -> Result<(), Errno> {
        let planes = &[MemoryPlane::default()];
        self.node.device.queue(self.node.coded, &Filled { index, memory: Memory::Mapped, planes, stamp: (0, 0) })
    }

    /// Makes the next picture one with which decoding may begin.
    ///
    /// # Errors
    /// As of [`Coder::next`].
    pub fn force_key(&mut self) -> Result<(), Failure> {
        match self.node.device.set_control(sys::V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME, 1) {
            Ok(()) => Ok(()),
            // "Reset": what follows depends on nothing that was before.
            Err(_) if self.plan.is_some() => {
                self.drain()?;
                self.stream_coded(false)?;
                for index in 0..self.coded.len() as u32 {
                    self.queue_coded(index).map_err(|error| failed("giving a buffer back", error))?;
                }
                self.stream_coded(true)
            }
            Err(_) => Ok(()),
        }
    }

    fn stream_coded(&self, on: bool) -> Result<(), Failure> {
        self.node.device.stream(self.node.coded, on).map_err(|error| failed("beginning anew", error))
    }

    /// "Drain": has everything coded that went in, and keeps it for [`Coder::next`].
    fn drain(&mut self) -> Result<(), Failure> {
        let deadline = MonoTime::now() + PATIENCE;
        self.give_back()?;
        let commanded = self.node.device.encoder_command(sys::V4L2_ENC_CMD_STOP).is_ok();
        while commanded || self.pending.len() > self.kept.len() {
            let Some(done) = self.dequeue(deadline)? else {
                let stopped = commanded && MonoTime::now() < deadline;
                return if stopped { Ok(()) } else { Err(stalled()) };
            };
            if done.planes[0].end > 0 {
                self.kept.push_back((bytes_of(&self.coded, &done).to_vec(), done));
            }
            if done.flags & sys::V4L2_BUF_FLAG_LAST != 0 {
                return self.reclaim().map_err(|error| failed("taking a read picture back", error));
            }
            self.queue_coded(done.index).map_err(|error| failed("giving a buffer back", error))?;
        }
        Ok(())
    }

    /// "Initialization", from the raw format on; the coded one is set since the node was opened.
    fn start(&mut self, plan: &Plan) -> Result<(), Failure> {
        let Node { device, raw, coded, .. } = &self.node;
        let because = |what: &'static str| move |error| failed(what, error);
        let given = device.set_format(*raw, &plan.format).map_err(because("setting its format"))?;
        if Input::new(&given, self.size).as_ref() != Ok(&plan.input) {
            return Err(failed("setting its format", Errno::EPROTO));
        }
        // A hint: it goes by the stamps and its rate control by this.
        if let Err(error) = device.set_interval(*raw, (self.fps.den, self.fps.num)) {
            tracing::debug!("{} takes no rate: {error}", self.node.name);
        }
        let visible = (self.size.width, self.size.height);
        if (given.width, given.height) != visible && device.set_crop(visible) != Ok(visible) {
            let what = format!("it codes {}x{} instead of {}", given.width, given.height, self.size);
            return Err(Failure::Encoder(CodecError(what)));
        }
        // Room for a key frame of fine noise: at 4 bits a pixel none is larger.
        let mut format = device.format(*coded).map_err(because("asking its format"))?;
        let room = (self.size.pixels() / 2).max(1 << 16) as u32;
        if let Some(piece) = format.planes.first_mut()
            && piece.size < room
        {
            piece.size = room;
            device.set_format(*coded, &format).map_err(because("setting its format"))?;
        }
        let count = if plan.memory == Memory::Dma { DMA_BUFFERS } else { RAW_BUFFERS };
        let least = device.control(sys::V4L2_CID_MIN_BUFFERS_FOR_OUTPUT).unwrap_or(1).clamp(1, 16) as u32;
        let count = device.request_buffers(*raw, plan.memory, count.max(least + 2));
        for index in 0..count.map_err(because("asking for buffers"))? {
            let mapped = plan.memory == Memory::Mapped;
            let mappings = if mapped { device.map(*raw, index, true) } else { Ok(Vec::new()) };
            let mappings = mappings.map_err(because("mapping its buffers"))?;
            self.slots.push(Slot { mappings, fd: -1, queued: false, frame: None });
        }
        let count = device.request_buffers(*coded, Memory::Mapped, CODED_BUFFERS);
        for index in 0..count.map_err(because("asking for buffers"))? {
            let mut mappings = device.map(*coded, index, false).map_err(because("mapping its buffers"))?;
            self.coded.push(mappings.swap_remove(0));
            self.queue_coded(index).map_err(because("giving it a buffer"))?;
        }
        if self.slots.is_empty() || self.coded.is_empty() {
            return Err(failed("asking for buffers", Errno::ENOMEM));
        }
        device.stream(*raw, true).map_err(because("starting it"))?;
        device.stream(*coded, true).map_err(because("starting it"))
    }

    /// Has all pictures coded that went in, and gives all buffers back.
    fn stop(&mut self) -> Result<(), Failure> {
        if self.plan.is_some() {
            self.drain()?;
        }
        self.release();
        Ok(())
    }

    /// Stops both queues, whatever they hold. A driver that failed answers with errors, which tell nothing new.
    fn release(&mut self) {
        let Node { device, raw, coded, .. } = &self.node;
        let memory = self.plan.take().map(|(_, plan)| plan.memory);
        for (of, memory) in [(*raw, memory), (*coded, memory.map(|_| Memory::Mapped))] {
            let Some(memory) = memory else { continue };
            let _ = device.stream(of, false);
            match of == *raw {
                true => self.slots.clear(),
                false => self.coded.clear(),
            }
            let _ = device.request_buffers(of, memory, 0);
        }
        self.lent = None;
    }
}

impl Drop for Coder {
    fn drop(&mut self) {
        self.release();
    }
}

/// Why a picture was not taken.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// It is damaged; the next may be fine.
    Picture(CodecError),
    /// The encoder has come to its end.
    Encoder(CodecError),
}

impl From<Failure> for CodecError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Picture(error) | Failure::Encoder(error) => error,
        }
    }
}

fn failed(what: &str, error: Errno) -> Failure {
    Failure::Encoder(CodecError(format!("{what} failed: {}", error.desc())))
}

fn stalled() -> Failure {
    Failure::Encoder(CodecError(format!("it has not answered for {} s", PATIENCE.as_secs())))
}

fn piece(used: usize, length: usize, fd: RawFd) -> MemoryPlane {
    MemoryPlane { used: used as u32, length: length as u32, offset: 0, fd }
}

fn to_kernel(stamp: MonoTime) -> (u64, u32) {
    (stamp.as_nanos() / 1_000_000_000, (stamp.as_nanos() % 1_000_000_000 / 1000) as u32)
}

fn bytes_of<'a>(coded: &'a [Mapping], done: &Dequeued) -> &'a [u8] {
    let bytes = coded[done.index as usize].bytes();
    &bytes[done.planes[0].offset.min(bytes.len())..done.planes[0].end.min(bytes.len())]
}

fn coded<'a>(bytes: &'a [u8], done: &Dequeued, pending: &VecDeque<(MonoTime, MonoTime)>) -> Coded<'a> {
    Coded {
        bytes,
        stamp: whose(pending.iter().map(|(stamp, _)| *stamp), (done.seconds, done.micros)),
        damaged: done.flags & sys::V4L2_BUF_FLAG_ERROR != 0,
    }
}

/// Whose the stamp is that a driver copied, which knows no nanoseconds; one that copied none means the oldest.
fn whose(pending: impl Iterator<Item = MonoTime> + Clone, told: (u64, u32)) -> MonoTime {
    let same = pending.clone().find(|stamp| to_kernel(*stamp) == told);
    let other = || pending.clone().next().unwrap_or(MonoTime::from_timespec(told.0, told.1.saturating_mul(1000)));
    same.unwrap_or_else(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_find_their_pictures_again() {
        let stamps = [1_000_000_123, 1_033_333_456, 1_066_666_789].map(MonoTime::from_nanos);
        for stamp in stamps {
            assert_eq!(whose(stamps.into_iter(), to_kernel(stamp)), stamp);
        }
        assert_eq!(whose(stamps.into_iter(), (0, 0)), stamps[0]);
        assert_eq!(whose([].into_iter(), (2, 5)), MonoTime::from_nanos(2_000_005_000));
    }
}
