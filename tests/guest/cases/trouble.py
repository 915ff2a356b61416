"""What befalls a board that nobody looks after: a full disk, a clock that is set, a network that goes and comes, an address that
changes. Under each of them viewers stay and see their timestamps rise; afterwards a new one plays soon, and the config is whole.
"""
import contextlib, json, socket, time

from lib.guest import PATIENCE, RTSP, SHELL, Failure, expect, guest, port, status, until
from lib.player import Player, live
from lib.table import EARLY, LATE, OFFSET, clock
from lib.viewer import Viewer

MODULES = ['vivid node_types=0x1', 'snd-aloop', 'loop', 'crc32c_generic', 'ext4']
LEASED = '10.0.2.16'                                                      # what QEMU's DHCP server gives to another card
PORTS = ['8555', '9554', '9322', f'{LEASED}:8554', f'{LEASED}:2222']
CONFIG_FILE, LOGIN = '/disk/eyrie.toml', 'nvr:secret'
RUN = f'eyrie run --config {CONFIG_FILE}'
TIMEOUT = 360
LIMIT = 10.0                                                              # s until a new client plays, beyond what it takes in peace
LONGEST_GAP = 30.0                                                        # s between timestamps; the clock is set by hours
OUTAGE = 4                                                                # s without a network

# All is kept on one disk, the log too; the address is leased. A second server has a user and a certificate of its own making.
BEFORE = f'''
truncate -s 3M /disk.img
mke2fs -F -b 4096 -i 32768 /disk.img > /dev/null
mkdir /disk
mount -t ext4 -o loop /disk.img /disk
cp /etc/eyrie.toml {CONFIG_FILE}
ln -s /disk/log /tmp/log
cat > /lease.sh << 'END'
#!/bin/sh
case $1 in
deconfig) ip addr flush dev eth0 ;;
bound | renew) ip addr add $ip/24 dev eth0; ip route add default via $router ;;
esac
END
chmod +x /lease.sh
udhcpc -q -n -i eth0 -s /lease.sh
second() {{ # second NAME PORT TLS-PORT
  cat << END
[server]
listen         = ["[::]:$2"]
listen_tls     = ["[::]:$3"]
udp_ports      = "0"
state_dir      = "/disk/$1"
audit_file     = "/disk/$1.jsonl"
control_socket = "/tmp/$1.sock"
[camera.test]
device = "test"
size   = "160x120"
fps    = 15
[stream.main]
video = {{ from = "test", bitrate = "200k" }}
END
}}
second second 9554 9322 > /etc/second.toml
second third 0 0 > /etc/third.toml
'''
SECOND = 'eyrie run --config /etc/second.toml'
END_SECOND = 'kill $(cat /tmp/second.pid); while [ -e /tmp/second.sock ]; do sleep 0.1; done'


@contextlib.contextmanager
def who_stays(transports=('tcp', 'udp'), longest_gap=LONGEST_GAP):
    """Viewers who are there before and after, and find nothing wrong; timestamps may be so many seconds apart."""
    with contextlib.ExitStack() as stack:
        viewers = [stack.enter_context(Viewer('main', transport, login=LOGIN)) for transport in transports]
        tracks = [track for viewer in viewers for track in viewer.tracks]
        until('a sender report of each track', lambda: all(track.reports for track in tracks))
        yield viewers
        units = [track.units for track in tracks]
        more = lambda: all(track.units > before + 15 for track, before in zip(tracks, units))
        with contextlib.suppress(Failure):
            until('', lambda: more() or any(viewer.complaint() for viewer in viewers))
        for viewer in viewers:
            expect(not viewer.complaint(), f'{viewer.transport}: {viewer.complaint()}')
            for track in viewer.tracks:
                gap = max(track.gaps, default=0.0)
                expect(gap <= longest_gap, f'{viewer.transport}: timestamps of {track.kind} are {gap:.1f} s apart')
        expect(more(), f'pictures and sound do not go on: {[track.units for track in tracks]} after {units}')


PEACE = []


def plays(what, kind=live, **how):
    """A new client sees pictures soon."""
    since = time.monotonic()
    with Player('main', **{'login': LOGIN} | how) as player:
        player.after(3, kind)
    took = time.monotonic() - since
    print(f'     {what} plays after {took:.1f} s', flush=True)
    PEACE.append(took)
    expect(took <= PEACE[0] + LIMIT, f'{what} plays only after {took:.1f} s')


