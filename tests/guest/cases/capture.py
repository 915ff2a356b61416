"""What cameras and inputs can be: multi-planar, interlaced, without a signal, of another size when it is back, in use by
another program, with numbers and stamps that wrap; and their controls at run time."""
import json

from lib.guest import expect, guest, log, of, until
from lib.player import HEIGHT, WIDTH, Player, bars, live, slate

MODULES = ['vivid n_devs=3 node_types=0x1,0x1,0x1 multiplanar=2,1,1']
# Inputs: 0 webcam, 1 TV, 2 S-Video, 3 HDMI.
BEFORE = 'v4l2-ctl -d /dev/video1 -i 2 > /dev/null; v4l2-ctl -d /dev/video2 -i 3 > /dev/null'


def node(bus):
    return next(c['node'] for c in json.loads(guest('eyrie devices --json'))['cameras'] if c['bus'] == bus)


def set_control(bus, setting):
    said = guest(f'v4l2-ctl -d {node(bus)} -c {setting} 2>&1')
    expect(not said.strip(), f'v4l2-ctl -c {setting}: {said}')


def reason(camera):
    return of('cameras', camera)['reason'] or ''


def multi_planar_pictures_are_those_drawn():
    said = guest(f'v4l2-ctl -d {node("platform:vivid-000")} -D 2> /dev/null')
    expect('Video Capture Multiplanar' in said, f'the node is not multi-planar: {said}')
    with Player('planes') as player:
        player.after(10, live)


def torn(picture, width, height):
    """None where no row of an inner edge stands out from both of its neighbours, else how many do."""
    luma = picture[:width * height]
    combs = 0
    for y in range(64, height - 64, 2):
        above, row, below = (luma[(y + d) * width:(y + d + 1) * width] for d in (-1, 0, 1))
        combs += sum(1 for x in range(16, width - 16, 4)
                     if abs(above[x] - below[x]) < 12 and abs(row[x] - above[x]) > 30 and abs(row[x] - below[x]) > 30)
    return None if combs < 200 else f'{combs} places where every second row is of another time'


def an_interlaced_picture_is_whole_and_not_torn():
    """vivid moves its bars, so that the two fields of a picture differ at each edge."""
    with Player('svideo', wrong=lambda picture: torn(picture, 720, 576), size=(720, 576)) as player:
        player.after(5, live)
        expect((of('streams', 'svideo')['width'], of('streams', 'svideo')['height']) == (720, 576), 'not 720x576')
    said = f'{node("platform:vivid-001")}): interlaced; of each picture the upper field is shown'
    expect(said in log(), 'the log does not say that it is interlaced')


def not_falling(picture):
    """None where each bar is darker than the one before, in whatever matrix: an HDMI input's is that of its signal."""
    wrong = [name for name, row in zip(('upper', 'middle', 'lower'), bars(picture))
             if any(left[0] < right[0] + 5 for left, right in zip(row, row[1:]))]
    return f'no falling bars in the {" and ".join(wrong)} part' if wrong else None


def not_columns(picture):
    """None where the bars fill the picture from top to bottom; vivid keeps its crop, so that not all of them need be in it."""
    upper, middle, lower = bars(picture)
    alike = all(abs(a[0] - b[0]) < 12 for row in (upper, lower) for a, b in zip(row, middle))
    return None if alike and max(middle)[0] > 150 else f'no columns: {upper}, {middle}, {lower}'


HDMI, SVIDEO = ('hdmi', not_falling, (WIDTH, HEIGHT)), ('svideo', lambda picture: None, (720, 576))


def without_a_signal(player, bus, mode):
    """The control's entry 1 is `No Signal`, 0 the current standard or timings."""
    stream = player[0]
    with Player(*player) as player:
        player.after(3, live)
        until('state live', lambda: of('streams', stream)['state'] == 'live')
        set_control(bus, f'{mode}=1')
        until('the reason', lambda: 'has no signal' in reason(stream))
        player.after(3)
        set_control(bus, f'{mode}=0')
        until('state live again', lambda: of('streams', stream)['state'] == 'live')
        player.after(3, live)


def another_size_when_the_signal_is_back():
    bus = 'platform:vivid-002'
    before = guest(f'v4l2-ctl -d {node(bus)} --get-dv-timings')
    with Player('hdmi', not_columns) as player:
        player.after(3, live)
        set_control(bus, 'dv_timings_signal_mode=1')
        player.after(3, slate)
        # Entry 4: what `dv_timings` selects; 13 is 1920x1080 in fields that come by turns.
        set_control(bus, 'dv_timings=13')
        set_control(bus, 'dv_timings_signal_mode=4')
        player.after(5, live)
        after = guest(f'v4l2-ctl -d {node(bus)} --get-dv-timings')
    expect('Active width: 1280' in before and 'Active width: 1920' in after, f'the timings are {after}, were {before}')
    expect(f'{node(bus)}): interlaced; of each picture the upper field is shown' in log(), 'fields are not taken one by one')
    set_control(bus, 'dv_timings_signal_mode=0')


