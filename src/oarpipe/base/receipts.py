"""Receipts, which prove what a stage made, and the stage that issues them.

A receipt carries a *fingerprint* (what was asked: recipe and inputs) and a *digest* (what came out). It holds
no clock, host or version, so that equal work gives an equal file.
"""

import contextlib
import os
import platform
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from oarpipe.base.attempts import MARK, Attempt
from oarpipe.base.distributed import shared, world
from oarpipe.base.files import flush, hash_of, read_json, remove, sha256, write_json
from oarpipe.base.log import log
from oarpipe.base.shards import Shard
from oarpipe.config.recipe import FORMATS, Recipe
from oarpipe.errors import FingerprintMismatch, IncompleteData

RECEIPT = "receipt.json"
# Snakemake deletes a declared output before its job runs; this undeclared twin survives, and tells
# a stage that its work is already done.
DONE = ".done.json"
RUN = "run.json"
SAFETENSORS = ".tmp"  # how the files begin that safetensors writes and then renames


@dataclass(frozen=True)
class Receipt:
    """The proof that a recipe was carried out; `files` are sizes and hashes relative to the folder.

    `settled` is what the recipe left to the machine, such as a batch that sizes itself; `tokenizers` are the
    digests of those behind its inputs, however far.
    """

    table: str
    name: str
    seed: int
    format: int
    recipe: dict[str, Any]
    inputs: dict[str, str]
    fingerprint: str
    digest: str
    files: dict[str, dict[str, Any]]
    folder: Path = field(compare=False)
    settled: dict[str, Any] = field(default_factory=dict)
    tokenizers: list[str] = field(default_factory=list)

    def write(self, file: Path) -> None:
        """Writes it as JSON, without the folder it happens to lie in."""
        content = asdict(self)
        del content["folder"]
        write_json(file, content)

    def damage(self, hashed: Collection[Path] | None = None) -> str | None:
        """What is wrong with its files, by size and hash (of `hashed` alone, if given); None if nothing."""
        for name, facts in self.files.items():
            file = self.folder / name
            if not file.is_file():
                return f"{file} is missing"
            if file.stat().st_size != facts["size"]:
                return f"{file} has {file.stat().st_size} bytes, expected {facts['size']}"
            if (hashed is None or file in hashed) and sha256(file) != facts["sha256"]:
                return f"{file} is damaged: its content is not what was written"
        return None


def read_receipt(path: Path, table: str | None = None) -> Receipt:
    """The receipt of a results folder (or the receipt file itself), checked to be of `table`."""
    folder = path.parent if path.name in (RECEIPT, DONE) else path
    file = path if path.name in (RECEIPT, DONE) else folder / RECEIPT
    if not file.is_file():
        raise IncompleteData(f"{folder}: no {RECEIPT}, so it was never finished; run the stage that makes it")
    content = read_json(file)
    try:
        receipt = Receipt(folder=folder, **content)
    except TypeError as error:
        raise IncompleteData(
            f"{file}: not a receipt of oarpipe ({error}); delete it and run again"
        ) from error
    if table is not None and receipt.table != table:
        raise FingerprintMismatch(
            f"{folder}: holds {receipt.table}.{receipt.name}, expected one of '{table}'"
        )
    if receipt.format != FORMATS.get(receipt.table):
        raise FingerprintMismatch(
            f"{file}: written in format {receipt.format}, this oarpipe reads format "
            f"{FORMATS.get(receipt.table)} of {receipt.table}; delete {folder} and run again"
        )
    return receipt


def checked(path: Path, table: str, *, hashed: Iterable[Path] | None = None) -> Receipt:
    """A receipt whose files are there, whole and undamaged; else `IncompleteData` names the file.

    A job that reads a few files of many names these as `hashed`; of the others only the sizes are looked at.
    """
    receipt = read_receipt(path, table)
    damage = receipt.damage(None if hashed is None else set(hashed))
    if damage:
        raise IncompleteData(f"{damage}; delete {receipt.folder} and run again to make it anew")
    return receipt


