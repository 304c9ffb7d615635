# One line each: make demo, make test, make check, make clients, make fuzz, make soak, make bench. First use makes .venv.

# The first of these that really runs: a name on PATH may be a shim that leads nowhere.
PYTHON ?= $(shell for name in python3.14 python3.13 python3.12 python3.11 python3; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$name; break; }; done)
IN := .venv/bin
READY := .venv/.ready

.PHONY: help demo test check clients fuzz soak bench clean
help: ; @echo "make demo | test | check | clients | fuzz | soak | bench | clean"
demo: $(READY) ; @$(IN)/python examples/demo.py
test: $(READY) ; @$(IN)/python -m pytest --numprocesses 2 --dist loadfile
check: $(READY) ; @$(IN)/ruff check && $(IN)/ruff format --check && $(IN)/mypy fnkit tests benchmarks
clients: $(READY) ; @$(IN)/python -m pytest -m clients tests/conformance/clients
fuzz: $(READY) ; @$(IN)/python -m tests.conformance.fuzz
soak: $(READY) ; @$(IN)/python -m tests.soak
bench: $(READY) ; @$(IN)/python -m benchmarks
clean: ; rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(READY): pyproject.toml
	@test -n "$(PYTHON)" || { echo "fnkit needs Python 3.11 or newer; none was found (or set PYTHON=/path/to/python)." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { $(PYTHON) -c 'import sys; print("Python has no venv here. This installs it:\n  sudo apt-get install -y python%d.%d-venv" % sys.version_info[:2])' >&2; exit 1; }
	@$(IN)/python -c '' 2>/dev/null || { rm -rf .venv && echo "Making .venv with $(PYTHON) …" && $(PYTHON) -m venv .venv; }
	@$(IN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	@$(IN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	@touch $@
