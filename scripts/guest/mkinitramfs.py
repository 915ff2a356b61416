#!/usr/bin/env python3
"""mkinitramfs.py: writes an initramfs for a QEMU guest, without root and without mknod.

  mkinitramfs.py --out base.cpio --sysroot DIR --kernel DIR --modules vivid,snd-aloop --programs arecord --init FILE
  mkinitramfs.py --out extra.cpio --sysroot DIR --add target/release/eyrie:/usr/bin/eyrie --add my-test.sh:/test.sh

Modules bring the modules they need; ELF files bring their interpreter and shared libraries, found in the sysroot.
The kernel unpacks concatenated archives one after the other (cat base.cpio extra.cpio > initrd). Prints the size.
"""
import argparse, lzma, os, stat, subprocess, sys

FILE, LINK, CHAR = stat.S_IFREG, stat.S_IFLNK, stat.S_IFCHR


class Cpio:
    """A "newc" archive, written with its parents first."""

    def __init__(self):
        self.entries = {}                                   # path -> (mode, data, (major, minor))

    def add(self, path, mode, data=b'', device=(0, 0)):
        path = path.strip('/')
        parent = os.path.dirname(path)
        if parent and parent not in self.entries:
            self.add(parent, 0o40755)
        self.entries[path] = (mode, data, device)

    def link(self, path, target):
        self.add(path, LINK | 0o777, target.encode())

    def bytes(self):
        out = bytearray()
        for inode, path in enumerate(sorted(self.entries) + ['TRAILER!!!'], 1):
            mode, data, device = self.entries.get(path, (0, b'', (0, 0)))
            name = path.encode() + b'\0'
            fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name), 0)
            out += b'070701' + b''.join(b'%08X' % f for f in fields) + name
            out += bytes(-len(out) % 4) + data
            out += bytes(-len(out) % 4)
        return bytes(out) + bytes(-len(out) % 512)


class Sysroot:
    """An unpacked Debian tree; follows symbolic links inside it, absolute ones too."""

    def __init__(self, root):
        self.root = root
        self.library_dirs = ['usr/lib', 'usr/lib64']
        for d in sorted(os.listdir(f'{root}/usr/lib')) if os.path.isdir(f'{root}/usr/lib') else []:
            if d.endswith('-linux-gnu'):
                self.library_dirs += [f'usr/lib/{d}', f'usr/lib/{d}/pulseaudio']

    def find(self, path):
        path = path.strip('/')
        for _ in range(10):
            if path.split('/')[0] in ('bin', 'sbin', 'lib', 'lib64'):
                path = 'usr/' + path                        # merged /usr
            full = f'{self.root}/{path}'
            if not os.path.islink(full):
                return full if os.path.exists(full) else None
            target = os.readlink(full)
            path = target.strip('/') if target.startswith('/') else os.path.normpath(f'{os.path.dirname(path)}/{target}')

    def library(self, name):
        return next(filter(None, (self.find(f'{d}/{name}') for d in self.library_dirs)), None)

    def program(self, name):
        return self.find(f'usr/bin/{name}') or self.find(f'usr/sbin/{name}')


def elf_needs(path):
    """(shared libraries, interpreters) of an ELF file of any architecture."""
    out = subprocess.run(['readelf', '-dl', path], capture_output=True, text=True).stdout.splitlines()
    return ([l.split('[')[1].split(']')[0] for l in out if '(NEEDED)' in l],
            [l.split('interpreter: ')[1].rstrip(']') for l in out if 'interpreter: ' in l])


def put(cpio, sysroot, dest, source):
    if dest.strip('/') in cpio.entries and not stat.S_ISLNK(cpio.entries[dest.strip('/')][0]):
        return
    data = open(source, 'rb').read()
    elf = data.startswith(b'\x7fELF')
    cpio.add(dest, FILE | (0o755 if elf or data.startswith(b'#!') or os.access(source, os.X_OK) else 0o644), data)
    if not elf:
        return
    libraries, interpreters = elf_needs(source)
    for i in interpreters:
        found = sysroot.find(i) or sys.exit(f'{source}: no {i} in {sysroot.root}')
        put(cpio, sysroot, i, found)
    for name in libraries:
        found = sysroot.library(name) or sys.exit(f'{source} needs {name}: not in {sysroot.root}; scripts/guest/setup names the packages in it')
        put(cpio, sysroot, f'/lib/{name}', found)


