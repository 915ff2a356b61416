"""What the checks outside know of the guest: its shell, Eyrie's status and log, and how long to wait for anything."""
import json, os, re, socket, time


def port(there):
    """The port here that leads to one of the guest's, as a case's PORTS name it."""
    return int(os.environ.get('PORT_' + re.sub('[.:]', '_', there), 0))


RTSP, SHELL = port('8554'), port('2222')
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


def guest(command, shell=SHELL, patience=PATIENCE):
    """Runs a shell command in the guest and returns what it prints."""
    with socket.create_connection(('127.0.0.1', shell), timeout=patience) as s:
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
