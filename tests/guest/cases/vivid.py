"""vivid's cameras in each raw format, one that is not there, and what is played into the loopback sound card."""
import contextlib, itertools, json, math, struct, subprocess

from lib.guest import PATIENCE, RTSP, expect, guest, log, of, until
from lib.player import Player, live, slate

MODULES = ['vivid n_devs=4 node_types=0xe1d3d,0x1,0x1,0x1', 'snd-aloop']
FILES = {'/440hz.wav': '{guest}/clips/440hz.wav'}


@contextlib.contextmanager
def around():
    guest('(while :; do aplay -q -D plughw:CARD=Loopback,DEV=0 -B 200000 /440hz.wav; sleep 0.1; done) > /tmp/aplay 2>&1 &')
    yield


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
    expect('`brightness`' in log(), 'the log does not propose `brightness` for the unknown control `brightnes`')


def sound_is_that_played():
    command = ['ffmpeg', '-nostdin', '-v', 'error', '-rtsp_transport', 'tcp', '-allowed_media_types', 'audio',
               '-i', f'rtsp://127.0.0.1:{RTSP}/yuyv', '-vn', '-t', '4', '-ar', '8000', '-ac', '1', '-f', 's16le', '-']
    out = subprocess.run(command, capture_output=True, timeout=PATIENCE)
    samples = struct.unpack(f'<{len(out.stdout) // 2}h', out.stdout[:len(out.stdout) // 2 * 2])
    expect(len(samples) > 3 * 8000, f'{len(samples) / 8000:.1f} s of sound: {out.stderr.decode()[-300:]}')
    tail = samples[-2 * 8000:]
    loudness = math.sqrt(sum(s * s for s in tail) / len(tail))
    expect(loudness > 3000, f'the sound is too quiet: {loudness:.0f}; aplay said {guest("cat /tmp/aplay")!r}')
    rising = sum(1 for a, b in zip(tail, tail[1:]) if a < 0 <= b)
    expect(abs(rising / 2 - 440) < 8, f'{rising / 2:.1f} Hz instead of 440')


def an_overrun_becomes_silence():
    """Eyrie is stopped for longer than the card's buffer lasts: no sample more or less than the time that passed."""
    microphone = lambda: of('microphones', 'loopback')
    before = microphone()
    command = ['ffmpeg', '-nostdin', '-v', 'error', '-rtsp_transport', 'tcp', '-allowed_media_types', 'audio',
               '-i', f'rtsp://127.0.0.1:{RTSP}/yuyv', '-vn', '-t', '8', '-ar', '8000', '-ac', '1', '-f', 's16le', '-']
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as player:
        # It plays; then the server sleeps for 1.5 s.
        expect(player.stdout.read(8000), 'no sound')
        guest('kill -STOP $(pidof eyrie); sleep 1.5; kill -CONT $(pidof eyrie)')
        until('an overrun', lambda: microphone()['drops'] > before['drops'])
        rest = player.stdout.read()
    # On a busy machine there may be more than one.
    silence = microphone()['silence_ms'] - before['silence_ms']
    expect(800 < silence < 4000, f'{silence} ms of silence for a stop of 1.5 s')
    samples = struct.unpack(f'<{len(rest) // 2}h', rest[:len(rest) // 2 * 2])
    runs = [len(list(run)) / 8 for quiet, run in itertools.groupby(samples, lambda sample: abs(sample) < 50) if quiet]
    # Where it passes through zero a tone is quiet for a sample or two.
    heard = sum(run for run in runs if run > 10)
    expect(abs(heard - silence) < 250, f'{heard:.0f} ms are silent, {silence} ms were counted')


def an_absent_camera_shows_a_slate():
    with Player('absent') as player:
        player.after(3, slate)
    text = log()
    expect('platform:vivid-000' in text and 'vivid-of-another-world' in text, 'the log does not say which cameras there are')


def unplugged_and_back():
    """The player stays connected all the while."""
    driver = '/sys/bus/platform/drivers/vivid'
    with Player('yuyv') as player:
        player.after(10, live)
        until('state live', lambda: of('streams', 'yuyv')['state'] == 'live')
        guest(f'echo vivid.0 > {driver}/unbind')
        player.after(3, slate)
        until('state no-signal', lambda: of('streams', 'yuyv')['state'] == 'no-signal')
        guest(f'echo vivid.0 > {driver}/bind')
        player.after(10, live)
        until('state live again', lambda: of('streams', 'yuyv')['state'] == 'live')
        viewers = of('streams', 'yuyv')['viewers']
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
