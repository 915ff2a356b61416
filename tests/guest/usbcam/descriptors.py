"""What a USB webcam says of itself: USB 2.0, chapter 9, and the USB Device Class Definition for Video Devices 1.1, section 3."""
import struct

INTERVALS = [666666, 1000000, 2000000]                                    # of frames, in 100 ns: 15, 10 and 5 a second
CLOCK_HZ = 48000000
ENDPOINT = 0x81                                                           # bulk, inward
PAYLOAD = 16384                                                           # bytes of a transfer at most
CS_INTERFACE = 0x24
CAMERA, PROCESSING, OUTPUT = 1, 2, 3                                      # units of the video function


def le16(value):
    return struct.pack('<H', value)


def le32(value):
    return struct.pack('<I', value)


def descriptor(kind, *fields):
    body = b''.join(field if isinstance(field, bytes) else bytes([field]) for field in fields)
    return bytes([2 + len(body), kind]) + body


def frames(subtype, sizes, framebased):
    out = b''
    for index, (width, height) in enumerate(sizes, 1):
        raw = width * height * 2
        head = bytes([index, 0]) + le16(width) + le16(height) + le32(raw * 8) + le32(raw * 8 * 30)
        rates = le32(INTERVALS[0]) + bytes([len(INTERVALS)])
        middle = rates + le32(0) if framebased else le32(raw) + rates
        out += descriptor(CS_INTERFACE, subtype, head, middle, *map(le32, INTERVALS))
    return out


def guid(fourcc):
    return fourcc + bytes.fromhex('00001000800000aa00389b71')


def format_descriptors(name, index, sizes):
    """The format's own descriptor, and those of its frame sizes."""
    count = len(sizes)
    if name == 'mjpeg':
        return descriptor(CS_INTERFACE, 6, index, count, 1, 1, 0, 0, 0, 0) + frames(7, sizes, False)
    if name == 'yuyv':
        return descriptor(CS_INTERFACE, 4, index, count, guid(b'YUY2'), 16, 1, 0, 0, 0, 0) + frames(5, sizes, False)
    return descriptor(CS_INTERFACE, 0x10, index, count, guid(b'H264'), 16, 1, 0, 0, 0, 0, 1) + frames(0x11, sizes, True)


class Descriptors:
    """Of a camera with those formats, `{name: sizes}` of mjpeg, yuyv and h264, in this order."""

    def __init__(self, formats, serial):
        told = b''.join(format_descriptors(name, index, sizes) for index, (name, sizes) in enumerate(formats.items(), 1))
        controls = bytes(len(formats))                                    # none of single formats
        header = descriptor(CS_INTERFACE, 1, len(formats), le16(13 + len(controls) + len(told)), ENDPOINT, 0, OUTPUT, 0, 0, 0, 1, controls)
        units = (descriptor(CS_INTERFACE, 2, CAMERA, le16(0x0201), 0, le16(0), le16(0), le16(0), 3, 0, 0, 0) +
                 descriptor(CS_INTERFACE, 5, PROCESSING, CAMERA, le16(0), 2, 1, 0, 0, 0) +                # brightness
                 descriptor(CS_INTERFACE, 3, OUTPUT, le16(0x0101), 0, PROCESSING, 0))
        function = descriptor(CS_INTERFACE, 1, le16(0x0110), le16(13 + len(units)), le32(CLOCK_HZ), 1, 1)
        interfaces = (descriptor(11, 0, 2, 0x0e, 3, 0, 0) +                                               # association: video
                      descriptor(4, 0, 0, 0, 0x0e, 1, 0, 2) + function + units +                          # 0: control
                      descriptor(4, 1, 0, 1, 0x0e, 2, 0, 0) + header + told +                             # 1: streaming
                      descriptor(5, ENDPOINT, 2, le16(512), 0))
        self.by_type = {
            1: descriptor(1, le16(0x0200), 0xef, 2, 1, 64, le16(0x1d6b), le16(0x0102), le16(0x0100), 1, 2, 3, 1),
            2: descriptor(2, le16(9 + len(interfaces)), 2, 1, 0, 0x80, 250) + interfaces,
            6: descriptor(6, le16(0x0200), 0xef, 2, 1, 64, 1, 0),                                         # at the other speed
        }
        self.strings = {1: 'Eyrie', 2: 'Test Webcam', 3: serial}

    def get(self, kind, number):
        """None: there is no such descriptor."""
        if kind != 3:
            return self.by_type.get(kind)
        if number == 0:
            return descriptor(3, le16(0x0409))                            # the language: English
        return descriptor(3, self.strings[number].encode('utf-16le')) if number in self.strings else None
