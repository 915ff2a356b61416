"""A sound card whose clock is 300 ppm slow, for minutes: EYRIE_DRIFT_SECONDS, 180 by default, and 60 to settle."""
import os, time

from cases.sound import HERTZ, RATE, play
from lib.guest import expect, guest, of
from lib.listener import Listener, phase

MODULES = ['snd-aloop enable=1,1 id=One,Two pcm_substreams=1,1']
SECONDS = int(os.environ.get('EYRIE_DRIFT_SECONDS') or 180)
TIMEOUT = SECONDS + 240
BY_HAND = True
# What the driver calls 100030 plays 300 ppm slow.
SHIFT, PPM = 100030, -300
# What the drift would come to if nobody corrected it: above the bound, so that a pass says something.
BOUND = 0.04


def in_step_for_minutes():
    play()
    told = guest(f"amixer -c One cset iface=PCM,name='PCM Rate Shift 100000',device=1 {SHIFT}; "
                 f"amixer -c One cset iface=PCM,name='PCM Rate Shift 100000',device=0 {SHIFT}")
    expect(str(SHIFT) in told, told)
    with Listener('one') as listener:
        listener.seconds(60)
        begun = time.monotonic()
        listener.seconds(SECONDS)
        microphone = of('microphones', 'one')
        print(f'     {microphone}', flush=True)
        # A packet is as late as it was at the start: what it says was taken now was taken now. In windows of 10 s, the
        # soonest of each, for the machine is busy.
        lateness = [(arrival - at / RATE, arrival) for arrival, at in listener.packets if arrival > begun]
        windows = {}
        for late, arrival in lateness:
            windows.setdefault(int((arrival - begun) / 10), []).append(late)
        soonest = [min(window) for window in windows.values() if len(window) > 200]
        spread = max(soonest) - min(soonest)
        # Wall time of the guest against its timestamps, by its own reports.
        (wall, ticks), *_, (last_wall, last_ticks) = listener.reports[2:]
        off = (last_ticks - ticks) % 2**32 / RATE - (last_wall - wall)
        # The tone, slow as the card is, has no jump of phase: from one tenth of a second to the next it turns by less
        # than two samples. Where the machine was too busy there is silence, and no phase.
        slow = HERTZ * (1 + PPM * 1e-6)
        tones = [phase(listener.samples[at:at + 800], at, RATE, slow) for at in range(60 * RATE, (60 + SECONDS) * RATE - 800, 800)]
        pairs = [(a, b) for (size, a), (after, b) in zip(tones, tones[1:]) if min(size, after) > 15000]
        jump = max(abs((b - a + 0.5) % 1 - 0.5) for a, b in pairs) / slow
        print(f'     {SECONDS} s, of {SECONDS * abs(PPM) * 1e-3:.0f} ms of drift {spread * 1e3:.1f} ms seen in arrival, '
              f'{off * 1e3:.2f} ms between timestamps and reports, {jump * 1e3:.3f} ms at most from a tenth of a second '
              f'to the next, {len(pairs)} times', flush=True)
        lossless = microphone['drops'] == 0
        expect(spread < BOUND, f'{spread * 1e3:.1f} ms out of step')
        expect(abs(off) < 0.005, f'{off * 1e3:.1f} ms between timestamps and sender reports')
        expect(len(pairs) > SECONDS * 5, f'a tone in {len(pairs) / 10:.0f} seconds alone')
        expect(abs(microphone['drift_ppm'] - PPM) < (40 if lossless else 80), f'{microphone["drift_ppm"]} ppm told')
        expect(jump < (0.0002 if lossless else 0.005), f'a jump of {jump * 1e3:.2f} ms in the sound')


CHECKS = [(f'a clock {-PPM} ppm slow for {SECONDS} s: in step, no gap, no jump', in_step_for_minutes)]
