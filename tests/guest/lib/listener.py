"""A listener outside the guest that hides nothing: each RTP packet with its arrival, and each sender report, over TCP."""
import math, re, socket, struct, time

from .guest import PATIENCE, RTSP, expect


class Listener:
    """Plays the sound of a stream that has sound alone, in L16 and mono."""

    def __init__(self, stream):
        self.url, self.sequence = f'rtsp://127.0.0.1:{RTSP}/{stream}', 0
        self.socket = socket.create_connection(('127.0.0.1', RTSP), timeout=PATIENCE)
        self.file = self.socket.makefile('rb')
        description = self.ask('DESCRIBE', self.url)
        self.rate = int(re.search(r'a=rtpmap:\d+ L16/(\d+)/1', description).group(1))
        self.session = re.search(r'Session: ([^;\r]+)', self.ask('SETUP', f'{self.url}/trackID=0', 'Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n')).group(1)
        self.ask('PLAY', self.url, f'Session: {self.session}\r\n')
        # Of each packet (arrival in s, its timestamp since the first); of reports (NTP time in s, the same); all samples.
        self.packets, self.reports, self.samples, self.last = [], [], [], None

    def ask(self, method, url, more=''):
        self.sequence += 1
        self.socket.sendall(f'{method} {url} RTSP/1.0\r\nCSeq: {self.sequence}\r\n{more}\r\n'.encode())
        head = ''
        while not head.endswith('\r\n\r\n'):
            line = self.file.readline().decode()
            expect(line, f'{method}: closed')
            head += line
        expect(head.startswith('RTSP/1.0 200'), f'{method}: {head}')
        length = re.search(r'Content-Length: (\d+)', head)
        return head + (self.file.read(int(length.group(1))).decode() if length else '')

    def packet(self):
        """Takes the next packet; fails at a gap or jump of numbers or timestamps."""
        mark, channel, length = struct.unpack('>BBH', self.file.read(4))
        expect(mark == 0x24, 'no packet')
        data = self.file.read(length)
        if channel == 1:
            if data[1] == 200:
                seconds, fraction, timestamp = struct.unpack('>III', data[8:20])
                self.reports.append((seconds + fraction / 2**32, timestamp))
            return
        number, timestamp = struct.unpack('>HI', data[2:8])
        samples = struct.unpack(f'>{(length - 12) // 2}h', data[12:])
        if self.last:
            before, expected = self.last
            expect(number == (before + 1) % 2**16, f'packet {number} follows {before}')
            expect(timestamp == expected, f'the timestamp jumps by {(timestamp - expected) % 2**32} samples')
        else:
            self.first = timestamp
        self.last = number, (timestamp + len(samples)) % 2**32
        self.packets.append((time.monotonic(), len(self.samples)))
        self.samples += samples

    def seconds(self, length):
        """Takes what comes until so much sound more is there."""
        wanted = len(self.samples) + length * self.rate
        while len(self.samples) < wanted:
            self.packet()
        return self.samples[-int(length * self.rate):]

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def loudness(samples):
    return math.sqrt(sum(s * s for s in samples) / max(len(samples), 1))


def phase(samples, first, rate, hertz):
    """Amplitude, and phase in turns, of a tone in samples of which the first is number `first`."""
    step = 2 * math.pi * hertz / rate
    i = sum(s * math.sin(step * (first + n)) for n, s in enumerate(samples))
    q = sum(s * math.cos(step * (first + n)) for n, s in enumerate(samples))
    return 2 * math.hypot(i, q) / len(samples), math.atan2(q, i) / (2 * math.pi)