def put_modules(cpio, kernel, names):
    version = os.listdir(f'{kernel}/lib/modules')[0]
    base, flat = f'{kernel}/lib/modules/{version}', f'/lib/modules/{version}'
    short = lambda p: os.path.basename(p).split('.ko')[0].replace('-', '_')
    needs = {k: v.split() for k, v in (line.split(':') for line in open(f'{base}/modules.dep'))}
    by_name, built_in = {short(k): k for k in needs}, {short(l.strip()) for l in open(f'{base}/modules.builtin')}
    order = []

    def visit(path):
        for p in reversed(needs[path]):
            visit(p)
        if path not in order:
            order.append(path)
    for n in names:
        if short(n) in by_name:
            visit(by_name[short(n)])
        elif short(n) not in built_in:
            sys.exit(f'{base} has no module {n}')
    ko = lambda p: os.path.basename(p).split('.ko')[0] + '.ko'
    for path in order:
        data = open(f'{base}/{path}', 'rb').read()
        cpio.add(f'{flat}/{ko(path)}', FILE | 0o644, lzma.decompress(data) if path.endswith('.xz') else data)
    dep = ''.join(f'{ko(p)}: {" ".join(map(ko, needs[p]))}\n' for p in order)
    cpio.add(f'{flat}/modules.dep', FILE | 0o644, dep.encode())


def put_base_tree(cpio, sysroot, init):
    for d in 'proc sys dev tmp run root mnt etc var/log usr/bin'.split():
        cpio.add(d, 0o40755)
    cpio.add('dev/console', CHAR | 0o600, device=(5, 1))
    cpio.add('dev/null', CHAR | 0o666, device=(1, 3))
    for path, target in (('bin', 'usr/bin'), ('sbin', 'usr/bin'), ('usr/sbin', 'bin'), ('lib64', 'lib'), ('usr/lib', '../lib')):
        cpio.link(path, target)
    busybox = sysroot.program('busybox')
    command = [busybox, '--list']
    if open(busybox, 'rb').read(20)[18:20] == b'\xb7\0' and os.uname().machine != 'aarch64':
        command.insert(0, 'qemu-aarch64-static')
    for applet in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split():
        cpio.link(f'usr/bin/{applet}', 'busybox')
    put(cpio, sysroot, '/usr/bin/busybox', busybox)
    cpio.add('etc/passwd', FILE | 0o644, b'root:x:0:0:root:/root:/bin/sh\neyrie:x:998:44::/tmp:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n')
    cpio.add('etc/group', FILE | 0o644, b'root:x:0:\naudio:x:29:eyrie\nvideo:x:44:\nnogroup:x:65534:\n')
    cpio.add('init', FILE | 0o755, open(init, 'rb').read())


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument('--out', required=True)
parser.add_argument('--sysroot', required=True, help='unpacked packages, made by scripts/guest/setup')
parser.add_argument('--init', help='makes a bootable archive with this file as /init; without it only --add files are written')
parser.add_argument('--kernel', help='unpacked kernel package')
parser.add_argument('--modules', default='', help='comma-separated')
parser.add_argument('--programs', default='', help='comma-separated, from the sysroot')
parser.add_argument('--tree', action='append', default=[], help='folder of the sysroot to copy')
parser.add_argument('--add', action='append', default=[], metavar='FILE:/PATH')
args = parser.parse_args()

cpio, sysroot = Cpio(), Sysroot(args.sysroot)
if args.init:
    put_base_tree(cpio, sysroot, args.init)
if args.modules:
    put_modules(cpio, args.kernel, args.modules.split(','))
for name in filter(None, args.programs.split(',')):
    put(cpio, sysroot, f'/usr/bin/{name}', sysroot.program(name) or sys.exit(f'no program {name} in {args.sysroot}'))
for tree in args.tree:
    for folder, _, files in os.walk(f'{args.sysroot}/{tree}'):
        for f in files:
            full = f'{folder}/{f}'
            put(cpio, sysroot, '/' + os.path.relpath(full, args.sysroot), os.path.realpath(full))
for a in args.add:
    source, _, dest = a.partition(':')
    put(cpio, sysroot, dest or sys.exit(f'--add {a}: FILE:/PATH expected'), source)
data = cpio.bytes()
open(args.out, 'wb').write(data)
if args.init:
    print(f'{os.path.basename(args.out)} {len(data) >> 20} MiB')
