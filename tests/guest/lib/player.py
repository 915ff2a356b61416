"""ffmpeg as a viewer outside the guest, and what pictures are: vivid's bars, or not."""
import subprocess, threading, time

from .guest import PATIENCE, RTSP, expect

WIDTH, HEIGHT = 320, 180
# The bars that vivid draws: white yellow cyan green magenta red blue black at 75 %, as Y, Cb, Cr (ITU-R BT.601).
BARS = [(180, 128, 128), (162, 44, 142), (131, 156, 44), (112, 72, 58),
        (84, 184, 198), (65, 100, 212), (35, 212, 114), (16, 128, 128)]
TOLERANCE = 10


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


def wrong_bars(picture, drawn_bars=BARS):
    """None where the picture is vivid's, else where it is not."""
    for name, row in zip(('upper', 'middle', 'lower'), bars(picture)):
        for number, (seen, drawn) in enumerate(zip(row, drawn_bars)):
            if max(abs(a - b) for a, b in zip(seen, drawn)) > TOLERANCE:
                return f'bar {number} in the {name} part is Y, Cb, Cr {seen}, vivid drew {drawn}'
    return None


class Player:
    """ffmpeg on one stream's pictures, scaled to one size; reads them as they come. `wrong` says of the latest why it is not live, or
    None; `login` is USER:PASSWORD."""

    def __init__(self, stream, wrong=wrong_bars, size=(WIDTH, HEIGHT), port=RTSP, login='', secure=False):
        at = f'{login}@127.0.0.1' if login else '127.0.0.1'
        self.process = subprocess.Popen(
            ['ffmpeg', '-nostdin', '-v', 'error', '-rtsp_transport', 'tcp', '-allowed_media_types', 'video',
             '-i', f'rtsp{"s" if secure else ""}://{at}:{port}/{stream}', '-an', '-fps_mode', 'passthrough', '-s', f'{size[0]}x{size[1]}',
             '-f', 'rawvideo', '-pix_fmt', 'yuv420p', '-'], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.pictures, self.latest, self.wrong, self.judge = 0, None, None, wrong
        self.length = size[0] * size[1] * 3 // 2
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        while len(picture := self.process.stdout.read(self.length)) == self.length:
            self.latest, self.wrong = picture, self.judge(picture)
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


def live(player):
    return player.wrong is None


def slate(player):
    return player.wrong is not None
