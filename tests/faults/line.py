"""Every stage that writes, on the smallest ingredients, as commands that make a folder."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from oarpipe.base.log import read_metrics
from oarpipe.cli import main
from tests.data.sources.pictures import paint_all
from tests.reports.tree import grow, small_book
from tests.stages.ingredients import (
    SQUARE,
    model_recipe,
    orders_recipe,
    real_model,
    real_tokenizer,
    samples_recipe,
    tokens,
    words,
)
from tests.stages.measuring import make_network, make_samples, recipe_of

OFTEN: dict[str, Any] = {"steps": 3, "batch": 4, "checkpoint_minutes": 1e-9}  # a checkpoint after every step
VQGAN = {"kind": "vqgan", "dataset": "d", "width": 8, "blocks": 0, "code_dim": 4, "codebook": 12}
CLASSIFIER = {"kind": "classifier", "dataset": "d", "channels": 4, "dimensions": 6}
HEAD = {"model": "any", "tokens": "t", "orders": "o", "width": 16}
EVALUATION = {"dataset": "d", "features": "f", "kernel_subsets": 2, "kernel_subset_size": 10, "bootstrap": 3}
SEARCH = {"samples": ["a"], "temperatures": [0.5, 1.0], "count": 10, "dataset": "d", "features": "f"}
INFORMATION = {"tokens": "t", "orders": {"random": {"kind": "random"}}}
TELLS_TIME = {"seconds", "tokens_per_second", "images_per_second", "mfu"}


@dataclass(frozen=True)
class Work:
    """Commands that finish the folder `out`, one after the other."""

    out: Path
    commands: list[list[str]]


def works(root: Path) -> list[Work]:
    """What all stages are to do, none of it begun; the ingredients are made below `root`."""
    made: list[Work] = []
    (root / "made").mkdir()

    def add(name: str, *verbs: str, recipe: Any, **given: Any) -> Work:
        out = root / "made" / name
        made.append(Work(out, [words(verb, recipe, **given, out=out) for verb in verbs]))
        return made[-1]

    def finished(work: Work) -> Path:
        for command in work.commands:
            assert main(command) == 0
        return work.out.rename(root / work.out.name)

    images = {"kind": "folder", "path": str(root / "images"), "resolution": 12}
    paint_all(root / "images", {f"{name}/{i}.png": 9 * i for name in "ab" for i in range(12)})
    dataset = finished(add("pictures", "index", recipe=recipe_of("datasets", "d", images)))
    store, tokenizer = tokens(root / "t", grid=SQUARE), real_tokenizer(root / "v")
    model, network = real_model(root / "any", store), make_network(root).folder
    sets = [make_samples(root, name, seed=seed).folder for seed, name in enumerate("ab")]
    walk, draw = {"model": model, "tokens": store}, {"model": model, "tokenizer": tokenizer}

    classifier = recipe_of("features", "f", {**CLASSIFIER, "train": {"steps": 2, "batch": 4}})
    add("classifier", "train_features", recipe=classifier, dataset=dataset)
    vqgan = recipe_of("tokenizers", "v", {**VQGAN, "train": OFTEN})
    add("vqgan", "train_tokenizer", recipe=vqgan, dataset=dataset)
    codes = recipe_of("tokens", "t", {"dataset": "d", "tokenizer": "v", "shard": 16})
    add("codes", "tokenize", recipe=codes, dataset=dataset, tokenizer=tokenizer)
    add("trained", "train", recipe=model_recipe(**OFTEN), tokens=store)
    settled = orders_recipe(part=4, batch="auto")
    orders = finished(add("greedy", "extract", "merge_orders", recipe=settled, **walk))
    head = recipe_of("order_heads", "head", {**HEAD, "train": OFTEN})
    add("head", "train_order_head", recipe=head, **walk, orders=orders)
    add("drawn", "generate", "merge_samples", recipe=samples_recipe(count=6, shard=3, batch="auto"), **draw)
    tuned = model_recipe("tuned", init="any", order={"kind": "table", "orders": "greedy"}, **OFTEN)
    add("tuned", "distill", recipe=tuned, tokens=store, init=model, orders=orders)
    arm = root / "arm.yaml"
    arm.write_text(samples_recipe(count=6, shard=3).text())
    best = recipe_of("searches", "best", SEARCH)
    add("best", "search", recipe=best, arm=arm, **draw, dataset=dataset, features=network)
    information = recipe_of("information", "i", INFORMATION)
    add("information", "information", recipe=information, models=[model], tokens=store)
    evaluation = recipe_of("evaluations", "e", EVALUATION)
    measuring = add("m", "features", recipe=evaluation, samples=sets, dataset=dataset, features=network)
    add("evaluated", "evaluate", recipe=evaluation, measured=finished(measuring))
    book = small_book()
    grown = {flag: folders for flag, folders in grow(book, root / "grown").items() if folders}
    page = book.recipe("reports", "r", 0)
    page = replace(page, entry=page.entry.model_copy(update={"images": 1, "playbacks": 0}))
    add("page", "report", recipe=page, **grown)
    return made


def content(out: Path) -> dict[str, object]:
    """What is in every file below a folder, but for what tells the time."""
    found: dict[str, object] = {}
    for file in out.rglob("*"):
        name = file.relative_to(out).as_posix()
        if file.name == "metrics.jsonl":
            found[name] = [
                {k: v for k, v in row.items() if k not in TELLS_TIME} for row in read_metrics(file)
            ]
        elif file.is_file() and file.name != "run.json":
            found[name] = file.read_bytes()
    return found


def digest(out: Path) -> str:
    """What a finished folder holds, by its receipt."""
    told: str = json.loads((out / "receipt.json").read_text())["digest"]
    return told
