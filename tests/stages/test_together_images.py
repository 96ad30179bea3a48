"""The two stages that read images, carried out by two processes: a tokenizer, and a store of tokens."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from oarpipe.base.distributed import world
from oarpipe.base.receipts import checked, read_receipt
from oarpipe.config.datasets import DigitsConfig
from oarpipe.config.recipe import Recipe
from oarpipe.config.tokenizers import TokensConfig, VQGANConfig
from oarpipe.data.sharded import ShardedStore
from oarpipe.data.token_store import TokenStore
from oarpipe.stages.index import index
from oarpipe.stages.tokenize import tokenize
from oarpipe.stages.train_tokenizer import train_tokenizer
from oarpipe.tokenizers import load_tokenizer
from tests.processes import together
from tests.stages.ingredients import real_tokenizer

TOKENS = Recipe("tokens", "t", 0, TokensConfig(dataset="digits", tokenizer="vq", shard=300, batch=150))
TOKENIZER = Recipe(
    "tokenizers",
    "vq",
    0,
    VQGANConfig.model_validate(
        {
            "kind": "vqgan",
            "dataset": "digits",
            "width": 8,
            "code_dim": 4,
            "codebook": 12,
            "train": {"steps": 4, "batch": 8, "lr": 2e-3, "log_every": 1},
        }
    ),
)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("digits")
    index(Recipe("datasets", "digits", 0, DigitsConfig(kind="digits", resolution=12)), out=out)
    return out


def tokenized(dataset: Path, tokenizer: Path, out: Path, stops: bool) -> tuple[int, list[int]]:
    """Exit status, and which shards this process wrote; the second may be asked to stop in its first."""
    written: list[int] = []
    write = ShardedStore.write

    def noted(self: ShardedStore, i: int, values: Any) -> None:
        write(self, i, values)
        written.append(i)
        if stops and world().rank == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    ShardedStore.write = noted  # type: ignore[method-assign]
    try:
        tokenize(TOKENS, dataset=dataset, tokenizer=tokenizer, out=out)
    except SystemExit as left:
        return int(left.code or 0), written
    finally:
        ShardedStore.write = write  # type: ignore[method-assign]
    return 0, written


def test_two_processes_write_the_tokens_that_one_writes_by_whole_shards(digits: Path, tmp_path: Path) -> None:
    tokenizer = real_tokenizer(tmp_path / "vq")
    tokenize(TOKENS, dataset=digits, tokenizer=tokenizer, out=tmp_path / "one")
    shards = TokenStore.open(tmp_path / "one" / "tokens.zarr").shards
    assert shards == 6
    arguments = digits, tokenizer, tmp_path / "two"
    assert together(tokenized, *arguments, True) == [(75, [0, 2, 4]), (75, [1])]
    assert not (tmp_path / "two" / "receipt.json").exists()
    assert together(tokenized, *arguments, False) == [(0, [3]), (0, [5])]
    checked(tmp_path / "two", "tokens")
    assert read_receipt(tmp_path / "two") == read_receipt(tmp_path / "one")


def trained(dataset: Path, out: Path) -> None:
    train_tokenizer(TOKENIZER, dataset=dataset, out=out)


def test_two_processes_publish_one_tokenizer_with_its_report(digits: Path, tmp_path: Path) -> None:
    out = tmp_path / "vq"
    together(trained, digits, out)
    checked(out, "tokenizers")
    load_tokenizer(out)
    trained(digits, tmp_path / "one")
    assert read_receipt(out).fingerprint == read_receipt(tmp_path / "one").fingerprint
    again = (out / "receipt.json").stat().st_mtime_ns, (out / "tokenizer.safetensors").stat().st_mtime_ns
    together(trained, digits, out)  # it says that it is complete, in both
    assert (out / "receipt.json").stat().st_mtime_ns > again[0]
    assert (out / "tokenizer.safetensors").stat().st_mtime_ns == again[1]
