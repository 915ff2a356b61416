"""USB webcams that really go: the fault table's rows of uvcvideo, for pictures that are encoded and for those passed on."""
import contextlib, json

from lib.guest import expect, guest, until
from lib.table import SLATE, Row, Table
from lib.usb import UsbCamera

MODULES = UsbCamera.MODULES
FILES = UsbCamera.FILES
TIMEOUT = 400

encoded = UsbCamera('SN0001', 'mjpeg=640x480,320x240 yuyv=640x480,320x240')
own_h264 = UsbCamera('SN0002', 'h264=640x480 yuyv=320x240')
own_jpeg = UsbCamera('SN0003', 'mjpeg=320x240')


def back(camera, socket, offer=''):
    """Plugs it into that socket, as a camera that offers something else than before."""
    def plug():
        if offer:
            camera.tell(f'offer {offer}')
        camera.plug(socket)
    return plug


def told(camera, command):
    return lambda: camera.tell(command)


def unplugged_and_its_number_taken():
    encoded.unplug()
    # Its number is free once nobody has it open.
    until('the old node to be closed', lambda: '/dev/video' not in guest('ls -l /proc/$(cat /tmp/pid)/fd'))
    guest('modprobe vivid node_types=0x1')


TABLE = Table([
    Row('absent at the start, then plugged in', 'uvcvideo', '', SLATE, 'no device', mends=back(encoded, 0), joins=True),
    Row('it stalls', 'uvcvideo', told(encoded, 'stall'), SLATE, 'delivered nothing for 2.0 s', mends=told(encoded, 'resume')),
    Row('unplugged, and back', 'uvcvideo', encoded.unplug, SLATE, 'no device', mends=back(encoded, 0)),
    Row('unplugged, and back in another port', 'uvcvideo', encoded.unplug, SLATE, 'no device', mends=back(encoded, 3)),
    Row('unplugged, and back with YUYV alone', 'uvcvideo', encoded.unplug, SLATE, 'no device', then='320x240 yuyv',
        mends=back(encoded, 0, 'yuyv=320x240')),
    Row('unplugged, and back in another size alone', 'uvcvideo', encoded.unplug, SLATE, 'no device', then='640x480 mjpeg',
        mends=back(encoded, 0, 'mjpeg=640x480')),
    Row('unplugged, and back under another node number', 'uvcvideo', unplugged_and_its_number_taken, SLATE, 'no device',
        then='/dev/video[1-9]', mends=back(encoded, 0, 'mjpeg=320x240')),
    Row('H.264 passed on: absent, then plugged in', 'uvcvideo', '', SLATE, 'no device', mends=back(own_h264, 1), joins=True,
        stream='own-h264', device='own-h264'),
    Row('H.264 passed on: it stalls', 'uvcvideo', told(own_h264, 'stall'), SLATE, 'delivered nothing for 2.0 s',
        mends=told(own_h264, 'resume'), stream='own-h264', device='own-h264'),
    Row('H.264 passed on: unplugged, and back', 'uvcvideo', own_h264.unplug, SLATE, 'no device', mends=back(own_h264, 1),
        stream='own-h264', device='own-h264'),
    Row('JPEG passed on: absent, then plugged in', 'uvcvideo', '', SLATE, 'no device', mends=back(own_jpeg, 2), joins=True,
        stream='own-jpeg', device='own-jpeg'),
    Row('JPEG passed on: it stalls', 'uvcvideo', told(own_jpeg, 'stall'), SLATE, 'delivered nothing for 2.0 s',
        mends=told(own_jpeg, 'resume'), stream='own-jpeg', device='own-jpeg'),
    Row('JPEG passed on: unplugged, and back', 'uvcvideo', own_jpeg.unplug, SLATE, 'no device', mends=back(own_jpeg, 2),
        stream='own-jpeg', device='own-jpeg'),
], device='webcam')


@contextlib.contextmanager
def around():
    with encoded, own_h264, own_jpeg, TABLE.shown():
        yield


def it_is_listed():
    listed = json.loads(guest('eyrie devices --json'))['cameras']
    found = [entry for entry in listed if entry['serial'] == 'SN0001' and entry['usable']]
    expect(len(found) == 1, f'one camera of that serial number: {listed}')
    offered = {(entry['format'], entry['width'], entry['height'], entry['fps']) for entry in found[0]['formats']}
    expect({('mjpeg', 320, 240, rate) for rate in (15, 10, 5)} <= offered, f'it offers {offered}')
    metadata = [entry for entry in listed if entry['serial'] == 'SN0001' and not entry['usable']]
    expect(len(metadata) == 1 and metadata[0]['reason'], f'its second node is none, with a reason: {listed}')


CHECKS = [*TABLE.checks(), ('the webcam is listed by its serial number, its second node is none', it_is_listed)]
