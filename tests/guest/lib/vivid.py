"""What vivid's cameras can be made to do, as shell commands for the guest."""
DRIVER = '/sys/bus/platform/drivers/vivid'
# All cameras at once: they are one platform device.
UNBIND, BIND = (f'echo vivid.0 > {DRIVER}/{what}' for what in ('unbind', 'bind'))


def node(camera):
    """The device node of vivid's camera of that number, whatever its own number is now."""
    return f'/dev/$(basename $(dirname $(grep -lx vivid-{camera:03}-vid-cap /sys/class/video4linux/*/name)))'


def control(camera, setting):
    return f'v4l2-ctl -d {node(camera)} -c {setting}'
