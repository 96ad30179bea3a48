"""What can go wrong for a user: each error says what was expected, what came, and where to mend it.

The command line prints these in one line and exits with status 2. Mistakes of our own are
`assert`s; the two are never mixed.
"""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


class OarpipeError(ValueError):
    """The root of every error that a user can mend."""


class ConfigError(OarpipeError):
    """The book of recipes says something that cannot be carried out."""


class FingerprintMismatch(OarpipeError):
    """Two ingredients do not belong together."""


class IncompleteData(OarpipeError):
    """A file or store is missing, half-written or damaged."""


class BadInput(OarpipeError):
    """An image, label or argument is outside what the stage accepts."""


class GateFailed(OarpipeError):
    """A measured quality is below what the recipe demands, so the next stage would be wasted."""


class NoProgress(OarpipeError):
    """Work was tried again and again, and got no further."""


@contextmanager
def naming(file: Path) -> Iterator[None]:
    """A refusal of the machine names `file`: a full disk tells no name, or that of half a file."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(file)) from error


def nearest(word: str, known: Iterable[str]) -> str:
    """The advice that ends an "unknown name" message: the nearest known one, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known: {', '.join(names)}" if names else "there is none to choose from"
