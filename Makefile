# make demo    the bundled clip through the whole pipeline, counts compared with the truth
# make test    the tests
# make check   formatting, lint, types, documentation and tests: what CI runs
# make docs    the documentation site, in out/site
# make release wheel and sdist in dist/, and the wheel tried in a clean environment
#
# The first call makes .venv and installs; TORCH=cpu fetches the smaller build of PyTorch without CUDA.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3.11 python3.12 python3; do command -v $$p && break; done)
TORCH ?=
EXTRAS := onnx,postgres
ARGS ?=
# One pytest process for each core, at most four; each file is one worker's. JOBS=0 runs all tests in one process.
JOBS ?= logical
PYTEST = $(BIN)/python -m pytest -n $(JOBS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-fast check fmt lint types docs docs-serve hooks release schema clean distclean venv

demo: $(VENV)/.ready
	@$(BIN)/tallycam demo $(ARGS)

test: $(VENV)/.ready-dev
	$(PYTEST) $(ARGS)

test-fast: $(VENV)/.ready-dev
	$(PYTEST) -m "not slow" $(ARGS)

check: lint types docs test

lint: $(VENV)/.ready-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	@if command -v shellcheck >/dev/null; then shellcheck .ci/run tools/*.sh; \
	else echo "shellcheck is not installed: shell scripts are not linted"; fi

types: $(VENV)/.ready-dev
	$(BIN)/mypy

docs: $(VENV)/.ready-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

docs-serve: $(VENV)/.ready-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

hooks: $(VENV)/.ready-dev
	$(BIN)/pre-commit install

release: $(VENV)/.ready-dev
	@PYTHON="$(PYTHON)" TORCH="$(TORCH)" sh tools/release.sh $(BIN)/python

fmt: $(VENV)/.ready-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

schema: $(VENV)/.ready-dev
	$(BIN)/python -c "import json; from pipeline.config.schema import schema; print(json.dumps(schema(), indent=2))" \
		> configs/schema.json

venv: $(VENV)/.ready-dev

$(VENV)/.ready: pyproject.toml tools/install.sh
	@PYTHON="$(PYTHON)" TORCH="$(TORCH)" sh tools/install.sh $(VENV) -e .
	@touch $@

$(VENV)/.ready-dev: pyproject.toml tools/install.sh
	@PYTHON="$(PYTHON)" TORCH="$(TORCH)" sh tools/install.sh $(VENV) -e ".[$(EXTRAS)]" --group dev
	@touch $(VENV)/.ready $@

clean:
	rm -rf build dist out runs .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path "./$(VENV)/*" -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)
