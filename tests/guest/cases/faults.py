"""The fault table: what breaks at a camera and a sound card, what the viewer sees, and how soon the picture is back."""
from lib import vivid
from lib.guest import guest
from lib.table import FLASH, PICTURES, SILENCE, SLATE, Row, Table

# The third has one input, HDMI.
MODULES = ['vivid n_devs=3 node_types=0x1,0x1,0x1 num_inputs=4,4,1 input_types=0xe4,0xe4,0x3', 'snd-aloop']
FILES = {'/440hz.wav': '{guest}/clips/440hz.wav'}
TIMEOUT = 400
ALOOP = '/sys/bus/platform/drivers/snd_aloop'


def once(name):
    return vivid.control(0, f'{name}=1')


def share(dropped):
    return vivid.control(0, f'percentage_of_dropped_buffers={dropped}')


def rate(fps):
    return f'v4l2-ctl -d {vivid.node(0)} -p {fps} > /dev/null'


EIO = once('inject_fatal_streaming_error')

TABLE = Table([
    Row('a third of the pictures is lost', 'vivid', share(30), PICTURES, mends=share(0), counts='drops'),
    Row('a damaged picture', 'vivid', once('inject_v4l2_buf_flag_error'), PICTURES, counts='drops'),
    Row('a buffer is refused once', 'vivid', once('inject_vidioc_qbuf_error'), PICTURES),
    Row('EIO, then the sequence number wraps', 'vivid', f'{once("wrap_sequence_number")}; {EIO}', FLASH, 'input/output error',
        mends=vivid.control(0, 'wrap_sequence_number=0'), holds=150),
    Row('EIO, then time stamps of another time', 'vivid', f'{once("wrap_timestamp")}; {EIO}',
        FLASH, 'time stamps are no use', mends=vivid.control(0, 'wrap_timestamp=0'), holds=30),
    Row('another program sets another rate', 'vivid', rate(5), PICTURES, mends=rate(15)),
    Row('it stalls', 'vivid', share(100), SLATE, 'delivered nothing for 2.0 s', mends=share(0)),
    Row('EIO while streaming', 'vivid', EIO, FLASH, 'input/output error'),
    Row('EIO, then no buffers at first', 'vivid', once('inject_vidioc_reqbufs_error') + '; ' + EIO,
        FLASH, 'input/output error'),
    Row('EIO, then no start at first', 'vivid', once('inject_vidioc_streamon_error') + '; ' + EIO,
        FLASH, 'input/output error'),
    Row('ENODEV, the node stays', 'vivid', once('disconnect'), FLASH, 'unplugged'),
    Row('unplugged, and back', 'vivid', vivid.UNBIND, SLATE, 'no device', mends=vivid.BIND),
    Row('unplugged, and back under another number', 'vivid', f'exec 3< {vivid.node(0)}; {vivid.UNBIND}; (sleep 15) <&3 > /dev/null 2>&1 &',
        SLATE, 'no device', mends=vivid.BIND, then='vivid-000, /dev/video[1-9]'),
    Row('another program streams from it', 'vivid',
        f'v4l2-ctl -d {vivid.node(1)} --stream-mmap --stream-count=0 > /dev/null 2>&1 < /dev/null & sleep 1', SLATE,
        'in use by .*v4l2-ctl', mends='kill $(pidof v4l2-ctl)', joins=True, stream='second', device='second'),
    Row('no signal at an HDMI input', 'vivid', vivid.control(2, 'dv_timings_signal_mode=1'), SLATE, 'has no signal',
        mends=vivid.control(2, 'dv_timings_signal_mode=0'), stream='hdmi', device='hdmi'),
    Row('another signal at an HDMI input', 'vivid', vivid.control(2, 'dv_timings=1') + '; ' + vivid.control(2, 'dv_timings_signal_mode=4'),
        FLASH, 'changed', stream='hdmi', device='hdmi'),
    Row('what it hears stops', 'snd-aloop', 'kill -STOP $(pidof aplay)', SILENCE, mends='kill -CONT $(pidof aplay)'),
    Row('the sound card is unplugged, and back', 'snd-aloop', f'echo snd_aloop.0 > {ALOOP}/unbind', SILENCE, 'no sound',
        mends=f'echo snd_aloop.0 > {ALOOP}/bind'),
])

around = TABLE.shown_under_a_tone
CHECKS = TABLE.checks()
