"""A soak: viewers come and go, devices fail at random, and the server must not grow.

Each minute four viewers at a time come and go over TCP and UDP, and four faults follow each other; then all is mended and all
viewers leave. When every device is well again, descriptors and threads must be as many as before the first viewer, and from
minute 3 on the server's memory may grow by 2 MB at most. Which faults come when, and what viewers watch, follows from the seed.
"""
import contextlib, os, random, subprocess, threading, time

from lib import vivid
from lib.guest import PATIENCE, RTSP, Failure, expect, guest, status, until
from lib.viewer import Viewer

BY_HAND = True
MINUTES, SEED = int(os.environ.get('SOAK_MINUTES', 60)), int(os.environ.get('SOAK_SEED', 1))
TIMEOUT = 150 * MINUTES + 300
MODULES = ['vivid n_devs=2 node_types=0x1,0x1', 'snd-aloop']
FILES = {'/440hz.wav': '{guest}/clips/440hz.wav'}

STREAMS = ['main', 'small', 'second']
VIEWERS = 4                                                               # at a time
BUSY = 40                                                                 # s of a minute with viewers and faults
SETTLED = 3                                                               # the minute from which memory is compared
GROWTH = 2048                                                             # kB
ALOOP = '/sys/bus/platform/drivers/snd_aloop'

# What breaks, and how it is mended; empty where it mends itself.
FAULTS = {}                                                               # name: (shell command, shell command)
for camera in (0, 1):
    FAULTS |= {
        f'camera {camera} disconnected': (vivid.control(camera, 'disconnect=1'), ''),
        f'camera {camera} stalls': (vivid.control(camera, 'percentage_of_dropped_buffers=100'),
                                    vivid.control(camera, 'percentage_of_dropped_buffers=0')),
        f'camera {camera} drops 30 %': (vivid.control(camera, 'percentage_of_dropped_buffers=30'),
                                        vivid.control(camera, 'percentage_of_dropped_buffers=0')),
        f'camera {camera} fails with EIO': (vivid.control(camera, 'inject_fatal_streaming_error=1'), ''),
        f'camera {camera} damages pictures': (vivid.control(camera, 'inject_v4l2_buf_flag_error=1'), ''),
        f'camera {camera} refuses a buffer': (vivid.control(camera, 'inject_vidioc_qbuf_error=1'), ''),
    }
FAULTS |= {
    'both cameras unplugged': (vivid.UNBIND, vivid.BIND),
    'sound card unplugged': (f'echo snd_aloop.0 > {ALOOP}/unbind', f'echo snd_aloop.0 > {ALOOP}/bind'),
    'sound stops': ('kill -STOP $(pidof aplay)', 'kill -CONT $(pidof aplay)'),
    'player of the sound ends': ('kill $(pidof aplay)', ''),
}


def faults_of(seed, minute):
    """What happens in a minute: [(s until it breaks, fault, s until it is mended)]. A function of its arguments alone."""
    dice = random.Random(f'{seed} {minute}')
    return [(dice.uniform(0.5, 4), dice.choice(sorted(FAULTS)), dice.uniform(0.5, 6)) for _ in range(4)]


class Visitors:
    """Viewers that come and go in a thread each until told to leave."""

    def __init__(self, seed, minute):
        self.leave, self.count, self.units, self.complaints = threading.Event(), 0, 0, []
        self.threads = [threading.Thread(target=self.visit, args=(random.Random(f'{seed} {minute} {slot}'),))
                        for slot in range(VIEWERS)]
        for thread in self.threads:
            thread.start()

    def visit(self, dice):
        while not self.leave.is_set():
            stream, client, stay = dice.choice(STREAMS), dice.choice(['tcp', 'tcp', 'udp', 'ffmpeg']), dice.uniform(2, 20)
            try:
                units = self.watch_with_ffmpeg(stream, stay) if client == 'ffmpeg' else self.watch(stream, client, stay)
                self.units += units
            except (Failure, OSError) as error:
                self.complaints.append(f'{stream} by {client}: {error}')
            self.count += 1
            self.leave.wait(dice.uniform(0, 3))

    def watch(self, stream, transport, stay):
        with Viewer(stream, transport) as viewer:
            until('the first packets', lambda: all(track.packets for track in viewer.tracks) or viewer.error)
            self.leave.wait(stay)
            expect(not viewer.complaint(), viewer.complaint())
            return sum(track.units for track in viewer.tracks)

    def watch_with_ffmpeg(self, stream, stay):
        command = ['ffmpeg', '-nostdin', '-v', 'error', '-rtsp_transport', 'tcp', '-i', f'rtsp://127.0.0.1:{RTSP}/{stream}',
                   '-map', '0:v', '-f', 'rawvideo', '-pix_fmt', 'gray', '-s', '16x16', '-']
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as player:
            try:
                pictures = [0]

                def count():
                    while len(player.stdout.read(256)) == 256:
                        pictures[0] += 1
                threading.Thread(target=count, daemon=True).start()
                until('a picture in ffmpeg', lambda: pictures[0] or player.poll() is not None)
                self.leave.wait(stay)
                expect(player.poll() is None, f'ffmpeg ended: {player.stderr.read().decode()[-300:]}' if player.poll() else '')
                return pictures[0]
            finally:
                player.kill()

    def end(self):
        self.leave.set()
        for thread in self.threads:
            thread.join()


