"""Pictures out of RTP payloads, as ffmpeg's raw demuxers read them."""
import struct


class H264:
    """RFC 6184: single NAL units, STAP-A, FU-A. What comes out is an access unit in Annex B form."""
    demuxer = 'h264'
    # The delimiter of the next access unit ends this one for ffmpeg's parser, which else waits for the next.
    END = b'\0\0\0\1\x09\xf0'

    def __init__(self):
        self.unit = bytearray()

    def take(self, payload, last):
        """The picture, once its last packet came."""
        kind = payload[0] & 31
        if kind == 28:                                                    # FU-A
            if payload[1] & 0x80:
                self.unit += b'\0\0\0\1' + bytes([payload[0] & 0xe0 | payload[1] & 31])
            self.unit += payload[2:]
        elif kind == 24:                                                  # STAP-A
            position = 1
            while position < len(payload):
                length = struct.unpack_from('>H', payload, position)[0]
                self.unit += b'\0\0\0\1' + payload[position + 2:position + 2 + length]
                position += 2 + length
        else:
            self.unit += b'\0\0\0\1' + payload
        if not last:
            return None
        unit, self.unit = bytes(self.unit) + self.END, bytearray()
        return unit


class Jpeg:
    """RFC 2435, with quantization tables in band. The Huffman tables are those that decoders know when none are given."""
    demuxer = 'mjpeg'

    def __init__(self):
        self.scan, self.head = bytearray(), b''

    def take(self, payload, last):
        kind, quality, width, height = payload[4:8]
        offset, position, interval = int.from_bytes(payload[1:4], 'big'), 8, 0
        if kind >= 64:
            interval = struct.unpack_from('>H', payload, position)[0]
            position += 4
        if offset == 0:
            if quality < 128:
                raise ValueError(f'quantization tables of quality {quality}, not in band')
            length = struct.unpack_from('>H', payload, position + 2)[0]
            tables = payload[position + 4:position + 4 + length]
            position += 4 + length
            self.head = head(kind & 63, width * 8, height * 8, tables, interval)
            self.scan.clear()
        self.scan += payload[position:]
        return self.head + bytes(self.scan) + b'\xff\xd9' if last else None


def segment(marker, body):
    return bytes([0xff, marker]) + struct.pack('>H', len(body) + 2) + body


def head(kind, width, height, tables, interval):
    """Of a JPEG file (ITU-T T.81, annex B): type 0 is 4:2:2, type 1 is 4:2:0."""
    quantization = [tables[at:at + 64] for at in range(0, len(tables), 64)]
    sampling, last = 0x21 if kind == 0 else 0x22, len(quantization) - 1
    components = bytes([1, sampling, 0, 2, 0x11, last, 3, 0x11, last])
    return (b'\xff\xd8' + b''.join(segment(0xdb, bytes([n]) + table) for n, table in enumerate(quantization)) +
            (segment(0xdd, struct.pack('>H', interval)) if interval else b'') +
            segment(0xc0, struct.pack('>BHHB', 8, height, width, 3) + components) +
            segment(0xda, bytes([3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0])))
