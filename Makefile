# The targets are exactly what CI runs.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
DEMO := build/demo

.PHONY: help check test demo docs bench lock

help:
	@echo "make demo   the example, from delivered files to answers, in build/demo"
	@echo "make test   the tests"
	@echo "make check  lint, types, import contract"
	@echo "make docs   the documentation, into site/"
	@echo "make bench  the benchmarks, as ratios to hand-written work"
	@echo "make lock   pin the dependencies anew (needs uv)"

# The only set-up: a virtual environment with the pinned dependencies and assay itself.
$(READY): requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(READY)

check: $(READY)
	$(BIN)/ruff check src tests docs
	$(BIN)/mypy
	$(BIN)/lint-imports

# A file's tests stay in one process: they share a server. A third process works while others wait.
test: $(READY)
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

demo: $(READY)
	@PATH="$(abspath $(BIN)):$$PATH" sh docs/demo.sh "$(DEMO)"
	@echo "Go on:  . $(BIN)/activate && cd $(DEMO) && assay status"

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

bench: $(READY)
	$(BIN)/python benchmarks/spine.py

lock:
	uv pip compile --quiet --generate-hashes --python-version 3.11 --extra dev --custom-compile-command "make lock" -o requirements.txt pyproject.toml
