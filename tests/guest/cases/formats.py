"""The further raw formats that a camera may give, against the bars that vivid draws: in one piece of memory, and with
planes in pieces of their own (multi-planar).
"""
from lib.guest import expect, log
from lib.player import BARS, Player, live, wrong_bars

ONE_PIECE = ['nv21', 'nv16', '422p', 'yvyu', 'vyuy', 'rgb24', 'bgr24', 'bgrx32', 'rgb565', 'grey']
PIECES = ['nv12', 'nv21', 'nv16', 'yu12', '422p']
NAMES = ONE_PIECE + [f'{name}-pieces' for name in PIECES]

ones = ','.join('1' for _ in NAMES)
MODULES = [f'vivid n_devs={len(NAMES)} node_types={ones} multiplanar={",".join("2" if "-" in name else "1" for name in NAMES)}']
CONFIG = '''[server]
anonymous      = true
state_dir      = "/tmp/state"
control_socket = "/tmp/eyrie.sock"
''' + ''.join(f'''
[camera.{name}]
device   = "platform:vivid-{number:03}"
format   = "{name.split("-")[0]}"
size     = "320x180"
fps      = 10
controls = {{ osd_text_mode = 2 }}

[stream.{name}]
video     = {{ from = "{name}", bitrate = "300k" }}
on_demand = true
''' for number, name in enumerate(NAMES))


# The luma of red, green and blue by ITU-R BT.709, with which vivid draws grey, over the full range of 0 to 255; Eyrie
# brings it to that of video.
RED, GREEN, BLUE = 0.2126, 0.7152, 0.0722
GREYS = [(round(16 + 219 * 0.75 * luma), 128, 128)
         for luma in (1, RED + GREEN, GREEN + BLUE, GREEN, RED + BLUE, RED, BLUE, 0)]


def are_those_drawn(number, name):
    drawn = GREYS if name == 'grey' else BARS
    with Player(name, lambda picture: wrong_bars(picture, drawn)) as player:
        player.after(5, live)
    wanted = f'platform:vivid-{number:03}, /dev/video{number}): 320x180 {name.split("-")[0]} at 10 fps'
    expect(wanted in log(), f'the log does not say `{wanted}`')


CHECKS = [(f'{name}: pictures as vivid drew them', lambda number=number, name=name: are_those_drawn(number, name))
          for number, name in enumerate(NAMES)]
