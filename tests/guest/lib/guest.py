"""What the checks outside know of the guest: its shell, Eyrie's status and log, and how long to wait for anything."""
import json, os, socket, time

RTSP, SHELL = (int(os.environ.get(f'PORT_{port}', 0)) for port in (8554, 2222))
PATIENCE = float(os.environ.get('PATIENCE') or 40.0)                      # s: for what takes under five on an idle machine


class Failure(Exception):
    """A check that failed, in words."""


def expect(condition, message):
    if not condition:
        raise Failure(message)


def until(what, condition, patience=PATIENCE):
    """Waits for the condition and returns what it gave."""
    deadline = time.monotonic() + patience
    while not (result := condition()):
        expect(time.monotonic() < deadline, f'waited {patience:.0f} s for {what}')
        time.sleep(0.1)
    return result


def guest(command):
    """Runs a shell command in the guest and returns what it prints."""
    with socket.create_connection(('127.0.0.1', SHELL), timeout=PATIENCE) as s:
        s.sendall(f'{command}\nexit\n'.encode())
        output = b''
        while chunk := s.recv(65536):
            output += chunk
    return output.decode('utf8', 'replace')


def status():
    return json.loads(guest('eyrie status --json --socket /tmp/eyrie.sock'))


def of(kind, name):
    """What status says of one of its `streams`, `cameras` or `microphones`."""
    return next(entry for entry in status()[kind] if entry['name'] == name)


def log():
    return guest('cat /tmp/log')
