# Targets for development. `make` lists them. The first use makes .venv; nothing else needs to be installed by hand.

# The first of these that really runs: a name on PATH may be a shim that leads nowhere.
PYTHON ?= $(shell for name in python3.14 python3.13 python3.12 python3.11 python3; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$name; break; }; done)
IN := .venv/bin
READY := .venv/.ready
LOWEST := .venv-lowest
OUT ?= constraints.txt
# What is true of every engine; docs/testing.md says what is left out.
# All tests on a cluster; CLUSTER='cluster and not long' leaves out the longest.
CLUSTER ?= cluster
CLUSTER_SUITES ?= tests/conformance/test_recorded_traffic.py tests/conformance/test_official_sdk.py \
	$(addprefix tests/integration/,test_handler_responses.py test_runtime_contract.py test_response_isolation.py \
	test_engine_scaling.py test_delivery_connection.py platform/test_cron_runs.py queues/test_nats_triggers.py \
	queues/test_nats_function_lifecycle.py queues/test_nats_chaos.py queues/test_sqs_triggers.py)
CYCLONEDX := cyclonedx-bom>=7,<8
CLIENTS ?= clients
COVERAGE ?=
# Versions to install instead of the newest ones, such as those of the last run of CI: make test CONSTRAINTS=constraints.txt
CONSTRAINTS ?=
# Tests wait a lot, so more of them run at once than there are cores on a small machine.
PYTEST := $(IN)/python -m pytest --numprocesses 3 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help format lint types check test test-long test-all test-lowest coverage docs pictures metrics demo bench clients fuzz \
	scaleway soak constraints audit sbom clean test-cluster cluster

help: ## Print this list.
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r target sentence; do \
		printf '%-14s %s\n' "$$target" "$$sentence"; done

format: $(READY) ## Format the code and sort its imports.
	@$(IN)/ruff format && $(IN)/ruff check --select I --fix

lint: $(READY) ## Check the code with every rule of ruff, and its formatting.
	@$(IN)/ruff check && $(IN)/ruff format --check

types: $(READY) ## Check types with mypy in strict mode.
	@$(IN)/mypy fnkit tests benchmarks

check: lint types ## Check lint rules, formatting and types; changes no file.

test: $(READY) ## Run the tests, without those marked long or clients: at most six minutes on two cores.
	@$(PYTEST) --hypothesis-profile quick

test-long: $(READY) ## Run what `make test` leaves out, and all examples of the property tests.
	@$(PYTEST) --numprocesses 4 -m 'long and not clients and not cluster'  # many of them wait
	@$(PYTEST) tests/property

test-all: test test-long clients ## Run every test. Clients whose toolchain (npm, go) is missing are skipped.

test-cluster: $(READY) ## Run the tests that need a Kubernetes cluster (root; the first run builds Kubernetes).
	@$(IN)/python -m pytest -m '$(CLUSTER)' tests
	@$(IN)/python -m pytest --engine=kubernetes -m 'not clients and not cluster' -k 'not fauxqs' $(CLUSTER_SUITES)

cluster: $(READY) ## Run a Kubernetes cluster of three nodes on this machine, until Ctrl-C.
	@$(IN)/python -m tests.cluster

test-lowest: $(LOWEST)/.ready ## Run unit and property tests with the lowest versions that pyproject.toml allows.
	@$(LOWEST)/bin/python -m pytest --numprocesses 3 --dist loadfile --hypothesis-profile quick $(COVERAGE) tests/unit tests/property

coverage: $(READY) ## Measure what unit and property tests cover.
	@$(PYTEST) --hypothesis-profile quick --cov --cov-report term tests/unit tests/property

docs: $(READY) ## Write the generated pages, and check links, references and examples in the documentation.
	@$(IN)/python -m tests.support.error_page && $(IN)/python -m tests.support.limits_page
	@$(IN)/python -m pytest tests/docs tests/unit/test_error_page.py

pictures: $(READY) ## Draw the pictures of commands in the documentation, with real commands.
	@$(IN)/python -m tests.support.pictures

metrics: $(READY) ## Print figures of the source tree: sizes, import cycles, duplicate names, comments.
	@$(IN)/python -m tests.support.structure

demo: $(READY) ## Start a platform, deploy two functions, call one, and remove everything again.
	@$(IN)/python examples/demo.py

bench: $(READY) ## Run the benchmarks behind the figures in README.md.
	@$(IN)/python -m benchmarks

clients: $(READY) ## Install other people's clients and run them against the platform.
	@$(IN)/python -m pytest -m '$(CLIENTS)' tests/conformance/clients

fuzz: $(READY) ## Send 2,000 generated requests to every operation of the API.
	@$(IN)/python -m tests.conformance.fuzz

attack: $(READY) ## Attack parsers, gateway, API, sandbox and storage for a few minutes (ATTACK='--minutes 60').
	@$(IN)/python -m tests.attack $(ATTACK)

scaleway: $(READY) ## Record one run against the real API, in a namespace of its own; needs a key.
	@$(IN)/python -m tests.scaleway $(SCALEWAY)

soak: $(READY) ## Deploy, call and kill at random for five minutes.
	@$(IN)/python -m tests.soak

constraints: $(READY) ## Write constraints.txt: the versions of all distributions in .venv.
	@mkdir -p $(dir $(OUT))
	@{ printf '# The versions that the tests last ran with, on Linux with %s. `make constraints` writes this file.\n' \
		"$$($(IN)/python --version)"; $(IN)/uv pip freeze --quiet --exclude-editable --python $(IN)/python; } > $(OUT)

audit: $(READY) ## Compare the installed distributions with DATABASE, a directory of OSV advisories. Works offline.
	@$(IN)/python -m tests.support.advisories $(DATABASE)

sbom: $(READY) ## Write build/fnkit.cdx.json: what fnkit and its extras install, in CycloneDX format.
	@mkdir -p build && rm -rf build/sbom
	@$(IN)/uv build --quiet --wheel --out-dir build/sbom/wheel .
	@$(IN)/uv venv --quiet --python $(IN)/python build/sbom/env
	@$(IN)/uv pip install --quiet --constraints constraints.txt --python build/sbom/env/bin/python \
		"$$(echo build/sbom/wheel/*.whl)[queues,otel]"
	@$(IN)/uv tool run --quiet --from '$(CYCLONEDX)' cyclonedx-py environment --output-reproducible \
		--pyproject pyproject.toml --output-file build/fnkit.cdx.json build/sbom/env/bin/python

clean: ## Remove the environments, builds and caches.
	rm -rf .venv $(LOWEST) build dist .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(READY): pyproject.toml
	@test -n "$(PYTHON)" || { echo "fnkit needs Python 3.11 or newer; none was found (or set PYTHON=/path/to/python)." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { $(PYTHON) -c 'import sys; print("Python has no venv here. This installs it:\n  sudo apt-get install -y python%d.%d-venv" % sys.version_info[:2])' >&2; exit 1; }
	@$(IN)/python -c '' 2>/dev/null || { rm -rf .venv && echo "Making .venv with $(PYTHON) …" && $(PYTHON) -m venv .venv; }
	@$(IN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	@$(IN)/python -m pip install --quiet --disable-pip-version-check $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS)) \
		--editable . --group dev
	@touch $@

$(LOWEST)/.ready: $(READY)
	@$(IN)/uv venv --quiet --clear --python $(IN)/python $(LOWEST)
	@$(IN)/uv pip install --quiet --resolution lowest-direct --python $(LOWEST)/bin/python --editable . --group dev
	@touch $@
