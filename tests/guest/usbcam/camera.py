#!/usr/bin/env python3
"""camera.py CLIPS: a UVC webcam in software (MJPEG, YUYV, H.264; 15, 10 and 5 pictures a second; bulk
transfers), which speaks USB/IP. The guest's vhci_hcd and uvcvideo drive it as they drive a real one.

CLIPS is a folder with WIDTHxHEIGHT.mjpeg and WIDTHxHEIGHT.h264. Prints `port N`, then what happens to it. Commands, one a line on stdin:
  offer NAME=WIDTHxHEIGHT[,WIDTHxHEIGHT]…    the formats from the next time on that it is plugged in
  unplug | stall | resume | corrupt N        the next N pictures are damaged
It ends with stdin.
"""
import argparse, collections, functools, os, re, socket, struct, sys, threading, time

import descriptors
from descriptors import CLOCK_HZ, INTERVALS, PAYLOAD, Descriptors

# USB/IP's messages: the kernel's Documentation/usb/usbip_protocol.rst.
SUBMIT, UNLINK, RET_SUBMIT, RET_UNLINK = 1, 2, 3, 4
EPIPE, ECONNRESET = 32, 104
# Requests of the video class (UVC 1.1, table A-8) and USB's own.
SET_CUR, GET_CUR, GET_MIN, GET_MAX, GET_RES, GET_LEN, GET_INFO, GET_DEF = 1, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87
END_OF_HEADER, END_OF_FRAME = 0x80, 2


@functools.cache
def clip(folder, name, width, height):
    """The pictures of a clip."""
    with open(f'{folder}/{width}x{height}.{name}', 'rb') as f:
        return (split_h264 if name == 'h264' else split_mjpeg)(f.read())


def split_mjpeg(data):
    starts = [match.start() for match in re.finditer(b'\xff\xd8\xff', data)]
    return [data[a:b] for a, b in zip(starts, starts[1:] + [len(data)])]


def split_h264(data):
    """Access units: one begins at a parameter set, a delimiter or a picture's first slice, once a slice was seen."""
    units, start, seen_slice = [], 0, False
    for match in re.finditer(b'\0\0\1', data):
        kind, first = data[match.end()] & 31, data[match.end() + 1] & 0x80
        if seen_slice and (kind in (6, 7, 9) or kind in (1, 5) and first):
            at = match.start() - (data[match.start() - 1] == 0)
            units.append(data[start:at])
            start, seen_slice = at, False
        seen_slice = seen_slice or kind in (1, 5)
    return units + [data[start:]]


