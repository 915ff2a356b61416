"""The USB webcam outside the guest, and how it is plugged in."""
import os, subprocess, sys

from .guest import guest, until

CAMERA = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), 'usbcam', 'camera.py')


class UsbCamera:
    """tests/guest/usbcam/camera.py as a process. The guest needs the modules vhci_hcd and uvcvideo, and /usr/bin/vhciattach."""
    FILES = {'/usr/bin/vhciattach': '{guest}/tools/vhciattach'}
    MODULES = ['vhci_hcd', 'uvcvideo']

    def __init__(self, serial, offer):
        self.serial, self.offer, self.process, self.port = serial, offer, None, None

    def __enter__(self):
        command = [sys.executable, CAMERA, f'{os.environ["GUEST"]}/clips', '--serial', self.serial, '--offer', self.offer]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split()[1])
        # It tells what happens to it: not needed here, but it must not fill the pipe.
        subprocess.Popen(['sed', '-u', f's/^/usb camera {self.serial}: /'], stdin=self.process.stdout)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def tell(self, command):
        """See camera.py: offer, unplug, stall, resume, corrupt."""
        self.process.stdin.write(command + '\n')
        self.process.stdin.flush()

    def plug(self, socket=0):
        """Into that socket of the guest's bus; waits for its nodes."""
        before = self.nodes()
        guest(f'vhciattach 10.0.2.2 {self.port} {socket}')
        until('the USB camera to have its two nodes', lambda: len(self.nodes()) >= len(before) + 2)

    def unplug(self):
        before = self.nodes()
        self.tell('unplug')
        until('the USB camera to lose both its nodes', lambda: len(self.nodes()) <= len(before) - 2)

    @staticmethod
    def nodes():
        return guest('ls -d /sys/devices/platform/vhci_hcd.0/usb*/*/*/video4linux/video* 2> /dev/null').split()
