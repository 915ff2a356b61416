"""What a viewer hears: G.711 packets, loud or silent."""
from .guest import PATIENCE, Failure, until


def linear(code):
    """The sample that a µ-law code stands for (ITU-T G.711)."""
    code = ~code & 0xff
    size = (((code & 15) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return -size if code & 0x80 else size


LOUDNESS = [abs(linear(code)) for code in range(256)]
LOUD = 1000                                                               # mean of the absolute samples of a packet


class Sound:
    """A viewer's sound from now on."""

    def __init__(self, viewer):
        self.track, self.packets, self.begin = viewer.audio, viewer.sound, len(viewer.sound)

    def wait(self, count, loud, since=None, patience=PATIENCE):
        """Waits for `count` packets in a row that are loud, or not; the first's number."""
        begin = self.begin if since is None else since

        def found():
            run = 0
            for number in range(begin, len(self.packets)):
                run = run + 1 if self.is_loud(number) == loud else 0
                if run == count:
                    return (number - count + 1,)
        return until(f'{count} packets of {"sound" if loud else "silence"}', found, patience)[0]

    def is_loud(self, number):
        payload = self.packets[number][1]
        return sum(LOUDNESS[code] for code in payload) > LOUD * len(payload)

    def wall(self, number):
        """Unix time by the guest's clock at which a packet's sound was taken."""
        return self.track.wall(self.packets[number][0])
