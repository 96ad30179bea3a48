"""A folder of pictures goes through the shipped book to a report, with one command and nothing pretended."""

import os
import subprocess
import sys
from html import escape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "config" / "images.yaml"
BIN = Path(sys.executable).parent
CLASSES = ["<b>squares", "stripes & dots"]

# The shipped book with the smallest networks, and without the search, the control and the likelihoods.
TRY = f"""
base: {BOOK}
datasets: {{images: {{resolution: 16, test_every: 4}}}}
features: {{images: {{channels: 4, dimensions: 8, train: {{steps: 4, batch: 8}}}}}}
tokenizers: {{images: {{width: 8, codebook: 8, train: {{steps: 4, batch: 8}}}}}}
models:
  any: {{layers: 1, heads: 1, width: 16, train: {{steps: 4, batch: 8, validate_every: 2}}}}
  random: {{train: {{steps: 2}}}}
samples: {{any_random: {{count: 20}}, random_random: null}}
searches: {{best: null}}
evaluations: {{all: {{kernel_subsets: 2, kernel_subset_size: 10, bootstrap: 5}}}}
information: {{all: null}}
reports: {{all: {{information: null}}}}
"""


def test_the_book_for_ones_own_images_is_under_25_lines() -> None:
    assert len(BOOK.read_text().splitlines()) < 25


@pytest.mark.slow
def test_a_folder_of_images_becomes_a_report_with_one_command(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in CLASSES:
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(16):
            size = (int(rng.integers(12, 60)), int(rng.integers(12, 60)), 3)  # some smaller than the crop
            pixels = rng.integers(0, 256, size, dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{i}.{'jpg' if i % 2 else 'png'}")
    (tmp_path / "try.yaml").write_text(TRY)
    command = [str(BIN / "snakemake"), "-s", str(ROOT / "Snakefile"), "-d", str(tmp_path), "--cores", "2"]
    run = subprocess.run(
        [*command, "--set-scatter", "extract=1", "generate=1", "--configfile", str(tmp_path / "try.yaml")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "XDG_CACHE_HOME": str(tmp_path / "cache")},
    )
    assert run.returncode == 0, run.stderr
    report = (tmp_path / "results/images/reports/all/report.html").read_text()
    for name in CLASSES:
        assert escape(name) in report
        assert name not in report
