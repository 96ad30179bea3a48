# make demo    the whole line on real handwritten digits; ends with the path of its report
# make test    every test that needs no GPU and no cluster
# make cluster the line on a real Slurm, started on this machine for the while; needs root
# make faults  what machines and clusters do to jobs, the long trials (docs/faults.md)
# make lint    style, types, spelling
# make smoke   the line at a budget of minutes
# make benchmarks  how fast this machine is, into docs/benchmarks.md
#
# All of them work in .venv, which is made from the first Python >= 3.11 found (or PYTHON=…).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

FIND_PYTHON = for p in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
	if "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo "$$p"; exit; fi; done
PIP = .venv/bin/python -m pip --disable-pip-version-check
SNAKEMAKE = .venv/bin/snakemake --profile workflow/profiles/local
# Rules call `oarpipe`, so the environment's commands come first.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: demo smoke test cluster faults lint benchmarks

demo: .venv/.installed
	$(SNAKEMAKE) --configfile config/config.yaml
	@oarpipe show config/config.yaml reports

smoke: .venv/.installed
	$(SNAKEMAKE) --configfile config/smoke.yaml
	@oarpipe show config/smoke.yaml reports

# Give the machine nothing else to do meanwhile.
benchmarks: .venv/.installed
	oarpipe benchmark --out docs/benchmarks.md

# Each worker computes with one thread, so that the workers do not fight over the cores.
test: .venv/.installed-test
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE pytest -n auto --dist loadfile -m 'not slurm and not faults'

cluster: .venv/.installed-test
	OMP_WAIT_POLICY=PASSIVE pytest tests/cluster -m 'not faults'

faults: .venv/.installed-test
	OMP_WAIT_POLICY=PASSIVE pytest tests -m faults

lint: .venv/.installed-test
	ruff check
	ruff format --check
	mypy
	snakefmt --check Snakefile workflow
	codespell

.venv/bin/python:
	@python=$$($(FIND_PYTHON)); \
	if [ -z "$$python" ]; then \
		echo "make: no Python >= 3.11 found; install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; \
		exit 1; \
	fi; \
	echo "making .venv with $$("$$python" --version)"; \
	"$$python" -m venv .venv

# torch first: whatever asks for some torch afterwards finds this one.
.venv/.installed: pyproject.toml constraints.txt | .venv/bin/python
	@.venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "make: .venv has a Python older than 3.11; remove .venv and run again" >&2; exit 1; }
	@echo "installing torch, the largest part; this takes some minutes, once"
	@$(PIP) install --quiet --progress-bar on --constraint constraints.txt torch
	@echo "installing oarpipe and what else it needs"
	@$(PIP) install --quiet --progress-bar on --constraint constraints.txt --editable .
	@touch $@

.venv/.installed-test: .venv/.installed
	@echo "installing what the tests need"
	@$(PIP) install --quiet --constraint constraints.txt --editable '.[test]'
	@touch $@
