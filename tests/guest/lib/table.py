"""The fault table's rows, and how each is proven: from outside, by a viewer that looks at every packet and by ffmpeg, both of
which stay connected all the while."""
import contextlib, dataclasses, re, time, typing

from .guest import PATIENCE, Failure, expect, guest, of, until
from .player import Player, live, wrong_bars
from .sound import Sound
from .viewer import Viewer

GOAL, LIMIT = 2.0, 10.0                                                   # s until the picture is back, by the guest's clock
CLOCK_ERROR = 0.06                                                        # s by which sender reports may differ from another
LATE, EARLY = 4.0, 0.25                                                   # s between a picture's time and its arrival

SLATE = 'slate'                                                           # it stands until the fault is mended
FLASH = 'short slate'                                                     # the device mends itself, or is opened again at once
PICTURES = 'pictures'                                                     # fewer, maybe, and no slate
SILENCE = 'silence'                                                       # of the microphone, under pictures that go on


@dataclasses.dataclass
class Row:
    fault: str
    by: str                                                               # the driver that does it; or a shim, for the kernel's call
    breaks: str | typing.Callable                                         # a shell command in the guest, or a function outside
    sees: str
    says: str = ''                                                        # what the log says of it, as a regular expression
    mends: str | typing.Callable = ''
    then: str = ''                                                        # and once it is mended
    counts: str = ''                                                      # a count of the camera in the status that must rise
    holds: int = 5                                                        # so many pictures in a row prove that it is back
    joins: bool = False                                                   # whether the viewer comes while it is broken
    stream: str = 'main'
    device: str = ''                                                      # the camera or microphone by Eyrie's name for it


@dataclasses.dataclass
class Stays:
    """A stream's viewers, connected through all its rows."""
    viewer: Viewer
    player: Player

    def close(self):
        self.viewer.close()
        self.player.close()


