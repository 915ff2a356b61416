#!/usr/bin/env python3
"""outside.py RESULT: the part of the guest stage that runs outside the guest. Plays Eyrie's streams with ffmpeg through
the forwarded port, compares the pictures with what vivid drew and the sound with what was played, and unplugs a camera
meanwhile. Writes one line per check on stdout and `N passed, N failed` into RESULT; the exit status is 1 if one failed.
"""
import json, math, os, socket, struct, subprocess, sys, threading, time

RTSP, SHELL = int(os.environ['PORT_8554']), int(os.environ['PORT_2222'])
WIDTH, HEIGHT = 320, 180
# The bars that vivid draws: white yellow cyan green magenta red blue black at 75 %, as Y, Cb, Cr (ITU-R BT.601).
BARS = [(180, 128, 128), (162, 44, 142), (131, 156, 44), (112, 72, 58),
        (84, 184, 198), (65, 100, 212), (35, 212, 114), (16, 128, 128)]
TOLERANCE = 10
PATIENCE = float(os.environ.get("PATIENCE") or 40.0)                      # s: for what takes under five on an idle machine


class Failure(Exception):
    pass


def expect(condition, message):
    if not condition:
        raise Failure(message)


def guest(command):
    """Runs a shell command in the guest and returns what it prints."""
    with socket.create_connection(('127.0.0.1', SHELL), timeout=PATIENCE) as s:
        s.sendall(f'{command}\nexit\n'.encode())
        output = b''
        while chunk := s.recv(65536):
            output += chunk
    return output.decode('utf8', 'replace')


def status(stream):
    report = json.loads(guest('eyrie status --json --socket /tmp/eyrie.sock'))
    return next(s for s in report['streams'] if s['name'] == stream)


def until(what, condition):
    """Waits for the condition and returns what it gave."""
    deadline = time.monotonic() + PATIENCE
    while not (result := condition()):
        expect(time.monotonic() < deadline, f'waited {PATIENCE:.0f} s for {what}')
        time.sleep(0.2)
    return result