def who_holds_a_busy_camera_is_named():
    guest(f'v4l2-ctl -d {node("platform:vivid-000")} --stream-mmap --stream-count=100000 > /tmp/held 2>&1 & echo $! > /tmp/holder')
    # It prints a `<` for each picture.
    until('the other program', lambda: '<' in guest('head -c 99 /tmp/held'))
    with Player('planes') as player:
        until('the reason', lambda: 'in use by v4l2-ctl (pid ' in reason('planes'))
        player.after(3, slate)
        guest('kill $(cat /tmp/holder)')
        player.after(5, live)


def numbers_and_stamps_that_wrap_lose_nothing():
    """vivid's numbers wrap after 128 pictures, its stamps after 16 s."""
    bus = 'platform:vivid-000'
    set_control(bus, 'wrap_sequence_number=1')
    set_control(bus, 'wrap_timestamp=1')
    with Player('planes') as player:
        player.after(10, live)
        before = of('cameras', 'planes')['drops']
        # Whole seconds at 15 pictures a second: past both.
        player.after(270)
        expect(player.wrong is None, f'at the end: {player.wrong}')
        drops = of('cameras', 'planes')['drops'] - before
        expect(drops < 135, f'{drops} of 270 pictures count as lost')
    set_control(bus, 'wrap_sequence_number=0')
    set_control(bus, 'wrap_timestamp=0')


def flagged_buffers_are_never_shown_and_counted():
    with Player('planes') as player:
        player.after(5, live)
        before = of('cameras', 'planes')['drops']
        for _ in range(3):
            set_control('platform:vivid-000', 'inject_v4l2_buf_flag_error=1')
        until('three that are counted', lambda: of('cameras', 'planes')['drops'] >= before + 3)
        player.after(5, live)


def control(*words):
    quoted = ' '.join(f"'{word}'" for word in words)
    said = guest(f'eyrie control {quoted} --socket /tmp/eyrie.sock 2>&1; echo "exit $?"')
    text, _, status = said.strip().rpartition('exit ')
    return text.strip(), int(status)


def controls_at_run_time_outlive_a_replug():
    driver, shown = '/sys/bus/platform/drivers/vivid', lambda: guest(f'v4l2-ctl -d {node("platform:vivid-000")} -C brightness')
    text, status = control('planes')
    expect(status == 0 and 'brightness ' in text and 'osd_text_mode ' in text, f'the list: {text}')
    expect(control('planes', 'osd_text_mode') == ('2 None', 0), f'osd_text_mode: {control("planes", "osd_text_mode")}')
    with Player('planes') as player:
        player.after(3, live)
        expect(control('planes', 'Brightness', '120') == ('120', 0), 'brightness was not set to 120')
        expect(shown().strip().endswith('120'), f'v4l2-ctl says {shown()}')
        guest(f'echo vivid.0 > {driver}/unbind')
        player.after(3, slate)
        guest(f'echo vivid.0 > {driver}/bind')
        until('the control to be set again', lambda: shown().strip().endswith('120'))
        player.after(5, live)
    for words, said in [(('plane',), 'did you mean `planes`'), (('planes', 'brightnes'), 'did you mean `brightness`'),
                        (('planes', 'brightness', '1000'), 'the nearest is 255'),
                        (('planes', 'osd_text_mode', 'Nothing'), 'it has no entry `Nothing`')]:
        text, status = control(*words)
        expect(status == 1 and said in text, f'eyrie control {words}: {text}, status {status}')


CHECKS = [
    ('multi-planar: pictures as vivid drew them', multi_planar_pictures_are_those_drawn),
    ('interlaced: whole, and never torn', an_interlaced_picture_is_whole_and_not_torn),
    ('S-Video: no signal is said, and found again', lambda: without_a_signal(SVIDEO, 'platform:vivid-001', 'standard_signal_mode')),
    ('HDMI: no signal is said, and found again', lambda: without_a_signal(HDMI, 'platform:vivid-002', 'dv_timings_signal_mode')),
    ('HDMI: another size, and interlaced, when the signal is back', another_size_when_the_signal_is_back),
    ('busy: who holds it is named', who_holds_a_busy_camera_is_named),
    ('numbers and stamps that wrap lose nothing', numbers_and_stamps_that_wrap_lose_nothing),
    ('flagged buffers are never shown, and counted', flagged_buffers_are_never_shown_and_counted),
    ('controls at run time, set again after a replug', controls_at_run_time_outlive_a_replug),
]
