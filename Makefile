# Two commands for people: `make demo` and `make test`. Both call `install`, which is instant when
# nothing changed.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
REQUIREMENTS := requirements.txt requirements-dev.txt requirements-sdk.txt
PIP := $(BIN)/python -m pip --disable-pip-version-check
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3 python; do \
	$$python -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)

.PHONY: help install demo test soak hub-check lint format docs pictures clean

help:
	@echo 'make demo     Label Studio with pre-labelled frames on this machine; Ctrl-C ends it'
	@echo 'make test     all tests, with a real Label Studio and a headless Chromium'
	@echo 'make soak     the long forms of tests: 5,000 tasks, 20 kills (some 15 minutes)'
	@echo 'make hub-check  ask the Hugging Face hub whether the listed weights are there'
	@echo 'make lint     style, types, import rules, Dockerfile'
	@echo "make docs     the README's tables, from the code"
	@echo "make pictures the README's pictures, after 'make test'"
	@echo 'make install  only the virtual environment $(VENV)'
	@echo 'make clean    remove what the commands above made'

install: $(INSTALLED)

# label-studio-ml is not among the requirements: its own pins (Flask 1.1.2 ...) cannot be met beside
# Flask 3. It works without them.
$(INSTALLED): $(REQUIREMENTS) pyproject.toml
	@test -n '$(PYTHON)' || { echo 'Python 3.11 or newer with its venv module is needed:' \
		'"apt-get install python3 python3-venv" (Debian, Ubuntu) or "brew install python@3.11"' \
		'(macOS), or name one: make PYTHON=/path/to/python3.11'; exit 1; }
	@$(BIN)/python -c '' 2>/dev/null || { echo 'Making $(VENV) with $(PYTHON)'; \
		$(PYTHON) -m venv --clear $(VENV); }
	$(PIP) install $(REQUIREMENTS:%=-r %)
	$(PIP) install --no-deps label-studio-ml==1.0.9
	$(PIP) install --no-deps --editable .
	@touch $@

demo: install
	@$(BIN)/videogem demo $(if $(MODEL),--model '$(MODEL)')

test: install
	$(BIN)/python -m pytest

soak: install
	$(BIN)/python -m pytest -m soak

hub-check: install
	$(BIN)/python -m videogem.backbones.hub_check

lint: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint docker/Dockerfile

format: install
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: install
	$(BIN)/python -m tests.docs_tables

pictures: install
	$(BIN)/python -m tests.e2e.pictures

clean:
	rm -rf $(VENV) .venv-label-studio .venv-label-studio.lock var test-artifacts
