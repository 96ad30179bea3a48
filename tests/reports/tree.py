"""A results tree that no training made: every file in its true form, the numbers drawn or chosen.

`grow(book, root)` carries out every recipe that a report needs, for every seed, and returns the report's
keywords. `distance(arm, seed)` decides the Fréchet distances, so that a test knows what should be said.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from oarpipe.base import noise
from oarpipe.base.files import write_json
from oarpipe.base.grid import Grid
from oarpipe.base.receipts import Receipt, Stage, checked
from oarpipe.config.book import Book, validate
from oarpipe.config.orders import read_image_by_image
from oarpipe.config.recipe import Recipe
from oarpipe.data.images import ImageSource, open_images
from oarpipe.data.index import ImageIndex
from oarpipe.data.indexing import examine
from oarpipe.data.order_table import OrderTable
from oarpipe.data.sample_store import SampleStore
from oarpipe.data.sources.digits import DigitsSource
from oarpipe.data.token_store import SPLITS, TokenStore
from oarpipe.metrics.paths import mean_step_distance
from oarpipe.orders.rules import rule_order
from oarpipe.reports.arms import PERMUTATION, Arm, read_arm
from oarpipe.tokenizers.folder import save_tokenizer
from oarpipe.tokenizers.vqgan import VQGAN

GRID = Grid(6, 6)
REPLICATES = 60
SPREAD = 0.1
Distance = Callable[[Arm, int], float]
FLAGS = {"evaluations": "evaluation", "benchmarks": "benchmark"}


def small_book(seeds: Sequence[int] = (0,), *, title: str = "A small report", **changes: Any) -> Book:
    """Five arms, one of them searched; `changes` are further entries of samples."""
    follow: dict[str, Any] = {"select": "follow", "order": {"kind": "random"}}
    greedy = {"kind": "table", "orders": "greedy"}
    tuning = {"tokens": "t", "init": "any", "train": {"steps": 4}}
    anneal = {"kind": "anneal", "start_epoch": 1.0, "end_epoch": 2.0}
    raster = {"kind": "rule", "name": "raster"}
    return validate(
        {
            "name": "small",
            "seeds": list(seeds),
            "datasets": {"d": {"kind": "digits", "resolution": 24}},
            "features": {"digits": {"kind": "classifier", "dataset": "d"}},
            "tokenizers": {"v": {"kind": "vqgan", "dataset": "d", "width": 8, "train": {"steps": 1}}},
            "tokens": {"t": {"dataset": "d", "tokenizer": "v"}},
            "models": {
                "any": {"tokens": "t", "train": {"steps": 8}},
                "random": tuning,
                "greedy": {**tuning, "order": greedy},
                "greedy_annealed": {**tuning, "order": {**anneal, "to": greedy}},
                "raster_annealed": {**tuning, "order": {**anneal, "to": raster}},
            },
            "orders": {"greedy": {"model": "any", "tokens": "t"}},
            "samples": {
                "any_random": {"model": "any", "count": 40, "policy": follow},
                "any_greedy": {"model": "any", "count": 40, "policy": {"select": "greedy"}},
                "greedy_annealed_greedy": {
                    "model": "greedy_annealed", "count": 40, "policy": {"select": "greedy"},
                },
                "greedy_annealed_random": {"model": "greedy_annealed", "count": 40, "policy": follow},
                "raster_annealed_raster": {
                    "model": "raster_annealed", "count": 40, "policy": {**follow, "order": raster},
                },
                **changes,
            },
            "searches": {
                "best": {
                    "samples": ["any_random", "greedy_annealed_greedy"],
                    "temperatures": [0.8, 1.0],
                    "dataset": "d",
                    "features": "digits",
                }
            },
            "evaluations": {"e": {"dataset": "d", "features": "digits"}},
            "benchmarks": {"here": {}},
            "information": {
                "i": {
                    "tokens": "t", "orders": {"random": {"kind": "random"}, "raster": raster},
                    "holes": {"half": {"kind": "inpaint", "share": 0.5}},
                    "draws": 2, "classification": {"count": 40, "shortlist": 3},
                }
            },
            "reports": {
                "r": {
                    "title": title,
                    "evaluation": "e",
                    "information": "i",
                    "benchmark": "here",
                    "images": 20,
                    "playbacks": 5,
                },
            },
        }
    )  # fmt: skip


def typical(arm: Arm, seed: int) -> float:
    """Distances about as the prototype's: greedy tuning helps, raster tuning helps more."""
    table = {
        ("nothing", "random"): 6.2, ("nothing", "greedy"): 7.3, ("nothing", "raster"): 12.8,
        ("random", "random"): 5.8, ("random", "greedy"): 6.9, ("raster", "raster"): 3.4,
        ("raster", "random"): 14.0, ("greedy", "greedy"): 4.7, ("greedy", "random"): 9.5,
        ("permutation", "permutation"): 3.8, ("class mean", "class mean"): 4.0,
    }  # fmt: skip
    worse = 0.8 if arm.tuning.annealed is False else -0.4 * bool(arm.tuning.floor)
    own = sum(arm.name.encode()) % 7 / 20 - 0.15
    return table[arm.tuning.on, arm.sampled_in] + worse + (0.3 + own) * seed