@contextlib.contextmanager
def around():
    guest('(while :; do aplay -q -D plughw:CARD=Loopback,DEV=0 -B 200000 /440hz.wav; sleep 0.2; done) > /dev/null 2>&1 &')
    yield


def is_well():
    """Nobody watches, what always runs is live, and what runs on demand rests: its encoder too is gone."""
    now = status()
    states = {stream['name']: stream['state'] for stream in now['streams']}
    encoders = {stream['name'] for stream in now['streams'] if stream['encoder']}
    return (now['network']['connections'] == 0 and not any(stream['viewers'] for stream in now['streams'])
            and states == {'main': 'live', 'small': 'idle', 'second': 'idle'} and encoders == {'main'}
            and all(device['state'] in ('live', 'idle') for device in now['cameras'] + now['microphones']))


def figures():
    """Of the server: memory in kB, that of it which is no file's, threads, descriptors."""
    out = guest('p=/proc/$(cat /tmp/pid); grep -E "^(VmRSS|RssAnon|Threads)" $p/status; ls $p/fd | wc -l')
    return tuple(int(line.split()[-2 if 'kB' in line else -1]) for line in out.strip().splitlines())


def minute_passes(minute):
    """Viewers and faults of a minute; what the viewers saw, and how long until all was well."""
    visitors = Visitors(SEED, minute)
    begun = time.monotonic()
    try:
        for pause, fault, hold in faults_of(SEED, minute):
            time.sleep(pause)
            print(f'minute {minute + 1:3}  {fault} for {hold:.1f} s', flush=True)
            breaks, mends = FAULTS[fault]
            guest(breaks)
            time.sleep(hold)
            guest(mends)
        time.sleep(max(0.0, BUSY - (time.monotonic() - begun)))
    finally:
        visitors.end()
    mended = time.monotonic()
    until('all devices to be well with no viewer', is_well)
    return visitors, time.monotonic() - mended


def it_does_not_grow():
    until('all devices to be well', is_well)
    _, _, *at_rest = figures()
    print(f'soak: {MINUTES} minutes, seed {SEED}; at rest {at_rest[0]} threads, {at_rest[1]} descriptors', flush=True)
    wrong, memory, viewers, units = [], [], 0, 0
    start = time.monotonic()
    for minute in range(MINUTES):
        visitors, settled = minute_passes(minute)
        with contextlib.suppress(Failure):
            until('', lambda: figures()[2:] == tuple(at_rest), 10)
        rss, own, *now = figures()
        memory.append(rss)
        viewers, units = viewers + visitors.count, units + visitors.units
        print(f'minute {minute + 1:3}  {rss} kB ({own} its own), {now[0]} threads, {now[1]} descriptors; {visitors.count} viewers got '
              f'{visitors.units} pictures and blocks; well {settled:.1f} s after', flush=True)
        wrong += [f'minute {minute + 1}: {complaint}' for complaint in visitors.complaints]
        if now != at_rest:
            wrong.append(f'minute {minute + 1}: {now[0]} threads and {now[1]} descriptors instead of {at_rest[0]} and {at_rest[1]}')
            print(guest('p=/proc/$(cat /tmp/pid); cat $p/task/*/comm | sort | uniq -c; ls -l $p/fd'), flush=True)
        time.sleep(max(0.0, 60 * (minute + 1) - (time.monotonic() - start)))
    later = memory[SETTLED - 1:]
    growth = max(later) - later[0] if later else 0
    print(f'soak: {viewers} viewers, {4 * MINUTES} faults, {units} pictures and blocks; memory {memory[0]} kB in minute 1, '
          f'{later[0] if later else "-"} in minute {SETTLED}, {memory[-1]} at the end, grown by {growth} at most', flush=True)
    if growth > GROWTH:
        wrong.append(f'memory grew by {growth} kB from minute {SETTLED} on')
    expect(not wrong, '; '.join(wrong))


CHECKS = [
    ('the same seed gives the same faults', lambda: expect(
        [faults_of(SEED, m) for m in range(60)] == [faults_of(SEED, m) for m in range(60)] != [faults_of(SEED + 1, m) for m in range(60)],
        'they differ')),
    ('the server does not grow while viewers come and go and devices fail', it_does_not_grow),
]
