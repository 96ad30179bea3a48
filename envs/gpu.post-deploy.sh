#!/usr/bin/env bash
# Installs oarpipe, with PyPI's CUDA build of torch, from the clone that Snakemake runs in.
set -euo pipefail
pip install --constraint constraints.txt .