class Device:
    """The camera while it is plugged in: one connection."""

    def __init__(self, connection, formats, serial, clips):
        self.socket, self.formats, self.clips = connection, formats, clips
        self.descriptors = Descriptors(formats, serial)
        self.wake = threading.Condition()                                 # guards what follows, and writes to the socket
        self.waiting = collections.deque()                                # transfers that want a picture: (number, length)
        self.plugged, self.stalled, self.corrupt = True, False, 0
        self.commits = self.sent = 0
        self.brightness = 128
        self.probe = bytearray(struct.pack('<HBBIHHHHHIIIBBBB', 0, 1, 1, INTERVALS[0], 0, 0, 0, 0, 0, 0, PAYLOAD, CLOCK_HZ, 0, 0, 0, 0))
        self.negotiate(self.probe)
        for work in (self.serve, self.stream):
            threading.Thread(target=work, daemon=True).start()

    # --- what the guest asks ---

    def reply(self, number, status, data=b'', length=None):
        head = struct.pack('>5I', RET_SUBMIT, number, 0, 0, 0)
        head += struct.pack('>iIIII8x', status, len(data) if length is None else length, 0, 0xffffffff, 0)
        with self.wake:
            self.socket.sendall(head + data)

    def receive(self, length):
        data = b''
        while len(data) < length:
            if not (more := self.socket.recv(length - len(data))):
                raise EOFError
            data += more
        return data

    def serve(self):
        try:
            while True:
                head = self.receive(48)
                command, number, _, inward, endpoint = struct.unpack('>5I', head[:20])
                if command == SUBMIT:
                    length = struct.unpack('>I', head[24:28])[0]
                    data = self.receive(length) if not inward else b''
                    if endpoint:
                        with self.wake:
                            self.waiting.append((number, length))
                            self.wake.notify_all()
                    elif (answer := self.control(head[40:48], data)) is None:
                        self.reply(number, -EPIPE)
                    else:
                        self.reply(number, 0, answer if inward else b'', None if inward else len(data))
                elif command == UNLINK:
                    victim = struct.unpack('>I', head[20:24])[0]
                    with self.wake:
                        found = [transfer for transfer in self.waiting if transfer[0] == victim]
                        for transfer in found:
                            self.waiting.remove(transfer)
                        self.socket.sendall(struct.pack('>5Ii24x', RET_UNLINK, number, 0, 0, 0, -ECONNRESET if found else 0))
        except (EOFError, OSError):
            pass
        with self.wake:
            self.plugged = False
            self.wake.notify_all()
        self.socket.close()
        print(f'unplugged after {self.sent} pictures', flush=True)

    def control(self, setup, data):
        """The answer of a control transfer; None where the camera does not know the request."""
        kind, request, value, index, length = struct.unpack('<BBHHH', setup)
        if (kind, request) == (0x80, 6):                                  # GET_DESCRIPTOR
            told = self.descriptors.get(value >> 8, value & 255)
            return told and told[:length]
        if (kind, request) == (0x80, 0):                                  # GET_STATUS
            return b'\0\0'
        if kind in (0, 1, 2):                                             # SET_CONFIGURATION, SET_INTERFACE, CLEAR_FEATURE
            return b''
        if index == 1:                                                    # the streaming interface: probe and commit
            if (kind, request) == (0x21, SET_CUR):
                self.negotiate(data, commit=value >> 8 == 2)
                return b''
            whole = bytes(self.probe)
            return {GET_CUR: whole, GET_MIN: whole, GET_MAX: whole, GET_DEF: whole,
                    GET_LEN: descriptors.le16(len(whole)), GET_INFO: b'\3'}.get(request, b'')[:length] or None
        if index >> 8 == descriptors.PROCESSING:                          # brightness
            if (kind, request) == (0x21, SET_CUR):
                self.brightness = struct.unpack('<h', data[:2])[0]
                return b''
            values = {GET_CUR: self.brightness, GET_MIN: 0, GET_MAX: 255, GET_RES: 1, GET_DEF: 128, GET_LEN: 2}
            return b'\3' if request == GET_INFO else struct.pack('<h', values[request]) if request in values else None
        return None

    def negotiate(self, data, commit=False):
        self.probe[:len(data)] = data
        number = min(max(self.probe[2], 1), len(self.formats))
        name = list(self.formats)[number - 1]
        frame = min(max(self.probe[3], 1), len(self.formats[name]))
        interval = struct.unpack_from('<I', self.probe, 4)[0]
        interval = min(INTERVALS, key=lambda known: abs(known - interval))
        width, height = self.formats[name][frame - 1]
        struct.pack_into('<HBBI', self.probe, 0, 0, number, frame, interval)
        struct.pack_into('<II', self.probe, 18, width * height * 2, PAYLOAD)
        if commit:
            with self.wake:
                self.commits += 1
                self.mode = name, (width, height), interval / 1e7
                self.wake.notify_all()
            print(f'committed {name} {width}x{height} {1e7 / interval:.0f} fps', flush=True)

    # --- the pictures ---

    def picture(self, name, size, number):
        if name == 'yuyv':
            return bars(*size)
        pictures = clip(self.clips, name, *size)
        data = pictures[number % len(pictures)]
        if self.corrupt:
            self.corrupt -= 1
            data = data[:len(data) // 2] + os.urandom(64)
        return data

    def stream(self):
        """Sends pictures at the pace agreed while the guest waits for them; a stream begins at the clip's first."""
        commits = number = toggle = 0
        due = time.monotonic()
        while True:
            with self.wake:
                if not self.plugged:
                    return
                if not self.waiting or self.stalled:
                    self.wake.wait()
                    due = time.monotonic()
                    continue
                if commits != self.commits:
                    commits, number, due = self.commits, 0, time.monotonic()
                name, size, interval = self.mode
                due += interval
                now = time.monotonic()
                due = max(due, now - 1)
                if self.wake.wait_for(lambda: not self.plugged or self.stalled or commits != self.commits, max(0.0, due - now)):
                    continue
            try:
                self.send(self.picture(name, size, number), toggle, commits)
            except OSError:
                return
            number += 1
            toggle ^= 1
            self.sent += 1

    def send(self, data, toggle, commits):
        """A picture in payloads (UVC 1.1, section 2.4.3.3). A new agreement drops what is left of it."""
        position = 0
        while position < len(data):
            with self.wake:
                self.wake.wait_for(lambda: self.waiting or commits != self.commits or not self.plugged)
                if commits != self.commits or not self.plugged:
                    return
                number, length = self.waiting.popleft()
            chunk = data[position:position + min(length, PAYLOAD) - 2]
            position += len(chunk)
            end = END_OF_FRAME if position == len(data) else 0
            self.reply(number, 0, bytes([2, END_OF_HEADER | end | toggle]) + chunk)


BARS = [(180, 128, 128), (162, 44, 142), (131, 156, 44), (112, 72, 58), (84, 184, 198), (65, 100, 212), (35, 212, 114), (16, 128, 128)]


@functools.cache
def bars(width, height):
    """Eight bars of 75 %, as YUYV: those of the clips."""
    return b''.join(bytes([y, u, y, v]) for x in range(0, width, 2) for y, u, v in [BARS[x * 8 // width]]) * height


def parse_formats(words):
    sizes = lambda text: [tuple(map(int, size.split('x'))) for size in text.split(',')]
    return {name: sizes(text) for name, text in (word.split('=') for word in words)}


class Port:
    """Where the camera is plugged in again and again."""

    def __init__(self, args):
        self.clips, self.serial, self.formats, self.device = args.clips, args.serial, parse_formats(args.offer.split()), None
        self.listener = socket.create_server(('127.0.0.1', 0))
        print('port', self.listener.getsockname()[1], flush=True)

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            print('plugged in', flush=True)
            self.device = Device(connection, self.formats, self.serial, self.clips)

    def obey(self, line):
        verb, *rest = line.split()
        if verb == 'offer':
            self.formats = parse_formats(rest)
        elif self.device and verb == 'unplug':
            self.device.socket.shutdown(socket.SHUT_RDWR)
        elif self.device:
            with self.device.wake:
                if verb == 'corrupt':
                    self.device.corrupt = int(rest[0])
                self.device.stalled = verb == 'stall' or verb == 'corrupt' and self.device.stalled
                self.device.wake.notify_all()


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('clips')
    parser.add_argument('--serial', default='SN0001')
    parser.add_argument('--offer', default='mjpeg=640x480,320x240 yuyv=640x480,320x240 h264=640x480,320x240', metavar="'NAME=SIZES…'")
    port = Port(parser.parse_args())
    threading.Thread(target=port.accept, daemon=True).start()
    for line in sys.stdin:
        port.obey(line)
