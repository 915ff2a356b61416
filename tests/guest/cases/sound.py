"""Loopback sound cards that are played in one format alone, unplugged, taken by others, and come back as another number."""
import base64, math, struct, time

from lib.guest import expect, guest, log, of, until
from lib.listener import Listener, loudness, phase

# One capture each, so that another program can take it.
MODULES = ['snd-aloop enable=1,1 id=One,Two pcm_substreams=1,1']
DRIVER = '/sys/bus/platform/drivers/snd_aloop'
RATE, HERTZ = 8000, 440


def tone(rate, channels, pack):
    """A tenth of a second, 44 periods: put end to end it is one tone. A second channel is silent."""
    wave = (0.5 * math.sin(2 * math.pi * HERTZ * n / rate) for n in range(rate // 10))
    return b''.join(pack(value) + pack(0) * (channels - 1) for value in wave)


FORMATS = {
    'S16_LE': lambda v: struct.pack('<h', round(v * 32767)),
    'S24_3LE': lambda v: struct.pack('<i', round(v * 8388607))[:3],
    'S32_LE': lambda v: struct.pack('<i', round(v * 2147483647)),
    'FLOAT_LE': lambda v: struct.pack('<f', v),
}


def play(form='S16_LE', rate=RATE, channels=1):
    """Plays the tone into the first card without an end, in that format and no other."""
    guest('killall aplay')
    until('the end of what played before', lambda: 'closed' in guest('cat /proc/asound/One/pcm0p/sub0/status'))
    guest(f'base64 -d > /tone <<END\n{base64.encodebytes(tone(rate, channels, FORMATS[form])).decode()}END')
    player = (f'(while :; do cat /tone; done) | aplay -q -D hw:CARD=One,DEV=0 -t raw -f {form} -r {rate} -c {channels} '
              '-B 200000 > /tmp/aplay 2>&1 &')
    # It is started anew where it has given up, as it does on a machine that is busy for long.
    until('the player', lambda: 'RUNNING' in guest(f'pidof aplay > /dev/null || {{ {player} }}; cat /proc/asound/One/pcm0p/sub0/status'))


def idle():
    until('idle', lambda: of('microphones', 'one')['state'] == 'idle')


def heard(listener, what=lambda loud: loud > 3000):
    """Listens until a quarter of a second is so loud; how long that took."""
    begun = time.monotonic()
    while not what(loudness(listener.seconds(0.25))):
        expect(time.monotonic() < begun + 20, f'{loudness(listener.samples[-2000:]):.0f} after 20 s')
    return time.monotonic() - begun


def a_card_of_one_format(form, rate, channels):
    idle()
    play(form, rate, channels)
    with Listener('one') as listener:
        # Half of full scale; of two channels, one of which is silent, half is left. A busy machine plays with gaps.
        wanted = 32768 * 0.5 / channels
        size = lambda: phase(listener.seconds(0.25), 0, RATE, HERTZ)[0]
        until(f'an amplitude of {wanted:.0f}', lambda: abs(size() / wanted - 1) < 0.05)
    opened = [line for line in log().splitlines() if 'microphone opened' in line][-1]
    expect(f'rate: {rate}' in opened and f'channels: {channels}' in opened, opened)


def unplugged_and_back_as_another():
    idle()
    play()
    with Listener('one') as listener:
        heard(listener)
        guest(f'echo snd_aloop.0 > {DRIVER}/unbind')
        heard(listener, lambda loud: loud < 10)
        microphone = until('no signal', lambda: (m := of('microphones', 'one'))['state'] == 'no-signal' and m)
        expect('CARD=One' in microphone['reason'] or 'unplugged' in microphone['reason'], f'{microphone}')
        # The other card takes its number, so that it comes back under that one's.
        guest(f'echo snd_aloop.1 > {DRIVER}/unbind; echo snd_aloop.1 > {DRIVER}/bind; echo snd_aloop.0 > {DRIVER}/bind')
        begun = time.monotonic()
        play()
        until('live', lambda: of('microphones', 'one')['state'] == 'live')
        heard(listener)
        print(f'     sound after {time.monotonic() - begun:.1f} s, as {guest("readlink /proc/asound/One").strip()}', flush=True)
        expect(time.monotonic() - begun < 10, 'sound only after 10 s')


def who_has_a_busy_card_is_named():
    guest('arecord -q -D hw:CARD=Two,DEV=1 -f S16_LE -r 8000 -c 1 /dev/null > /tmp/arecord 2>&1 &')
    until('arecord', lambda: 'owner_pid' in guest('cat /proc/asound/Two/pcm1c/sub0/status'))
    with Listener('two') as listener:
        microphone = until('no signal', lambda: (m := of('microphones', 'two'))['state'] == 'no-signal' and m)
        expect('in use by arecord (pid ' in microphone['reason'], microphone['reason'])
        expect(loudness(listener.seconds(0.5)) == 0, 'not silent')
        guest('killall arecord')
        until('live', lambda: of('microphones', 'two')['state'] == 'live')
        listener.seconds(1)


CHECKS = [
    *((f'a card that gives only {form} at {rate} Hz with {channels} channels',
       lambda form=form, rate=rate, channels=channels: a_card_of_one_format(form, rate, channels))
      for form, rate, channels in (('S32_LE', 44100, 2), ('S24_3LE', 16000, 1), ('FLOAT_LE', 11025, 2))),
    ('unplugged and back under another number: silence, and no jump', unplugged_and_back_as_another),
    ('who has a busy card is named', who_has_a_busy_card_is_named),
]