def second_plays(**how):
    """A client of the second server, which draws other pictures, as soon as that one listens."""
    def listens():
        with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', port('9554')), timeout=2) as s:
            s.sendall(b'OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n')
            return s.recv(1)
    until('the second server', listens)
    plays('a client of the second server', lambda player: True, **{'port': port('9554')} | how)


def asked(command):
    """What a command in the guest says, on both outputs, and its status."""
    said, _, code = guest(f'({command}) 2>&1; echo ";$?"').strip().rpartition(';')
    return said, int(code)


# --- a full disk ---

# To the last byte: where a large file can grow no more, small ones have their place. Nor is there another file then, however
# small; the folder has got its own room before.
NAMES = 'n=0; while touch /disk/fillers/$n; do n=$((n + 1)); done 2> /dev/null'
FILL = (f'mkdir /disk/fillers; {NAMES}; rm /disk/fillers/*; (cat /dev/zero > /disk/filler; n=0; for size in 48k 4k; do '
        'while dd if=/dev/zero of=/disk/fillers/$n bs=$size count=1; do n=$((n + 1)); done; done) 2> /dev/null')
EMPTY = 'rm -r /disk/filler /disk/fillers'
SET = f'eyrie set stream.main.video.bitrate 300k --config {CONFIG_FILE}'
CHANGES = [SET, f'eyrie stream add other --camera first --config {CONFIG_FILE}',
           f'echo s3cret | eyrie user add other --stdin --config {CONFIG_FILE}']
FULL = 'the disk is full; make room'


def a_full_disk():
    with who_stays():
        kept = guest(f'cat {CONFIG_FILE}')
        guest('mkdir -m 700 /disk/second; echo kept > /disk/second/viewer.password; touch /disk/out /disk/second.log')
        guest(FILL)
        expect('Free: 0 ' in (left := guest('stat -f /disk')), f'the disk is not full: {left}')
        for change in CHANGES:
            said, code = asked(change)
            expect(code == 1 and FULL in said, f'{change} ends with {code} and says {said}')
        expect(guest(f'cat {CONFIG_FILE}') == kept, 'the config is another')
        expect('.new' not in (there := guest('ls /disk')), f'what could not be written is left: {there.split()}')
        guest(NAMES)
        found = json.loads(asked(f'eyrie doctor --json --config {CONFIG_FILE}')[0])['findings']
        problems = [finding['problem'] for finding in found if finding['about'] == 'disk of /disk']
        expect('0 MB are free' in str(problems) and 'no further file has its place' in problems, f'the doctor finds {found}')
        # More than its audit file and its log have room for.
        for _ in range(50):
            socket.create_connection(('127.0.0.1', RTSP)).close()
        plays('a new client')
        # What the second server would keep and say is lost; but it serves.
        guest(f'{SECOND} > /disk/out 2> /disk/second.log < /dev/null & echo $! > /tmp/second.pid')
        second_plays(login='viewer:kept')
        plays('one over TLS', lambda player: True, login='viewer:kept', port=port('9322'), secure=True)
        # Where nobody could log in, that is said.
        said, code = asked('eyrie run --config /etc/third.toml')
        expect(code == 1 and f'/disk/third/viewer.password: {FULL}' in said, f'without a password it ends with {code} and says {said}')
        guest(EMPTY)
        said, code = asked(SET)
        expect(code == 0, f'with room, {SET} ends with {code} and says {said}')
        expect(guest(f'cat {CONFIG_FILE}') == kept.replace('400k', '300k'), 'the config is another')
        lines = until('the audit file to go on', lambda: (lines := guest('cat /disk/audit.jsonl').splitlines())[-1].count('"reload"') and lines)
        for line in lines:
            expect(line.count('"time"') == 1 and line.endswith('}'), f'the audit file says {line}')
        said, code = asked('eyrie reload --socket /tmp/second.sock; ls /disk/second; cat /disk/second.jsonl')
        expect('tls-cert.pem' in said and 'tls-key.pem' in said and '"reload"' in said, f'the second server does not keep all: {said}')
        guest(END_SECOND)


# --- a clock that is set ---

HOUR = 3600
JUMPS = [('three hours back', -3 * HOUR), ('six hours on', 6 * HOUR), ('to 1970', None), ('from 1970 to now', None)]


def guess():
    """What somebody is told who does not know the password."""
    try:
        Viewer('main', login='guesser:guess').close()
    except Failure as refused:
        return str(refused)


