"""The guests that there are: cases/NAME.py, with a default for all that one leaves out."""
import contextlib, importlib, os

CASES = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), 'cases')
DEFAULTS = dict(MODULES=[], BEFORE='', RUN='eyrie run --config /etc/eyrie.toml', FILES={}, PORTS=[], TIMEOUT=240,
                CONFIG='', BY_HAND=False, TESTS=[], around=contextlib.nullcontext)


def all_names():
    return sorted(name.removesuffix('.py') for name in os.listdir(CASES) if name.endswith('.py'))


def load(name):
    this = importlib.import_module(f'cases.{name}')
    for key, value in DEFAULTS.items():
        if not hasattr(this, key):
            setattr(this, key, value)
    return this
