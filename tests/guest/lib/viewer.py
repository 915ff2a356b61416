"""A small RTSP client that looks at every packet: RTP timestamps, sequence numbers, sender reports, and the pictures with the
time by the guest's clock at which each was taken.
"""
import hashlib, queue, re, select, socket, struct, subprocess, threading, time

from .depacketize import H264, Jpeg
from .guest import PATIENCE, RTSP, expect, until
from .player import HEIGHT, WIDTH, wrong_bars
from . import guest as machine

NTP_TO_UNIX = 2208988800                                                  # s from 1900 to 1970
SENDER_REPORT, GOODBYE = 200, 203                                         # RFC 3550, section 12.1


class Track:
    """One medium of a stream, by its packets alone."""

    def __init__(self, kind, codec, rate, control):
        self.kind, self.codec, self.rate, self.control = kind, codec, rate, control
        self.packets = self.units = self.lost = 0
        self.sequence = self.last = self.first = None                     # of the latest packet; timestamps unwrapped
        self.reports = []                                                 # (Unix time, unwrapped timestamp)
        self.arrived = None                                               # of the latest packet: time here, unwrapped timestamp
        self.whole = False                                                # whether it was the last of its unit
        self.backwards, self.ended = [], False
        self.gaps = []                                                    # (s, of consecutive timestamps) over a second

    def rtp(self, packet):
        """Takes a packet; its timestamp without wraps, whether it begins a unit, its marker and its payload."""
        first, second, sequence, stamp = struct.unpack_from('>BBHI', packet)
        begin, end = 12 + 4 * (first & 15), len(packet) - (packet[-1] if first & 0x20 else 0)
        if self.sequence is not None:
            self.lost += (sequence - self.sequence - 1) & 0xffff
        self.sequence = sequence
        self.packets += 1
        if self.last is None:
            self.first = self.last = stamp
            self.units, begins = 1, True
        else:
            step = (stamp - self.last + 0x80000000 & 0xffffffff) - 0x80000000
            begins = step != 0
            # Within a unit the timestamp stays; from one to the next it rises.
            if step < 0 or step == 0 and self.whole:
                self.backwards.append((self.last, step))
            if step > self.rate:
                self.gaps.append(step / self.rate)
            self.last += step
            self.units += begins
        self.whole = bool(second & 0x80) or self.kind == 'audio'
        self.arrived = time.time(), self.last
        return self.last, begins, self.whole, packet[begin:end]

    def rtcp(self, packet):
        while len(packet) >= 8:
            kind, length = packet[1], 4 * (struct.unpack_from('>H', packet, 2)[0] + 1)
            if kind == SENDER_REPORT and self.last is not None:
                seconds, fraction, stamp = struct.unpack_from('>III', packet, 8)
                step = (stamp - self.last + 0x80000000 & 0xffffffff) - 0x80000000
                self.reports.append((seconds - NTP_TO_UNIX + fraction / 2**32, self.last + step))
            if kind == GOODBYE:
                self.ended = True
            packet = packet[length:]

    def wall(self, stamp):
        """Unix time of an unwrapped timestamp, by the nearest sender report."""
        at, reported = min(self.reports, key=lambda report: abs(report[1] - stamp))
        return at + (stamp - reported) / self.rate

    def clock_error(self):
        """By how many seconds sender reports contradict each other at most."""
        offsets = [at - stamp / self.rate for at, stamp in self.reports]
        return max(offsets) - min(offsets) if offsets else 0.0


