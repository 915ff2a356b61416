"""The queues of a board's encoder: tests/m2m.rs on vicodec in both of V4L2's APIs, and a stream that falls back."""
import os, re

from lib.guest import expect, guest, log, of, until
from lib.player import Player, live

MODULES = ['vivid n_devs=2 node_types=0x1,0x1 multiplanar=1,1', 'vicodec multiplanar=0']
TESTS = ['m2m']
TIMEOUT = 300

with open(os.path.join(os.path.dirname(os.path.realpath(__file__)), '../../m2m.rs')) as f:
    *EACH, LAST = re.findall(r'#\[test\]\n#\[ignore.*\]\nfn (\w+)\(', f.read())


def passes(test):
    output = guest(f'timeout 35 m2m --ignored --exact {test} 2>&1')
    expect('1 passed' in output, output[-2000:])


def the_other_api_is_spoken(planes):
    output = guest(f'rmmod vicodec && modprobe vicodec multiplanar={planes} && echo loaded')
    expect('loaded' in output, output)


def openh264_encodes_where_the_board_cannot():
    """vicodec makes no H.264, so this board has no encoder for it."""
    with Player('main') as player:
        player.after(5, live)
        until('openh264', lambda: of('streams', 'main')['encoder'] == 'openh264')
    lines = [line for line in log().splitlines() if 'in place of the board' in line]
    expect(len(lines) == 1, f'one line says so: {lines}')


CHECKS = [
    ('a stream that wants the board\'s encoder has openh264\'s picture', openh264_encodes_where_the_board_cannot),
    *((f'single-planar: {test.replace("_", " ")}', lambda test=test: passes(test)) for test in EACH),
    ('vicodec speaks the multi-planar API', lambda: the_other_api_is_spoken(1)),
    *((f'multi-planar: {test.replace("_", " ")}', lambda test=test: passes(test)) for test in EACH),
    (LAST.replace('_', ' ').removeprefix('zz '), lambda: passes(LAST)),
]
