# The developer's verbs. All that they need is installed into .venv by CPython 3.11 or later and pip.

PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# What is used is compiled when it is used; all of it would take half a minute.
export PIP_NO_COMPILE = 1

.PHONY: help install demo test test-long test-all check dist lowest highest wheels sbom docs results fuzz torture bench clean

help:
	@echo "make demo        install, fetch the default model (98 MB), then learn made-up associations and forecast weather"
	@echo "make install     .venv with everything, the tools of tests and checks too"
	@echo "make test        install, and run the tests, but for the long ones"
	@echo "make test-all    the long ones too: more random cases, and whole products of what is tried in part before"
	@echo "make check       every check of style, types, imports and packaging"
	@echo "make dist        build wheel and sdist in build/dist, and check them as the index does"
	@echo "make lowest      run the tests with the lowest versions that pyproject.toml allows (TESTS=..., PYTHON=...); highest too"
	@echo "make wheels      ask the index which extras can be installed where, for the table in docs/installing.md"
	@echo "make sbom        list what [all] brings with licences, in build/licences.md and build/sbom.json"
	@echo "make docs        build the documentation in build/site; a link or a page that is not there is an error"
	@echo "make results     make the pages in docs/results again from the tables of steps there; no model is asked"
	@echo "make fuzz        give every reader of outside bytes SECONDS (30) of bytes that nobody would write"
	@echo "make torture     kill processes of the service and its PostgreSQL KILLS (200) times, and look what was lost"
	@echo "make bench       measure speed"
	@echo "make clean       remove .venv and caches"

# One install for users and one for developers; each is made again when what it needs changes.
.venv/.installed: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing llm-as-rnn into .venv"
	@$(BIN)/python -m pip install --quiet --editable ".[all]"
	@touch $@

.venv/.developing: .venv/.installed
	@echo "installing what tests and checks need"
	@$(BIN)/python -m pip install --quiet --editable ".[all,dev]"
	@touch $@

.venv/.documenting: .venv/.installed
	@echo "installing what the documentation needs"
	@$(BIN)/python -m pip install --quiet --editable ".[all,docs]"
	@touch $@

install: .venv/.developing

demo: .venv/.installed
	@$(BIN)/llm-as-rnn run probe-recall --model llamacpp:smollm2-135m --quick --methods zero_shot,full_history,recurrent
	@$(BIN)/llm-as-rnn run weather --model llamacpp:smollm2-135m --quick

# Tests start many processes, each of which would compile every module anew.
test test-long: export PYTHONDONTWRITEBYTECODE :=

# A process for each core, up to eight: half of the time that one takes on two cores.
PYTEST := $(BIN)/python -m pytest -q -n logical --maxprocesses 8 --dist worksteal

test: .venv/.developing
	@$(PYTEST) -m "not long"

test-long: .venv/.developing
	@$(PYTEST) -m long

# More random cases of every property, too.
test-all: export LLM_AS_RNN_THOROUGH := 1
test-all: test test-long

check: .venv/.developing
	$(BIN)/ruff check --no-cache
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

dist: .venv/.developing
	@rm -rf build/dist
	@$(BIN)/python -m build --no-isolation --outdir build/dist .
	@$(BIN)/twine check --strict build/dist/*
	@$(BIN)/check-wheel-contents build/dist/*.whl
	@rm -rf build/alone && $(PYTHON) -m venv build/alone
	@build/alone/bin/python -m pip install --quiet build/dist/*.whl
	@cd build && alone/bin/llm-as-rnn --version && alone/bin/llm-as-rnn doctor > alone/doctor.txt

# Environments of their own, in build/.
RANGES = $(BIN)/python deploy/ranges.py $@ --python $(PYTHON) $(foreach name,$(WITHOUT),--without $(name)) $(TESTS)

lowest: .venv/.developing
	@$(RANGES)

highest: .venv/.developing
	@$(RANGES)

# Takes minutes: it asks for every Python and platform.
wheels: .venv/.developing
	@$(BIN)/python deploy/ranges.py table

sbom: .venv/.developing
	@$(BIN)/python deploy/sbom.py

# Read build/site/index.html; where the search is wanted, after `python3 -m http.server -d build/site`.
docs: .venv/.documenting
	@$(BIN)/python docs/make.py
	@$(BIN)/zensical build --clean --strict

# How the tables are made: docs/sweeps.md.
results: .venv/.installed
	@$(BIN)/python benchmarks/results.py build

# Guided by coverage where atheris can be had; else hypothesis draws the bytes.
fuzz: .venv/.developing
	@$(BIN)/python -m pip install --quiet "atheris>=3" || echo "atheris cannot be had here: hypothesis takes its place"
	@$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),30)

# Needs PostgreSQL's programs; with WHERE=--sqlite it does not.
torture: .venv/.developing
	@$(BIN)/python -m tests.service.torture --kills $(or $(KILLS),200) $(WHERE)

bench: .venv/.developing
	$(BIN)/python benchmarks/engine_overhead.py
	$(BIN)/python benchmarks/run_overhead.py
	$(BIN)/python benchmarks/ray_scaling.py
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/report.py

clean:
	rm -rf .venv build .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .fuzz