def grow(
    book: Book,
    root: Path,
    *,
    distance: Distance = typical,
    classes: Sequence[str] | None = None,
    report: str = "r",
) -> dict[str, list[Path]]:
    """Everything the book's report needs, under `root`; returns the keywords of `stages.report.report`."""
    wanted = book.ingredients("reports", report)
    targets = {(t, n) for flag, ts in wanted.items() for t, n in ts}
    given: dict[str, list[Path]] = {}
    grower = _Grower(book, root, distance, classes)
    for recipe in book.recipes():
        if (recipe.table, recipe.name) in targets:
            folders = grower.make(recipe)
            given.setdefault(FLAGS.get(recipe.table, recipe.table), []).extend(folders)
    names = ["datasets", "features", "tokenizers", "tokens", "models", "orders", "order_heads", "samples"]
    names += ["searches", "evaluation", "information", "benchmark"]
    return {name: given.get(name, []) for name in names}


class _Grower:
    def __init__(self, book: Book, root: Path, distance: Distance, classes: Sequence[str] | None) -> None:
        self.book, self.root, self.distance, self.classes = book, root, distance, classes
        self.images: ImageSource | None = None

    def make(self, recipe: Recipe[Any]) -> list[Path]:
        """Writes what the recipe's stage would, and its receipt; a search has a folder an arm."""
        folder = self.root / f"seed-{recipe.seed}" / recipe.table / recipe.name
        arms = [folder / arm for arm in recipe.entry.samples] if recipe.table == "searches" else [folder]
        for out in arms:
            stage = Stage(recipe, out)
            out.mkdir(parents=True, exist_ok=True)
            stage.finish(*getattr(self, f"_{recipe.table}")(recipe, out))
        return arms

    def source(self) -> ImageSource:
        """The images, once the dataset is there."""
        if self.images is None:
            self.images = open_images(self.receipt("datasets", next(iter(self.book.tables["datasets"])), 0))
        return self.images

    def receipt(self, table: str, name: str, seed: int) -> Receipt:
        """What was made before."""
        seed = self.book.seed_of(table, seed)
        return checked(self.root / f"seed-{seed}" / table / name, table)

    def _datasets(self, recipe: Recipe[Any], out: Path) -> list[str]:
        index = examine(DigitsSource()).index
        ImageIndex(**{**vars(index), "classes": list(self.classes or index.classes)}).write(
            out / "index.parquet"
        )
        return ["index.parquet"]

    def _features(self, recipe: Recipe[Any], out: Path) -> list[str]:
        (out / "weights").write_text("none")
        return ["weights"]

    def _tokenizers(self, recipe: Recipe[Any], out: Path) -> list[str]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            model = VQGAN(recipe.entry.anatomy())
        save_tokenizer(model, out, resolution=24, training="none")
        numbers = {
            "psnr": 26.41,
            "ssim": 0.95,
            "usage": 1.0,
            "perplexity": 51.2,
            "rfd[digits]": 1.54,
            "count": 360,
        }
        write_json(out / "reconstruction.json", numbers)
        return ["tokenizer.safetensors", "tokenizer.yaml"]

    def _tokens(self, recipe: Recipe[Any], out: Path) -> list[str]:
        index = self.source().index
        n = len(index)
        store = TokenStore.create(
            out / "tokens.zarr",
            rows=n,
            grid=GRID,
            codebook=64,
            classes=index.classes,
            views=["image"],
            shard=n,
        )
        tokens = np.random.default_rng(0).integers(0, 64, (n, 1, GRID.positions))
        splits = np.array([SPLITS.index(split) for split in index.split], np.uint8)
        store.write_shard(0, tokens, index.label, index.sample_id, splits)
        return ["tokens.zarr"]

    def _models(self, recipe: Recipe[Any], out: Path) -> list[str]:
        names, size = ("layers", "heads", "width"), getattr(recipe.entry, "size", (4, 3, 96))
        sizes = dict(zip(names, size, strict=True))
        anatomy = {"kind": "position_tokens", "grid": [6, 6], "codebook": 64, "classes": 10, **sizes}
        (out / "model.yaml").write_text(yaml.safe_dump(anatomy))
        if recipe.entry.verb == "import_model":
            return ["model.yaml"]
        start = 4.16 if recipe.entry.init is None else 2.1
        steps = range(0, recipe.entry.train.steps, max(1, recipe.entry.train.steps // 100))
        lines: list[dict[str, Any]] = []
        for step in steps:
            done = step / recipe.entry.train.steps
            loss = start - (start - 1.95) * done**0.3 + 0.03 * np.sin(37 * step)
            lines.append({"step": step, "seconds": step / 4, "loss": loss, "lr": 1e-3, "norm": 1.0})
            if len(lines) % 10 == 0:
                lines.append({"step": step, "seconds": step / 4, "validation_nll": loss + 0.05})
        (out / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return ["model.yaml"]

    def _orders(self, recipe: Recipe[Any], out: Path) -> list[str]:
        index = self.source().index
        ids = index.rows(getattr(recipe.entry, "split", "all"))
        order = self.walks("greedy", len(ids), recipe.seed)
        score = np.linspace(0.35, 0.8, GRID.positions) + np.random.default_rng(1).normal(0, 0.07, order.shape)
        OrderTable(
            sample_id=ids,
            view=np.zeros(len(ids), np.uint8),
            caption=np.full(len(ids), -1, np.int16),
            label=index.label[ids],
            order=order.astype(np.uint16),
            score=score.clip(0, 1).astype(np.float32),
            mean_step_distance=mean_step_distance(torch.from_numpy(order), GRID).numpy(),
            provenance={"model": recipe.entry.model},
        ).write(out / "orders.parquet")
        return ["orders.parquet"]

    def _order_heads(self, recipe: Recipe[Any], out: Path) -> list[str]:
        write_json(out / "agreement.json", {"hit_1": 0.5, "hit_4": 0.8, "tau": 0.4, "images": 143})
        return ["agreement.json"]

    def _samples(self, recipe: Recipe[Any], out: Path) -> list[str]:
        self._fill(out, self.arm(recipe.name), recipe.entry.count, recipe.seed)
        return ["samples.zarr"]

    def _searches(self, recipe: Recipe[Any], out: Path) -> list[str]:
        arm = self.arm(out.name)
        entry = recipe.entry
        grid = [
            {
                "temperature": t,
                "guidance": g,
                "value": self.distance(arm, recipe.seed) - 2 * (1 - t) + (g - 1) ** 2,
            }
            for t in entry.temperatures
            for g in entry.guidances
        ]
        best = min(grid, key=lambda cell: cell["value"])
        for cell in grid:
            gap = cell["value"] - best["value"]
            cell.update(low=cell["value"] - 0.2, high=cell["value"] + 0.2, above_best=[0.9 * gap, 1.1 * gap])
        facts = {"arm": arm.name, "split": entry.split, "count": entry.count, "metric": "fd[digits]"}
        write_json(out / "search.json", {**facts, "grid": grid, "best": best})
        self._fill(out, arm, 40, recipe.seed)
        return ["search.json", "samples.zarr"]

    def _evaluations(self, recipe: Recipe[Any], out: Path) -> list[str]:
        sets = {}
        for name in self.book.tables["samples"]:
            sets[name] = self.measured(recipe.seed, self.arm(name), None)
        for search, entry in self.book.tables["searches"].items():
            for name in entry.samples:  # type: ignore[attr-defined]
                sets[f"{search}/{name}"] = self.measured(recipe.seed, self.arm(name), search)
        facts = {
            "features": {"name": "digits", "digest": "d" * 64, "test_accuracy": 0.997},
            "reference": {"dataset": "digits", "split": "train", "count": 1437, "digest": "r" * 64},
            "bootstrap": REPLICATES,
            "floor": {"fd[digits]": 0.94, "kd[digits]": 0.0021},
            "sets": sets,
        }
        write_json(out / "metrics.json", facts)
        return ["metrics.json"]

    def measured(self, seed: int, arm: Arm, search: str | None) -> dict[str, Any]:
        """One sample set's entry in metrics.json."""
        value = self.distance(arm, seed) - (1.1 if search else 0)
        draw = np.random.default_rng([seed, *arm.name.encode()])
        shared = np.random.default_rng(seed).normal(value * 1.06, SPREAD, REPLICATES)
        replicates = shared + draw.normal(0, SPREAD / 2, REPLICATES)
        metrics = {
            "fd[digits]": value, "kd[digits]": value / 900, "is[digits]": 9.4 - value / 20,
            "precision": 0.9 - value / 60, "recall": 0.85 - value / 50, "accuracy": 0.97 - value / 100,
            "mean_step_distance": 1.6 + draw.random(),
        }  # fmt: skip
        return {
            "table": "searches" if search else "samples",
            "name": arm.name,
            "search": search,
            "model": arm.model,
            "count": 40,
            "setting": {"temperature": 0.8 if search else 1.0, "guidance": 1.0},
            "digest": "0" * 64,
            "fingerprint": "1" * 64,
            "metrics": metrics,
            "replicates": {"fd[digits]": replicates.tolist()},
        }

    def _benchmarks(self, recipe: Recipe[Any], out: Path) -> list[str]:
        row = {"name": "raster", "precision": "float32", "unit": "images", "count": 1, "seconds": 2.0}
        row |= {"fastest": 1.5, "slowest": 3.0, "runs": 3, "per_second": 0.5, "note": ""}
        floor = {
            "flop": 10**9,
            "bytes": 0,
            "floor": 0.5,
            "bound": "arithmetic",
            "over_floor": 4.0,
            "share": 0.25,
        }
        facts = {
            "machine": {
                "name": "a machine",
                "threads": 1,
                "torch": "2",
                "gemm_gflops": {"float32": 100.0, "bfloat16": 200.0},
                "read_gb_per_second": 10.0,
            },
            "goals": [{"text": "a goal", "wanted": 40, "measured": 41.2, "at_most": False, "held": True}],
            "sections": {
                "generation": {"title": "Generation", "model": "small", "rows": [row | floor, row]},
                "memory": {"title": "Memory", "model": "small", "cases": []},
            },
        }
        write_json(out / "benchmark.json", facts)
        return ["benchmark.json"]

    def _information(self, recipe: Recipe[Any], out: Path) -> list[str]:
        image = np.random.default_rng(recipe.seed).normal(2.07, 0.2, 360)
        shifts = {"random": 0.0, "raster": 0.12, "greedy": -0.03}
        models: dict[str, Any] = {}
        classes: dict[str, Any] = {}
        for i, model in enumerate(self.book.tables["models"]):
            hits = [int(image % 10 > i) for image in range(40)]  # each model misses a tenth more
            classes[model] = {count: {"accuracy": 0.9 - i / 10, "per_sample": hits} for count in ("1", "20")}
            for order in (*recipe.entry.orders, *recipe.entry.holes):
                own = image + shifts.get(order, 0) + 0.012 * i + np.random.default_rng(i).normal(0, 0.03, 360)
                models.setdefault(model, {})[order] = {"nll": float(own.mean()), "per_sample": own.tolist()}
            models[model].get("random", {})["spread"] = 0.05 + i / 100
        facts = {"split": "test", "count": 360, "positions": GRID.positions, "models": models, "draws": 2}
        extractions: Any = self.book.tables["orders"]
        facts["leaking"] = [
            name
            for name, source in recipe.entry.orders.items()
            if any(extractions[one.orders].policy.score == "truth" for one in read_image_by_image(source))
        ]
        if recipe.entry.classification is not None:
            facts["classification"] = classes
        write_json(out / "information.json", facts)
        return ["information.json"]

    def arm(self, name: str) -> Arm:
        """The arm of a sample set, from the book."""
        plain = {
            table: {n: e.model_dump(mode="json") for n, e in self.book.tables[table].items()}
            for table in ("samples", "models", "orders")
        }
        return read_arm(name, plain["samples"][name], plain["models"], plain["orders"])

    def walks(self, kind: str, count: int, seed: int) -> np.ndarray:
        """Orders: a rule's, random ones, or ones that go inwards from the rim as greedy ones do."""
        if kind in ("raster", PERMUTATION):
            name = "fixed_random" if kind == PERMUTATION else kind
            return rule_order(name, GRID, seed).expand(count, -1).numpy()
        ids = torch.arange(count)
        if kind == "random":
            return noise.permutations(seed, noise.Stream.VISIT, ids, 0, GRID.positions).numpy()
        place = GRID.coordinates().double() - 2.5
        inwards = -(place**2).sum(dim=1).sqrt()
        jitter = torch.from_numpy(np.random.default_rng(seed).normal(0, 0.6, (count, GRID.positions)))
        return (inwards + jitter).argsort(dim=1).numpy()

    def _fill(self, out: Path, arm: Arm, count: int, seed: int) -> None:
        """A sample set that shows real digits, one class after another."""
        source = self.source()
        labels = np.arange(count) % 10
        by_class = [source.index.sample_id[source.index.label == label] for label in range(10)]
        ids = np.array([by_class[label][(i // 10) % len(by_class[label])] for i, label in enumerate(labels)])
        store = SampleStore.create(out / "samples.zarr", count=count, resolution=24, grid=GRID, shard=count)
        store.write_shard(
            0,
            images=source.load(ids),
            tokens=np.zeros((count, GRID.positions), np.int64),
            orders=self.walks(arm.sampled_in, count, seed).astype(np.int64),
            scores=np.zeros((count, GRID.positions), np.float32),
            labels=labels,
            seeds=np.arange(count, dtype=np.int64),
        )
