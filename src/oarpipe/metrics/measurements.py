"""Numbers that know what they are: by which convention, in whose features, against what, of how many."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from oarpipe.base.identity import Identity
from oarpipe.config.outputs import Convention
from oarpipe.errors import FingerprintMismatch


@dataclass(frozen=True)
class Network:
    """What measured; `sha256` is that of its weights, None where a caller only says whose features it has."""

    name: str
    kind: str
    sha256: str | None = None

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> "Network":
        """From the facts of an evaluation's `network.json`, which tell more."""
        return cls(facts["name"], facts["kind"], facts["sha256"])


@dataclass(frozen=True)
class Measurement:
    """A measured number. `reference` is None where samples are looked at alone; `how` tells its settings."""

    metric: str
    value: float
    convention: Convention
    network: Network
    reference: Identity | None
    count: int
    how: str = ""

    def facts(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> "Measurement":
        """What `facts` told."""
        reference = None if facts["reference"] is None else Identity(**facts["reference"])
        return cls(**{**facts, "network": Network(**facts["network"]), "reference": reference})


def check_comparable(one: Measurement, other: Measurement) -> None:
    """`FingerprintMismatch` says why the difference of two values would mean nothing.

    Names do not count, and neither does the number of samples.
    """
    reason = unlike(one, other)
    if reason is not None:
        raise FingerprintMismatch(
            f"{one.metric} {one.value:.6g} and {other.metric} {other.value:.6g} do not compare: {reason}"
        )


def unlike(one: Measurement, other: Measurement) -> str | None:
    """What hinders their comparison, such as `of different references, X and Y`; None if nothing does."""
    for what, (first, told_first), (second, told_second) in (
        ("metrics", 2 * (one.metric,), 2 * (other.metric,)),
        ("conventions", 2 * (one.convention,), 2 * (other.convention,)),
        ("settings", 2 * (one.how,), 2 * (other.how,)),
        ("feature networks", _network(one.network), _network(other.network)),
        ("references", _reference(one.reference), _reference(other.reference)),
    ):
        if first != second:
            return f"of different {what}, {told_first} and {told_second}"
    return None


def _network(given: Network) -> tuple[str, str]:
    """By what it is known (its hash, or else its name), and how a message calls it."""
    if given.sha256 is None:
        return given.name, f"{given.name} (unknown)"
    return given.sha256, f"{given.name} {given.sha256[:12]}"


def _reference(given: Identity | None) -> tuple[str, str]:
    """Its hash, and how a message calls it."""
    return ("", "none") if given is None else (given.digest, f"{given.name} {given.digest[:12]}")
