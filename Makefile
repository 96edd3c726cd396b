# Every target first makes .venv and installs what is missing.
#   make test PYTHON=python3.12     with another interpreter (only when there is no .venv yet)
#   make test ARGS="tests/tuners_tests -x"
#   make test ARGS="tests/test_docs.py --numprocesses 0 --pdb"
PYTHON ?= python3
ARGS ?=

PY := .venv/bin/python
INSTALLED := .venv/.installed

# An interpreter that was asked for is used or refused; otherwise any supported one will do.
CANDIDATES := $(strip $(PYTHON) $(if $(filter file,$(origin PYTHON)),python3.13 python3.12 python3.11))
SUPPORTED := import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))

.DEFAULT_GOAL := help
.PHONY: help quickstart test test-slow test-android arm64 lint format bench docs clean

help:  ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

quickstart: $(INSTALLED)  ## run the first example: search, train, export, measure
	@$(PY) examples/01_quickstart.py $(ARGS)

test: $(INSTALLED)  ## run the fast tests
	@$(PY) -m pytest --numprocesses 2 --dist loadfile $(ARGS)

test-slow: $(INSTALLED)  ## run the slow tests
	@$(PY) -m pytest -m slow $(ARGS)

test-android: $(INSTALLED) .venv-android/.installed  ## load exported files with MediaPipe, which has an environment of its own
	@$(PY) tests/android/make_files.py build/android
	@.venv-android/bin/python tests/android/classify.py build/android

arm64: $(INSTALLED)  ## make .arm64, in which test-slow runs exported files; needs root, qemu and debootstrap
	@$(PY) tests/arm64/emulation.py

lint: $(INSTALLED)  ## check style, format and types
	@failed=0; \
	$(PY) -m ruff check . || failed=1; \
	$(PY) -m ruff format --check . || failed=1; \
	$(PY) -m mypy || failed=1; \
	exit $$failed

format: $(INSTALLED)  ## format the code and mend what can be mended
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

bench: $(INSTALLED)  ## run the benchmark; make bench ARGS=--help lists its options
	@$(PY) benchmarks/image_classification.py $(ARGS)

docs: .venv-docs/.installed  ## build the documentation into site/; a broken link fails
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict  # not --quiet: strict would see no warnings
	@echo "written: site/index.html"

clean:  ## remove what builds and tests leave behind; keeps .venv
	@rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache quickstart_output site
	@find . -path ./.venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): setup.py constraints.txt | $(PY)
	@echo "installing automl_keras and what it needs into .venv, a few minutes the first time"
	@$(PY) -m pip install -qq --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

.venv-android/.installed: tests/android/requirements.txt | $(PY)
	@echo "installing mediapipe into .venv-android"
	@$(PY) -m venv --clear .venv-android
	@.venv-android/bin/python -m pip install -qq --disable-pip-version-check --requirement $<
	@touch $@

.venv-docs/.installed: docs/requirements.txt | $(PY)
	@echo "installing mkdocs into .venv-docs"
	@$(PY) -m venv --clear .venv-docs
	@.venv-docs/bin/python -m pip install -qq --disable-pip-version-check --requirement docs/requirements.txt
	@touch $@

$(PY):
	@for python in $(CANDIDATES); do \
		if "$$python" -c '$(SUPPORTED)' 2>/dev/null; then \
			echo "making .venv with $$("$$python" --version)"; \
			exec "$$python" -m venv --clear .venv; \
		fi; \
	done; \
	echo "automl_keras needs Python 3.11, 3.12 or 3.13 with venv. Tried: $(CANDIDATES)" >&2; \
	echo "Name one: make <target> PYTHON=/path/to/python3.12" >&2; \
	exit 1
