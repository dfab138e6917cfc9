# Two commands for people: `make demo` and `make test`. Both call `install`, which is instant when
# nothing changed.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
REQUIREMENTS := requirements.txt requirements-dev.txt requirements-sdk.txt
LOCKS := requirements.lock requirements-dev.lock
PIP := $(BIN)/python -m pip --disable-pip-version-check
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3 python; do \
	$$python -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)

.PHONY: help install demo test soak hub-check image-test lint format docs pictures lock licences sbom clean

help:
	@echo 'make demo     Label Studio with pre-labelled frames on this machine; Ctrl-C ends it'
	@echo 'make test     all tests, with a real Label Studio and a headless Chromium'
	@echo 'make soak     the long forms of tests: 5,000 tasks, 20 kills (some 15 minutes)'
	@echo 'make hub-check  ask the Hugging Face hub whether the listed weights are there'
	@echo 'make image-test  build and run the container image without an engine (root, buildah, runc)'
	@echo 'make lint     style, types, import rules, Dockerfile'
	@echo "make docs     the README's tables, from the code"
	@echo "make pictures the README's pictures, after 'make test'"
	@echo 'make install  only the virtual environment $(VENV)'
	@echo 'make lock     requirements*.lock anew, with the newest versions that the requirements allow'
	@echo 'make licences the licence of every package that is installed with this one'
	@echo 'make sbom     dist/sbom.cdx.json, the software bill of materials (CycloneDX)'
	@echo 'make clean    remove what the commands above made'

install: $(INSTALLED)

# The lock names every package with its hashes, so nothing is left to resolve.
$(INSTALLED): $(LOCKS) pyproject.toml
	@test -n '$(PYTHON)' || { echo 'Python 3.11 or newer with its venv module is needed:' \
		'"apt-get install python3 python3-venv" (Debian, Ubuntu) or "brew install python@3.11"' \
		'(macOS), or name one: make PYTHON=/path/to/python3.11'; exit 1; }
	@$(BIN)/python -c '' 2>/dev/null || { echo 'Making $(VENV) with $(PYTHON)'; \
		$(PYTHON) -m venv --clear $(VENV); }
	@cp requirements-dev.lock $(VENV)/install.lock
ifdef TORCH_INDEX
	$(PIP) install --no-deps --index-url '$(TORCH_INDEX)' \
		$$(sed -n 's/^\(torch\(vision\)\{0,1\}==[0-9.]*\).*/\1/p' requirements.lock)
	@sed -f docker/cpu.sed requirements-dev.lock > $(VENV)/install.lock
endif
	$(PIP) install --no-deps --require-hashes -r $(VENV)/install.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# label-studio-ml is locked apart: its own pins (Flask 1.1.2 ...) cannot be met beside Flask 3.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --upgrade
lock: install
	$(LOCK) requirements.txt --output-file requirements.lock
	$(LOCK) $(REQUIREMENTS) --constraints requirements.lock --output-file requirements-dev.lock
	echo 'label-studio-ml==1.0.9' | $(LOCK) --no-deps - >> requirements-dev.lock

# Two packages name no licence where tools look: the SDK brings a file of it, and cuda-toolkit is a
# list of NVIDIA's packages without code.
licences: install
	@$(BIN)/pip-licenses --from=mixed --format=markdown --with-urls --packages \
		$$(sed -n 's/^\([A-Za-z0-9._-]*\)==.*/\1/p' requirements.lock) | sed \
		-e '/^| label-studio-sdk /s/UNKNOWN/Apache-2.0 (its file LICENSE)/' \
		-e '/^| cuda-toolkit /s/UNKNOWN/none: the packages it lists have theirs/'

sbom: install
	@mkdir -p dist
	$(BIN)/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml \
		--output-reproducible --output-file dist/sbom.cdx.json

demo: install
	@$(BIN)/videogem demo $(if $(MODEL),--model '$(MODEL)')

# Each of the processes takes whole files; the end-to-end tests are one of them.
test: install
	$(BIN)/python -m pytest --numprocesses 2 --dist loadgroup --no-loadscope-reorder

soak: install
	$(BIN)/python -m pytest -m soak

hub-check: install
	$(BIN)/python -m videogem.backbones.hub_check

image-test: install
	$(BIN)/python -m tests.image $(IMAGE_OPTIONS)

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