class Table:
    def __init__(self, rows, device='first'):
        """`device` is that of the rows which name none."""
        self.rows, self.stays, self.results = rows, {}, []
        for row in rows:
            row.device = row.device or device

    def checks(self):
        return [(f'{row.fault} ({row.by}): {row.sees}', lambda row=row: self.prove(row)) for row in self.rows]

    def watch(self, stream):
        if stream not in self.stays:
            self.stays[stream] = Stays(Viewer(stream, judge=wrong_bars), Player(stream))
        return self.stays[stream]

    def prove(self, row):
        if row.joins:
            act(row.breaks)
            broken = clock()
        stay = self.watch(row.stream)
        viewer, pictures = stay.viewer, stay.viewer.pictures
        if not row.joins:
            pictures.wait(3, True, since=len(pictures.seen))
            until('a sender report', lambda: all(track.reports for track in viewer.tracks))
        since, lines, counted = len(pictures.seen), int(guest('wc -l < /tmp/log')), row.counts and count(row)
        if row.joins:
            since, lines = 0, 0
        sound = Sound(viewer) if row.sees == SILENCE else None
        if sound:
            sound.wait(10, loud=True)
        if not row.joins:
            broken = clock()
            act(row.breaks)
        if row.sees in (SLATE, FLASH):
            took = self.slate_and_back(row, pictures, since, broken)
        elif row.sees == SILENCE:
            took = self.silence_and_back(row, sound, broken)
        else:
            took = self.pictures_go_on(row, pictures, since)
        for wanted in filter(None, (row.says, row.then)):
            until(f'the log to say {wanted!r}', lambda: re.search(wanted, guest(f'tail -n +{lines + 1} /tmp/log')))
        if row.counts:
            until(f'{row.counts} to rise above {counted}', lambda: count(row) > counted)
        # Both still play, and nothing that they got contradicts itself.
        stay.player.after(3, live)
        self.whole(viewer)
        self.results.append((row, took))
        note = '' if took <= GOAL else f', goal {GOAL:.0f} s'
        print(f'     {row.fault}: {"back after" if row.sees != PICTURES else "longest gap"} {took:.2f} s{note}', flush=True)
        expect(took <= LIMIT, f'back only after {took:.1f} s')

    def slate_and_back(self, row, pictures, since, broken):
        first = pictures.wait(1 if row.sees == FLASH else 4, False, since)
        back = broken
        if row.sees == SLATE:
            self.status_says(row)
            drawn = len(set(pictures.sums[first:]))
            expect(drawn > 1, 'the slate does not move')
            back = clock()
            act(row.mends)
            # What was in flight at that instant is no proof.
            first = len(pictures.seen)
        live_again = pictures.wait(row.holds, True, first)
        if row.sees == FLASH:
            act(row.mends)
        return max(0.0, pictures.wall(live_again) - back)

    def status_says(self, row):
        told = [None]

        def said():
            told[0] = of('cameras', row.device)
            return told[0]['state'] == 'no-signal' and re.search(row.says, told[0]['reason'])
        try:
            until('', said)
        except Failure:
            raise Failure(f'the status says {told[0]}, not {row.says!r}') from None

    def silence_and_back(self, row, sound, broken):
        first = sound.wait(20, loud=False)
        back = clock()
        act(row.mends)
        return max(0.0, sound.wall(sound.wait(20, loud=True, since=first)) - back)

    def pictures_go_on(self, row, pictures, since):
        until('30 pictures', lambda: len(pictures.seen) >= since + 30)
        act(row.mends)
        wrong = [why for _, why in pictures.seen[since:] if why]
        expect(not wrong, f'{len(wrong)} pictures are not live: {wrong[:1]}')
        stamps = [stamp for stamp, _ in pictures.seen[since - 1:]]
        return max(b - a for a, b in zip(stamps, stamps[1:])) / pictures.track.rate

    def whole(self, viewer):
        """No timestamp went back, no packet is missing, and sender reports agree with each other and with the clock."""
        expect(not viewer.complaint(), viewer.complaint())
        for track in viewer.tracks:
            expect(track.clock_error() < CLOCK_ERROR, f'{track.kind}: sender reports differ by {track.clock_error() * 1000:.0f} ms')
            arrival, stamp = track.arrived
            age = arrival - OFFSET[0] - track.wall(stamp)
            expect(-EARLY < age < LATE, f'{track.kind}: by its sender reports it is {age:.2f} s old at arrival')

    @contextlib.contextmanager
    def shown(self):
        """Around a case: its result is the table."""
        try:
            yield
            self.report()
        finally:
            for stay in self.stays.values():
                stay.close()

    @contextlib.contextmanager
    def shown_under_a_tone(self):
        """The same while snd-aloop hears 440 Hz."""
        guest('(while :; do aplay -q -D plughw:CARD=Loopback,DEV=0 -B 200000 /440hz.wav; sleep 0.1; done) > /dev/null 2>&1 &')
        with self.shown():
            yield

    def report(self):
        """The table, for people."""
        print('\n     fault | by | the viewer sees | back after', flush=True)
        for row, took in self.results:
            print(f'     {row.fault} | {row.by} | {row.sees} | {f"{took:.1f} s" if row.sees != PICTURES else f"never away, gap {took:.1f} s"}', flush=True)


OFFSET = [0.0]                                                            # s by which the clock here is ahead of the guest's


def clock():
    """Unix time by the guest's clock; measures how far it is from the one here, by an answer that came quickly."""
    quickest = None
    for _ in range(5):
        before = time.time()
        there = float(guest("adjtimex | awk '/tv_sec/ { s = $2 } /tv_usec/ { print s + $2 / 1e6 }' OFMT=%.6f"))
        after = time.time()
        if quickest is None or after - before < quickest:
            quickest, OFFSET[0] = after - before, (before + after) / 2 - there
        if quickest < EARLY:
            break
    return there


def count(row):
    return of('cameras', row.device)[row.counts]


def act(what):
    if callable(what):
        what()
    elif what:
        answer = guest(what)
        expect(not answer.strip(), f'{what}: {answer.strip()}')