def the_clock_is_set():
    with who_stays() as viewers:
        for _ in range(3):
            expect('401' in (told := guess()), f'a guesser is told {told}')
        tracks = [track for viewer in viewers for track in viewer.tracks]
        for what, by in JUMPS:
            then = {'to 1970': 2 * HOUR, 'from 1970 to now': time.time()}.get(what) or clock() + by
            guest(f'date -s @{int(then)} > /dev/null')
            now = clock()
            expect(abs(now - then) < 10, f'{what}: the clock shows {now:.0f}, not {then:.0f}')
            plays(f'{what}: a new client')
            until(f'{what}: reports of the new time', lambda: all(abs(track.reports[-1][0] - clock()) < 10 for track in tracks))
            for track in tracks:
                at, reported = track.reports[-1]
                arrival, stamp = track.arrived
                age = arrival - OFFSET[0] - at - (stamp - reported) / track.rate
                expect(-EARLY < age < LATE, f'{what}: by its report {track.kind} is {age:.2f} s old at arrival')
        # Each jump but once, and nothing in between.
        for track in tracks:
            offsets = [at - stamp / track.rate for at, stamp in track.reports]
            steps = [b - a for a, b in zip(offsets, offsets[1:]) if abs(b - a) > 0.1]
            expect(len(steps) == len(JUMPS) and min(map(abs, steps)) > HOUR, f'{track.kind}: reports jump by {steps}')
        expect('403' in (told := guess()), f'a guesser who was locked out is told {told}')
        expect(len(status()['streams'][0]['viewers']) == len(viewers), 'a viewer is missing in the status')


# --- a network that goes and comes ---

def in_background(commands):
    """Starts a little later what cuts off its own shell."""
    guest(f'(sleep 0.5; {commands}) > /dev/null 2>&1 < /dev/null &')


def answers(shell=SHELL):
    try:
        return guest('echo up', shell, 2).strip()
    except OSError:
        return ''


def the_network_goes_and_comes():
    with who_stays(longest_gap=OUTAGE + LIMIT) as viewers:
        # The second server starts while there is no address.
        in_background(f'ip addr flush dev eth0; ip link set eth0 down; {SECOND} & echo $! > /tmp/second.pid; sleep {OUTAGE}; ip link set eth0 up; '
                      'ip addr add 10.0.2.15/24 dev eth0')
        latest = lambda: max(track.arrived[0] for viewer in viewers for track in viewer.tracks)
        until('silence', lambda: time.time() - latest() > OUTAGE / 2)
        until('a packet after it', lambda: time.time() - latest() < 1)
        plays('a new client')
        second_plays(login=f'viewer:{guest("cat /disk/second/viewer.password").strip()}')
        guest(END_SECOND)
    print('     without pictures for', *(f'{max(viewer.video.gaps, default=0.0):.1f} s ({viewer.transport})' for viewer in viewers), flush=True)


# --- an address that changes ---

def lease(mac):
    return f'ip link set eth0 down; ip link set eth0 address {mac}; ip link set eth0 up; udhcpc -q -n -i eth0 -s /lease.sh'


def the_address_changes():
    urls = lambda shell: json.loads(guest(f'eyrie doctor --json --config {CONFIG_FILE}', shell))['urls']
    mac, there = guest('cat /sys/class/net/eth0/address').strip(), port(f'{LEASED}:2222')
    # Who watches over UDP sees pictures again once the address is back.
    with who_stays(['udp'], longest_gap=PATIENCE):
        # Back again when told, or after a while, for else nobody would reach the guest any more.
        in_background(f'{lease("52:54:00:12:34:99")}; n=0; while [ ! -e /tmp/back ] && [ $n -lt 100 ]; do n=$((n + 1)); sleep 0.2; done; {lease(mac)}')
        until(f'a shell at {LEASED}', lambda: answers(there))
        plays('a client at the new address', port=port(f'{LEASED}:8554'))
        expect(f'rtsp://nvr:PASSWORD@{LEASED}:8554/main' in (told := urls(there)), f'the doctor tells {told}')
        guest('touch /tmp/back', there)
        until('a shell at the old address', answers)
        plays('a client at the old one')
        plays('one of a listener that has no other', port=port('8555'))
        expect('rtsp://nvr:PASSWORD@10.0.2.15:8554/main' in (told := urls(SHELL)), f'the doctor tells {told}')


@contextlib.contextmanager
def around():
    plays('a client in peace')
    yield


CHECKS = [
    ('a full disk: changes are refused with the mend, the config is whole, and it serves, even who starts anew', a_full_disk),
    ('the clock is set by hours and years: timestamps rise, reports follow, and no door opens or shuts', the_clock_is_set),
    ('the network goes and comes: viewers go on, and who starts without one serves', the_network_goes_and_comes),
    ('DHCP gives another address: it serves there, and again at the old one', the_address_changes),
]
