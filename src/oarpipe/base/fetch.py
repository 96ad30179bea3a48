"""Brings published weights to this machine: a file that lies here, the Hugging Face hub's, or an address's.

The hub's own client downloads, resumes and caches; it is an optional extra, needed only by recipes
that name a hub. A download from an address is kept in `~/.cache/oarpipe` (or `$XDG_CACHE_HOME/oarpipe`).
"""

import os
import re
from errno import EACCES, EDQUOT, ENOSPC, EROFS
from pathlib import Path
from typing import Any

from oarpipe.base.files import hash_of, sha256
from oarpipe.base.log import log
from oarpipe.config.weights import WeightsConfig
from oarpipe.errors import BadInput, IncompleteData


def fetch(weights: WeightsConfig) -> Path:
    """The file that `weights` names, downloaded unless it lies in a cache, its hash verified.

    `BadInput` says which file to download from where, and which key to set, if it cannot be fetched;
    `IncompleteData` names a missing file, or both hashes where they differ.
    """
    if weights.path is not None:
        file = _local(weights.path)
    else:
        file = _download(weights) if weights.url is None else _from_address(weights.url)
    if weights.sha256 is not None:
        found = sha256(file)
        if found != weights.sha256:
            raise IncompleteData(
                f"{file}: its sha256 is {found}, the recipe's `weights.sha256` says {weights.sha256}; "
                "it is damaged or another file: delete it and fetch it again, or correct the key"
            )
    return file


def content_hash(weights: WeightsConfig) -> str:
    """The sha256 of the file: the recipe's, without a look at the file, or else the file's own."""
    return weights.sha256 or sha256(fetch(weights))


def url(weights: WeightsConfig) -> str:
    """The address from which a browser downloads the file."""
    if weights.url is not None:
        return weights.url
    return f"https://huggingface.co/{weights.hub}/resolve/{weights.revision}/{weights.file}"


def _local(path: str) -> Path:
    file = Path(path).expanduser()
    if not file.is_file():
        what = "a folder, expected a file of weights" if file.is_dir() else "no such file"
        raise IncompleteData(
            f"{file}: {what}; mend `weights.path`, or name the hub's `hub` and `file` instead"
        )
    return file


def _download(weights: WeightsConfig) -> Path:
    hub = _client(weights)
    try:
        return Path(hub.hf_hub_download(weights.hub, weights.file, revision=weights.revision))
    except Exception as error:  # of three HTTP libraries, by the client's version
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the machine's refusal: a full disk, no permission
        reason = " ".join(str(error).split())[:200]
        raise BadInput(f"{weights.hub}: could not be fetched ({reason}); {_by_hand(weights)}") from error


def _from_address(address: str) -> Path:
    """Kept from an earlier time, or downloaded whole; a hash in its name is held against its content."""
    from torch.hub import download_url_to_file

    name = address.rpartition("/")[2]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "oarpipe"
    file = cache / hash_of(address)[:12] / name
    if file.is_file():
        return file
    named = re.search(r"-([0-9a-f]{8,})\.", name)
    log.info("downloading %s", address)
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        download_url_to_file(address, str(file), hash_prefix=named and named[1], progress=False)
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT, EACCES, EROFS):
            raise
        reason = " ".join(str(error).split())[:200]
        by_hand = _by_hand(WeightsConfig(url=address))
        raise BadInput(f"{name}: could not be fetched ({reason}); {by_hand}") from error
    return file


def _client(weights: WeightsConfig) -> Any:
    """huggingface_hub, imported only where a recipe needs it."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise BadInput(
            f"{weights.hub}: downloading needs huggingface_hub: pip install 'oarpipe[hub]'; or "
            + _by_hand(weights)
        ) from error
    return huggingface_hub


def _by_hand(weights: WeightsConfig) -> str:
    name = Path(str(weights.file or weights.url)).name
    return f"download {name} from {url(weights)} and set `weights: {{path: /where/you/put/{name}}}`"
