# edgeckpt: everything a user or CI runs. Needs python3 (3.10+, with venv), make and git.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
BOARD ?= RPI_PICO

.PHONY: help setup demo test test-full bench lint firmware mpy clean

help:
	@echo "make demo       the main job on a virtual board, over a serial line"
	@echo "make test       all tests (test-full: the long sweeps too)"
	@echo "make bench      tables of time, bytes and wear, against the usual alternatives"
	@echo "make firmware   a flashable image with the module frozen (BOARD=$(BOARD))"
	@echo "make mpy        .mpy files for every architecture"
	@echo "make lint       ruff and type checks"

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[test]'
	@touch $@

setup: $(STAMP)

demo: $(STAMP)
	@$(BIN)/python boards/unix/demo.py

test: $(STAMP) lint
	@$(BIN)/python -m pytest -n auto --dist worksteal -q

test-full: $(STAMP) lint
	@EDGECKPT_FULL=1 $(BIN)/python -m pytest -n auto --dist worksteal -q

bench: $(STAMP)
	@$(BIN)/python tests/bench/run.py

lint: $(STAMP)
	@$(BIN)/ruff check -q .
	@$(BIN)/ruff format -q --check .
	@$(BIN)/mypy --no-error-summary

firmware: $(STAMP)
	@$(BIN)/python -m boards.tools.firmware $(BOARD)

mpy: $(STAMP)
	@$(BIN)/python -m boards.tools.mpy

clean:
	rm -rf $(VENV) build dist *.egg-info
