"""A plain user's Eyrie, and a camera that comes late, or whose permissions do: nodes belong to root until somebody like udev
gives them to the group `video`.
"""
from lib import vivid
from lib.table import SLATE, Row, Table

MODULES = ['vivid node_types=0x1']
BEFORE = vivid.UNBIND
RUN = "su eyrie -c 'exec eyrie run --config /etc/eyrie.toml'"
GRANT = 'chgrp video /dev/video*; chmod 660 /dev/video*'

TABLE = Table([
    Row('absent at the start, then bound', 'vivid', '', SLATE, 'no device', mends=f'{vivid.BIND}; {GRANT}', joins=True),
    Row('back, and permitted a second later', 'vivid', vivid.UNBIND, SLATE, 'no device', mends=f'{vivid.BIND}; sleep 1; {GRANT}'),
    Row('permission denied, then granted', 'vivid', f'{vivid.UNBIND}; {vivid.BIND}', SLATE, 'permission denied', mends=GRANT),
])

around = TABLE.shown
CHECKS = TABLE.checks()