def bars(picture):
    """Y, Cb and Cr in the middle of each of eight bars, in three rows: above, middle, below."""
    luma, chroma = WIDTH * HEIGHT, WIDTH * HEIGHT // 4
    rows = []
    for y in (HEIGHT // 8, HEIGHT // 2, HEIGHT * 7 // 8):
        row = []
        for bar in range(8):
            x = WIDTH * (2 * bar + 1) // 16
            c = (y // 2) * (WIDTH // 2) + x // 2
            row.append((picture[y * WIDTH + x], picture[luma + c], picture[luma + chroma + c]))
        rows.append(row)
    return rows


def wrong_bars(picture):
    """None where the picture is vivid's, else where it is not."""
    for name, row in zip(('upper', 'middle', 'lower'), bars(picture)):
        for number, (seen, drawn) in enumerate(zip(row, BARS)):
            if max(abs(a - b) for a, b in zip(seen, drawn)) > TOLERANCE:
                return f'bar {number} in the {name} part is Y, Cb, Cr {seen}, vivid drew {drawn}'
    return None


class Player:
    """ffmpeg on one stream's pictures; reads them as they come."""

    def __init__(self, stream):
        self.process = subprocess.Popen(
            ['ffmpeg', '-nostdin', '-v', 'error', '-rtsp_transport', 'tcp', '-allowed_media_types', 'video',
             '-i', f'rtsp://127.0.0.1:{RTSP}/{stream}', '-an', '-fps_mode', 'passthrough',
             '-f', 'rawvideo', '-pix_fmt', 'yuv420p', '-'], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.pictures, self.latest, self.wrong = 0, None, None
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        while len(picture := self.process.stdout.read(WIDTH * HEIGHT * 3 // 2)) == WIDTH * HEIGHT * 3 // 2:
            self.latest, self.wrong = picture, wrong_bars(picture)
            self.pictures += 1

    def alive(self):
        return self.process.poll() is None

    def after(self, count, what=lambda player: True):
        """Waits for `count` pictures of the kind from now on, one after the other; others begin the count anew."""
        seen, kind, deadline = self.pictures, 0, time.monotonic() + PATIENCE
        while kind < count:
            expect(self.alive(), f'the player ended: {self.process.stderr.read().decode()[-500:] if not self.alive() else ""}')
            expect(time.monotonic() < deadline, f'{self.pictures} pictures after {PATIENCE:.0f} s; the last: {self.wrong or "bars"}')
            if self.pictures > seen:
                seen = self.pictures
                kind = kind + 1 if what(self) else 0
            time.sleep(0.01)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


live = lambda player: player.wrong is None
slate = lambda player: player.wrong is not None


def devices_are_listed():
    report = json.loads(guest('eyrie devices --json'))
    cameras = [c for c in report['cameras'] if c['usable']]
    expect([c['bus'] for c in cameras] == [f'platform:vivid-00{n}' for n in range(4)], f'cameras: {[c["bus"] for c in cameras]}')
    for camera in cameras:
        wanted = {('yuyv', 320, 180, 15), ('uyvy', 320, 180, 15), ('nv12', 320, 180, 15), ('yu12', 320, 180, 15)}
        offered = {(f['format'], f['width'], f['height'], f['fps']) for f in camera['formats']}
        expect(wanted <= offered, f'{camera["node"]} lacks {wanted - offered}')
        pattern = next((c for c in camera['controls'] if c['name'] == 'test_pattern'), None)
        expect(pattern and pattern['max'] >= 1 and '75% Colorbar' in pattern['menu'].values(), f'test_pattern: {pattern}')
    others = [c for c in report['cameras'] if not c['usable']]
    expect(others and all(c['reason'] for c in others), f'nodes that are no cameras, each with a reason: {others}')
    expect(any('Loopback' in card['name'] for card in report['sound_cards']), f'sound cards: {report["sound_cards"]}')


def pictures_are_those_drawn(stream):
    with Player(stream) as player:
        player.after(10, live)


def controls_are_set():
    node = next(c['node'] for c in json.loads(guest('eyrie devices --json'))['cameras'] if c['bus'] == 'platform:vivid-000')
    value = guest(f'v4l2-ctl -d {node} -C osd_text_mode')
    expect(value.startswith('osd_text_mode: 2'), f'v4l2-ctl says {value!r}')
    log = guest('cat /tmp/log')
    expect('`brightness`' in log, 'the log does not propose `brightness` for the unknown control `brightnes`')


def sound_is_that_played():
    command = ['ffmpeg', '-nostdin', '-v', 'error', '-rtsp_transport', 'tcp', '-allowed_media_types', 'audio',
               '-i', f'rtsp://127.0.0.1:{RTSP}/yuyv', '-vn', '-t', '4', '-ar', '8000', '-ac', '1', '-f', 's16le', '-']
    out = subprocess.run(command, capture_output=True, timeout=PATIENCE)
    samples = struct.unpack(f'<{len(out.stdout) // 2}h', out.stdout[:len(out.stdout) // 2 * 2])
    expect(len(samples) > 3 * 8000, f'{len(samples) / 8000:.1f} s of sound: {out.stderr.decode()[-300:]}')
    tail = samples[-2 * 8000:]
    loudness = math.sqrt(sum(s * s for s in tail) / len(tail))
    expect(loudness > 3000, f'the sound is too quiet: {loudness:.0f}')
    rising = sum(1 for a, b in zip(tail, tail[1:]) if a < 0 <= b)
    expect(abs(rising / 2 - 440) < 8, f'{rising / 2:.1f} Hz instead of 440')


def an_overrun_becomes_silence():
    """Eyrie is stopped for longer than the card's buffer lasts: no sample more or less than the time that passed."""
    microphone = lambda: next(m for m in json.loads(guest('eyrie status --json --socket /tmp/eyrie.sock'))['microphones'])
    before = microphone()
    command = ['ffmpeg', '-nostdin', '-v', 'error', '-rtsp_transport', 'tcp', '-allowed_media_types', 'audio',
               '-i', f'rtsp://127.0.0.1:{RTSP}/yuyv', '-vn', '-t', '8', '-ar', '8000', '-ac', '1', '-f', 's16le', '-']
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as player:
        # It plays; then the server sleeps for 1.5 s.
        expect(player.stdout.read(8000), 'no sound')
        guest('kill -STOP $(pidof eyrie); sleep 1.5; kill -CONT $(pidof eyrie)')
        after = until('an overrun', lambda: (m := microphone())['drops'] > before['drops'] and m)
        rest = player.stdout.read()
    silence = after['silence_ms'] - before['silence_ms']
    expect(800 < silence < 4000, f'{silence} ms of silence for a stop of 1.5 s')
    quiet = longest = 0
    for sample in struct.unpack(f'<{len(rest) // 2}h', rest[:len(rest) // 2 * 2]):
        quiet = quiet + 1 if abs(sample) < 50 else 0
        longest = max(longest, quiet)
    expect(abs(longest / 8 - silence) < 250, f'{longest / 8:.0f} ms are silent, {silence} ms were counted')


def an_absent_camera_shows_a_slate():
    with Player('absent') as player:
        player.after(3, slate)
    log = guest('cat /tmp/log')
    expect('platform:vivid-000' in log and 'vivid-of-another-world' in log, 'the log does not say which cameras there are')


def unplugged_and_back():
    """The player stays connected all the while."""
    driver = '/sys/bus/platform/drivers/vivid'
    with Player('yuyv') as player:
        player.after(10, live)
        until('state live', lambda: status('yuyv')['state'] == 'live')
        guest(f'echo vivid.0 > {driver}/unbind')
        player.after(3, slate)
        until('state no-signal', lambda: status('yuyv')['state'] == 'no-signal')
        guest(f'echo vivid.0 > {driver}/bind')
        player.after(10, live)
        until('state live again', lambda: status('yuyv')['state'] == 'live')
        viewers = status('yuyv')['viewers']
        expect(player.alive() and len(viewers) == 1, f'viewers at the end: {viewers}')
        expect(viewers[0]['transport'] == 'tcp', f'transport: {viewers[0]}')


CHECKS = [
    ('devices: cameras, what is none, sound card', devices_are_listed),
    *((f'{format}: pictures as vivid drew them', lambda format=format: pictures_are_those_drawn(format))
      for format in ('yuyv', 'uyvy', 'nv12', 'yu12')),
    ('controls: set by name, an unknown one answered', controls_are_set),
    ('sound: 440 Hz from the sound card', sound_is_that_played),
    ('an overrun becomes silence of its length, and is counted', an_overrun_becomes_silence),
    ('an absent camera: a slate, and the log says what there is', an_absent_camera_shows_a_slate),
    ('unplugged and back, the player stays', unplugged_and_back),
]


def main():
    passed = failed = 0
    try:
        guest('(while aplay -q -D plughw:CARD=Loopback,DEV=0 -B 200000 /440hz.wav; do :; done) > /tmp/aplay 2>&1 &')
        for name, check in CHECKS:
            start = time.monotonic()
            try:
                check()
                passed += 1
                print(f'ok   {name} ({time.monotonic() - start:.1f} s)', flush=True)
            except Exception as error:
                failed += 1
                print(f'FAIL {name}: {type(error).__name__}: {error}', flush=True)
        if failed:
            print(guest('cat /tmp/log; cat /tmp/aplay; eyrie status --json --socket /tmp/eyrie.sock')[-20000:], flush=True)
    finally:
        with open(sys.argv[1], 'w') as result:
            result.write(f'{passed} passed, {failed} failed\n')
        guest('touch /tmp/done')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
