#!/usr/bin/env bash
# Installs oarpipe from the clone that Snakemake runs in.
set -euo pipefail
pip install --extra-index-url https://download.pytorch.org/whl/cpu "torch==2.13.0+cpu"
pip install --constraint constraints.txt ".[hub]"  # published weights are fetched in this environment
