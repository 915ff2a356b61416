"""What no virtual driver does: a full USB bus, calls that never return, a clock that runs too slow, a card that gives nothing.
tests/guest/tools/shim.c stands for the kernel's call in each of these rows.
"""
import time

from lib import vivid
from lib.guest import expect, guest, until
from lib.table import SILENCE, SLATE, Row, Table, clock
from lib.viewer import Viewer

MODULES = ['vivid node_types=0x1', 'snd-aloop']
FILES = {'/440hz.wav': '{guest}/clips/440hz.wav', '/shim.so': '{guest}/tools/shim.so'}
RUN = 'env LD_PRELOAD=/shim.so eyrie run --config /etc/eyrie.toml'
TIMEOUT = 300
RESTART = vivid.control(0, 'inject_fatal_streaming_error=1')             # after which Eyrie starts it anew


def shim(what):
    # Moved into its place: it is never read half written.
    return f'echo {what} > /tmp/shim.new; mv /tmp/shim.new /tmp/shim'


WELL = 'rm /tmp/shim'
# By then a fresh thread has taken over, and finds the camera held by the one that was left.
LEFT, BACK = r'(in use|does not answer).*stuck|left in its driver', 'left in its driver is back'
TABLE = Table([
    Row('ENOSPC at the start', 'shim', f'{shim("enospc")}; {RESTART}', SLATE, 'no bandwidth left.*mjpeg', mends=WELL),
    Row('taking a picture never returns', 'shim', shim('stuck DQBUF'), SLATE, LEFT, mends=WELL, then=BACK),
    Row('stopping the camera never returns', 'shim', f'{shim("stuck STREAMOFF")}; {RESTART}', SLATE, LEFT, mends=WELL, then=BACK),
    Row('starting the camera never returns', 'shim', f'{shim("stuck STREAMON")}; {RESTART}', SLATE, LEFT, mends=WELL, then=BACK),
    Row('the sound card delivers nothing', 'shim', shim('mute'), SILENCE, 'no sound', mends=WELL),
])

PPM, SECONDS = -900, 90


def a_clock_too_slow_is_held():
    """By its own stamps the pictures would be 86 ms older in the end; viewers are to see them nearly as old as at first."""
    guest(shim(f'clock {PPM}'))
    with Viewer('main') as viewer:
        until('a sender report', lambda: viewer.video.reports)
        here = time.time() - clock()

        def age():
            """Of the freshest picture within five seconds, at its arrival."""
            ages, end = [], time.monotonic() + 5
            while time.monotonic() < end:
                before = viewer.video.units
                until('a picture', lambda: viewer.video.units > before)
                arrival, stamp = viewer.video.arrived
                ages.append(arrival - here - viewer.video.wall(stamp))
            return min(ages)
        first = age()
        time.sleep(SECONDS)
        last = age()
        expect(not viewer.complaint(), viewer.complaint())
        error = viewer.video.clock_error()
    guest(WELL)
    gone = -PPM * (SECONDS + 5) / 1e6
    print(f'     a camera clock of {PPM} ppm for {SECONDS} s: older by {gone * 1000:.0f} ms by its stamps, '
          f'by {(last - first) * 1000:.0f} ms for viewers; sender reports differ by {error * 1000:.0f} ms', flush=True)
    expect(abs(last - first) < gone / 2, f'pictures were older by {(last - first) * 1000:.0f} ms in the end')

around = TABLE.shown_under_a_tone
CHECKS = [*TABLE.checks(), (f'a camera clock of {PPM} ppm (shim): held to the system\'s', a_clock_too_slow_is_held)]