class Viewer:
    """Plays a stream until closed. `transport` is tcp or udp; with `judge`, pictures are decoded; `login` is USER:PASSWORD."""

    def __init__(self, stream, transport='tcp', judge=None, query='', login=None, port=RTSP):
        self.url = f'rtsp://127.0.0.1:{port}/{stream}'
        self.transport, self.error, self.closing = transport, None, False
        self.login, self.nonce, self.count = login, None, 0
        self.socket = socket.create_connection(('127.0.0.1', port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer, self.number, self.session, self.udp = b'', 0, None, []
        self.tracks = self.describe(query)
        self.video = next((track for track in self.tracks if track.kind == 'video'), None)
        self.audio = next((track for track in self.tracks if track.kind == 'audio'), None)
        self.pictures = Pictures(self.video, judge) if judge else None
        self.sound = []                                                   # (unwrapped timestamp, payload)
        for number, track in enumerate(self.tracks):
            self.set_up(number, track)
        self.ask('PLAY', self.url, 'Range: npt=0.000-\r\n')
        self.threads = [threading.Thread(target=self.read_connection, daemon=True)]
        self.threads += [threading.Thread(target=self.read_udp, args=numbered, daemon=True) for numbered in enumerate(self.udp)]
        for thread in self.threads:
            thread.start()

    # --- RTSP ---

    def send(self, method, url, headers=''):
        self.number += 1
        if self.session:
            headers += f'Session: {self.session}\r\n'
        if self.nonce:
            headers += self.authorization(method, url)
        self.socket.sendall(f'{method} {url} RTSP/1.0\r\nCSeq: {self.number}\r\n{headers}\r\n'.encode())

    def authorization(self, method, url):
        """Answers the server's challenge, whose nonce is used on (RFC 2617, section 3.2.2)."""
        self.count += 1
        user, password = self.login.split(':')
        md5 = lambda *parts: hashlib.md5(':'.join(parts).encode()).hexdigest()
        count = f'{self.count:08x}'
        answer = md5(md5(user, 'Eyrie', password), self.nonce, count, 'viewer', 'auth', md5(method, url))
        return (f'Authorization: Digest username="{user}", realm="Eyrie", nonce="{self.nonce}", uri="{url}", qop=auth, '
                f'nc={count}, cnonce="viewer", response="{answer}"\r\n')

    def ask(self, method, url, headers='', fine=('200',)):
        """The answer's head and body; its status is one of those that are fine."""
        self.send(method, url, headers)
        while True:
            if (answer := self.take()) is None:
                more = self.socket.recv(65536)
                expect(more, f'the server closed the connection after {method}')
                self.buffer += more
            elif answer:
                if answer[0].startswith('RTSP/1.0 401') and self.login and not self.nonce:
                    self.nonce = re.search('nonce="([^"]+)"', answer[0])[1]
                    return self.ask(method, url, headers, fine)
                expect(answer[0].split()[1] in fine, f'{method}: {answer[0].splitlines()[0]}')
                return answer

    def take(self):
        """Takes what is whole off the buffer: () for media, an answer's head and body, or None."""
        if self.buffer[:1] == b'$':
            if len(self.buffer) < 4 or len(self.buffer) < 4 + (length := struct.unpack('>H', self.buffer[2:4])[0]):
                return None
            channel, data = self.buffer[1], self.buffer[4:4 + length]
            self.buffer = self.buffer[4 + length:]
            self.media(channel // 2, channel % 2, data)
            return ()
        head, blank, rest = self.buffer.partition(b'\r\n\r\n')
        if not blank:
            return None
        head = head.decode()
        length = int((re.search(r'(?im)^Content-Length: *(\d+)', head) or [0, 0])[1])
        if len(rest) < length:
            return None
        self.buffer = rest[length:]
        return head, rest[:length].decode()

    def describe(self, query):
        def described():
            # 503: there is no picture yet, and on a busy machine that may last.
            head, text = self.ask('DESCRIBE', self.url + query, 'Accept: application/sdp\r\n', fine=('200', '503'))
            return head.split()[1] == '200' and text
        text, tracks = until('a description', described), []
        for section in re.split(r'(?m)^m=', text)[1:]:
            kind, payload = section.split()[0], section.split()[3]
            name = re.search(rf'(?m)^a=rtpmap:{payload} ([^/]+)/(\d+)', section)
            codec, rate = (name[1], int(name[2])) if name else {'0': ('PCMU', 8000), '8': ('PCMA', 8000), '26': ('JPEG', 90000)}[payload]
            control = re.search(r'(?m)^a=control:(\S+)', section)[1]
            tracks.append(Track(kind, codec.upper(), rate, control if '://' in control else f'{self.url}/{control}'))
        return tracks

    def set_up(self, number, track):
        if self.transport == 'tcp':
            transport = f'RTP/AVP/TCP;unicast;interleaved={2 * number}-{2 * number + 1}'
        else:
            pair = port_pair()
            self.udp.append(pair)
            transport = 'RTP/AVP;unicast;client_port={}-{}'.format(*(s.getsockname()[1] for s in pair))
        head, _ = self.ask('SETUP', track.control, f'Transport: {transport}\r\n')
        self.session = re.search(r'(?im)^Session: *([^;\s]+)', head)[1]

    def read_connection(self):
        self.socket.settimeout(1.0)
        alive = time.monotonic()
        while not self.closing:
            try:
                while (answer := self.take()) is not None:
                    if answer and not answer[0].startswith('RTSP/1.0 200'):
                        raise OSError(f'kept alive: {answer[0].splitlines()[0]}')
                if time.monotonic() - alive > 5:
                    self.send('GET_PARAMETER', self.url)
                    alive = time.monotonic()
                if not (more := self.socket.recv(65536)):
                    raise OSError('the server closed the connection')
                self.buffer += more
            except TimeoutError:
                pass
            except OSError as error:
                if not self.closing:
                    self.error = str(error)
                return

    def read_udp(self, number, pair):
        while not self.closing:
            for s in select.select(pair, [], [], 0.2)[0]:
                self.media(number, s is pair[1], s.recv(65536))

    # --- media ---

    def media(self, number, control, data):
        track = self.tracks[number]
        if control:
            track.rtcp(data)
            return
        stamp, _, marker, payload = track.rtp(data)
        if track is self.video and self.pictures:
            self.pictures.payload(stamp, marker, payload)
        elif track is self.audio:
            self.sound.append((stamp, payload))

    def complaint(self):
        """What is wrong with what was received so far, or None."""
        if self.error:
            return self.error
        for track in self.tracks:
            if track.backwards:
                return f'{track.kind}: timestamps do not rise: {track.backwards[:3]}'
            if track.ended:
                return f'{track.kind}: the server said BYE'
            if self.transport == 'tcp' and track.lost:
                return f'{track.kind}: {track.lost} packets are missing'
        return None

    def close(self):
        try:
            self.send('TEARDOWN', self.url)
        except OSError:
            pass
        self.closing = True
        for thread in self.threads:
            thread.join(5)
        for s in [self.socket, *(s for pair in self.udp for s in pair)]:
            s.close()
        if self.pictures:
            self.pictures.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def port_pair():
    """Two UDP sockets, of an even port and the next."""
    while True:
        rtp = socket.socket(type=socket.SOCK_DGRAM)
        rtp.bind(('127.0.0.1', 0))
        rtcp = socket.socket(type=socket.SOCK_DGRAM)
        try:
            port = rtp.getsockname()[1]
            if port % 2 == 0:
                rtcp.bind(('127.0.0.1', port + 1))
                return rtp, rtcp
        except OSError:
            pass
        rtp.close()
        rtcp.close()


class Pictures:
    """A track's pictures, decoded by ffmpeg and scaled to one size; one comes out for each that goes in."""

    def __init__(self, track, judge=wrong_bars):
        self.track, self.judge = track, judge
        self.units = H264() if track.codec == 'H264' else Jpeg()
        self.process = subprocess.Popen(
            ['ffmpeg', '-v', 'error', '-probesize', '32', '-flags', 'low_delay', '-threads', '1', '-f', self.units.demuxer,
             '-i', '-', '-fps_mode', 'passthrough', '-s', f'{WIDTH}x{HEIGHT}', '-f', 'rawvideo', '-pix_fmt', 'yuv420p', '-'],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.stamps = queue.Queue()
        self.seen = []                                                    # (unwrapped timestamp, None or why it is not live)
        self.sums = []                                                    # a hash of each of them
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def payload(self, stamp, marker, payload):
        if unit := self.units.take(payload, marker):
            self.stamps.put(stamp)
            self.process.stdin.write(unit)
            self.process.stdin.flush()

    def read(self):
        size = WIDTH * HEIGHT * 3 // 2
        while len(picture := self.process.stdout.read(size)) == size:
            self.sums.append(hash(picture))
            self.seen.append((self.stamps.get(), self.judge(picture)))

    def wait(self, count, live, since=0, patience=PATIENCE):
        """Waits for `count` pictures in a row that are live, or not, after the picture numbered `since`; the first's number."""
        def found():
            run = 0
            for number in range(since, len(self.seen)):
                run = run + 1 if (self.seen[number][1] is None) == live else 0
                if run == count:
                    return (number - count + 1,)
        last = lambda: self.seen[-1][1] if self.seen else 'there is none'
        try:
            return until('', found, patience)[0]
        except machine.Failure:
            raise machine.Failure(f'no {count} {"live pictures" if live else "slates"} within {patience:.0f} s; '
                                  f'{len(self.seen) - since} pictures came; the latest: {last() or "live"}') from None

    def wall(self, number):
        """Unix time by the guest's clock at which a picture was taken, by the sender reports."""
        until('a sender report', lambda: self.track.reports)
        return self.track.wall(self.seen[number][0])

    def close(self):
        self.process.kill()
        self.process.wait()
        self.thread.join()