class Stage:
    """One carrying-out of a recipe in a folder: what was asked, what it reads, where it may work.

        stage = Stage(recipe, out, inputs={"tokens": tokens})
        if stage.is_done():
            return
        ...write into stage.state, publish under stage.out...
        stage.finish("model.safetensors", "model.yaml")

    `state` is a folder for resumable work, named by the fingerprint, so that work for another recipe
    is never continued by mistake. `inputs` maps names to receipts, or to lists of them; `also` is
    whatever else the result depends on.
    """

    def __init__(
        self,
        recipe: Recipe[Any],
        out: Path,
        *,
        inputs: Mapping[str, Receipt | Sequence[Receipt]] | None = None,
        also: Mapping[str, Any] | None = None,
    ) -> None:
        self.recipe = recipe
        self.out = out
        read = {
            (name if isinstance(given, Receipt) else f"{name}.{_listed(one)}"): one
            for name, given in (inputs or {}).items()
            for one in ([given] if isinstance(given, Receipt) else given)
        }
        self.inputs = {name: one.digest for name, one in read.items()}
        self.tokenizers = sorted(
            {
                d
                for one in read.values()
                for d in ([one.digest] if one.table == "tokenizers" else one.tokenizers)
            }
        )
        meaning = {"recipe": recipe.meaning(), "inputs": self.inputs, "also": dict(also or {})}
        self.fingerprint = hash_of(meaning)
        self.state = out / "state" / self.fingerprint[:16]
        self._attempt: Attempt | None = None
        self.counts: dict[str, int] = {}  # what the work counted; run.json sums it over the shards
        self._clock = time.monotonic()

    def is_done(self, shard: Shard | None = None, *, unless: Callable[[], bool] = lambda: False) -> bool:
        """Whether this very work was finished before and is whole: then its receipt is re-issued.

        Else this process is from now on the only one to write here, or to write this shard: it waits while
        another does. The folder's receipt, being of other work that is about to be overwritten, is withdrawn.
        `unless` says whether the work must be done in spite of a receipt.

        Of several processes the first one asks, waits and tells the others.
        """
        return shared(lambda: self._is_done(shard, unless))

    def _is_done(self, shard: Shard | None, unless: Callable[[], bool]) -> bool:
        receipt = self._finished_before(unless)
        if receipt is None or (shard is None and self._is_untidy()):
            self._attempt = Attempt(self.out, self.state, str(shard or ""))
            self._attempt.begin()
            receipt = self._finished_before(unless)  # by the one that was waited for
        if receipt is None:
            (self.out / RECEIPT).unlink(missing_ok=True)
            _sweep(self.out)
            return False
        receipt.write(self.out / RECEIPT)
        if shard is None and self._attempt is not None:
            self._put_away(self.state)
        self._end_attempt()
        log.info("%s is already complete", self.out)
        return True

    def _is_untidy(self) -> bool:
        """Whether whoever finished this is just putting its things away, or was killed before."""
        return self.state.exists() or (self.out / MARK.format("")).exists()

    def _put_away(self, state: Path) -> None:
        """Removes what is not needed beside results that are whole."""
        remove(state)
        with contextlib.suppress(OSError):  # of another recipe there is unfinished work
            (self.out / "state").rmdir()
        _sweep(self.out)

    def _end_attempt(self) -> None:
        if self._attempt is not None:
            self._attempt.finish()

    def _finished_before(self, unless: Callable[[], bool]) -> Receipt | None:
        try:
            receipt = read_receipt(self.out / DONE, self.recipe.table)
        except (IncompleteData, FingerprintMismatch):
            return None
        if receipt.fingerprint != self.fingerprint:
            return None
        damage = receipt.damage()
        if damage:
            log.warning("%s; making %s anew", damage, self.out)
            return None
        return None if unless() else receipt

    def settle(self, name: str, choose: Callable[[], Any]) -> Any:
        """What the recipe leaves to the machine: chosen by the first shard, kept by all that follow.

        The receipt tells it; the fingerprint, which says what was asked, does not.
        """
        file = self._settled / f"{name}.json"
        if not file.is_file():
            content = choose()
            log.info("%s.%s: settled on %s %s", self.recipe.table, self.recipe.name, name, content)
            self._settled.mkdir(parents=True, exist_ok=True)
            partial = file.with_name(f"{platform.node()}.{os.getpid()}.partial")
            write_json(partial, content)
            try:
                with contextlib.suppress(FileExistsError):  # another was first
                    os.link(partial, file)
            finally:
                remove(partial)
        return read_json(file)

    @property
    def _settled(self) -> Path:
        return self.state / "settled"

    def finish(self, *names: str) -> Receipt:
        """Issues the receipt for files (or folders) under `out`, and clears the state of all attempts.

        All that it lists is on the disk before: zarr flushes nothing, and the state it was made from goes.
        """
        files = {}
        for file in sorted(_files(self.out / name for name in names)):
            flush(file)
            name = file.relative_to(self.out).as_posix()
            files[name] = {"size": file.stat().st_size, "sha256": sha256(file)}
        receipt = Receipt(
            table=self.recipe.table,
            name=self.recipe.name,
            seed=self.recipe.seed,
            format=FORMATS[self.recipe.table],
            recipe=self.recipe.entry.model_dump(mode="json"),
            inputs=self.inputs,
            fingerprint=self.fingerprint,
            digest=hash_of({name: facts["sha256"] for name, facts in files.items()}),
            files=files,
            folder=self.out,
            settled={file.stem: read_json(file) for file in sorted(self._settled.glob("*.json"))},
            tokenizers=self.tokenizers,
        )
        self._write_run(self.out / RUN)
        receipt.write(self.out / DONE)
        receipt.write(self.out / RECEIPT)
        self._put_away(self.out / "state")
        self._end_attempt()
        return receipt

    def finish_shard(self, shard: Shard) -> None:
        """Issues the small receipt of one shard; the merge that follows issues the whole one."""
        if self.state.is_dir():  # there is none where the whole was finished before
            self._write_run(self.state / f"{shard}.{RUN}")
        write_json(shard_receipt(self.out, shard), {"fingerprint": self.fingerprint, "shard": str(shard)})
        self._end_attempt()

    def _write_run(self, file: Path) -> None:
        """How long it took and on what: beside the receipt, never in it."""
        parts = (
            [read_json(part) for part in sorted(self.state.glob(f"*-of-*.{RUN}"))] if file.name == RUN else []
        )
        seconds = time.monotonic() - self._clock + sum(part["seconds"] for part in parts)
        facts: dict[str, Any] = {
            "seconds": round(seconds, 3),
            "finished": time.strftime("%Y-%m-%d %H:%M:%S"),
            "host": platform.node(),
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
            "threads": os.environ.get("OMP_NUM_THREADS", ""),
            "processes": world().size,
            "python": platform.python_version(),
        }
        counted = [self.counts, *(part.get("counts", {}) for part in parts)]
        counts = {name: sum(one.get(name, 0) for one in counted) for each in counted for name in each}
        if counts:
            facts["counts"] = counts
        write_json(file, facts)


def _sweep(out: Path) -> None:
    """Removes what killed processes half wrote in a results folder; not while there are marks of shards."""
    if any(out.glob(MARK.format(".*"))):
        return
    for folder, folders, files in os.walk(out):
        if DONE in files and Path(folder) != out:  # another stage's, such as an evaluation's features
            folders.clear()
            continue
        for name in [*folders, *files]:
            is_half = name.endswith(".partial") and not name.startswith(".writer")
            if is_half or name.startswith(SAFETENSORS):
                remove(Path(folder) / name)


def shard_receipt(out: Path, shard: Shard) -> Path:
    """Where the receipt of one shard lies."""
    return out / "shards" / f"{shard}.json"


def _listed(receipt: Receipt) -> str:
    """Tells apart the inputs of a list: a report reads many seeds, an evaluation many arms of a search."""
    arm = "" if receipt.folder.name == receipt.name else f".{receipt.folder.name}"
    return f"{receipt.table}.{receipt.name}{arm}.seed-{receipt.seed}"


def _files(paths: Iterable[Path]) -> Iterable[Path]:
    for path in paths:
        assert path.exists(), f"{path} was to be receipted but is not there"
        yield from (p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
