# The targets are exactly what CI runs.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help check test demo lock

help:
	@echo "make demo   the example from delivered files to answers"
	@echo "make test   the tests"
	@echo "make check  lint, types, import contract"
	@echo "make lock   pin the dependencies anew"

$(READY): requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(READY)

check: $(READY)
	$(BIN)/ruff check src tests
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(READY)
	$(BIN)/pytest

demo: $(READY)
	rm -rf build/demo
	$(BIN)/assay init build/demo --example expenses
	cd build/demo && ../../$(BIN)/python generate.py
	cd build/demo && ../../$(BIN)/assay apply
	cd build/demo && (../../$(BIN)/assay run || test $$? -eq 3)
	cd build/demo && ../../$(BIN)/assay status

lock:
	uv pip compile --quiet --generate-hashes --python-version 3.11 --extra dev --custom-compile-command "make lock" -o requirements.txt pyproject.toml
