#!/usr/bin/env python3
"""outside.py NAME RESULT: the part of a guest's test that runs outside of it, while Eyrie runs inside. Runs the checks of
cases/NAME.py, one line each on stdout, and writes `PASSED FAILED` into RESULT; the exit status is 1 if one failed.
"""
import os, re, sys, time, traceback

from lib import case
from lib.guest import Failure, guest


def main():
    name, result = sys.argv[1:]
    this, passed, failed = case.load(name), 0, 0
    try:
        with this.around():
            for what, check in this.CHECKS:
                if not re.search(os.environ.get('GUEST_ONLY', ''), what):
                    continue
                start = time.monotonic()
                try:
                    check()
                    passed += 1
                    print(f'ok   {what} ({time.monotonic() - start:.1f} s)', flush=True)
                except Exception as error:
                    failed += 1
                    print(f'FAIL {what}: {error}', flush=True)
                    if not isinstance(error, Failure):
                        traceback.print_exc(file=sys.stdout)
            if failed:
                print(guest('cat /tmp/log; eyrie status --json --socket /tmp/eyrie.sock')[-20000:], flush=True)
    except Exception:
        failed += 1
        traceback.print_exc(file=sys.stdout)
    finally:
        with open(result, 'w') as f:
            f.write(f'{passed} {failed}\n')
        guest('touch /tmp/done')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
