# `make demo` and `make test` set up .venv first; once it is ready that takes no time.
PYTHON ?= python3
PYTEST_ARGS ?=
VENV_PYTHON := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help install demo test lint docs notebook clean

help:
	@echo 'make demo     distill the embedded digit scenes and measure the result'
	@echo 'make test     run the tests; PYTEST_ARGS="-k name -x" goes to pytest'
	@echo 'make install  only make .venv ready (the first time builds mmcv: minutes)'
	@echo 'make lint     check the style of the files'
	@echo 'make docs     build the documentation in work_dirs/site'
	@echo 'make notebook run docs/notebooks/digits.ipynb and keep its outputs'
	@echo 'make clean    remove build leftovers; keeps .venv, .cache, data and work_dirs'
	@echo ''
	@echo 'PYTHON=python3.12 takes another Python; more: python3 tools/setup_venv.py --help'

install:
	@command -v $(PYTHON) >/dev/null || { \
	  echo 'error: $(PYTHON) not found; the fix: apt-get install python3 python3-venv python3-dev' >&2; \
	  exit 1; }
	@$(PYTHON) tools/setup_venv.py

demo: install
	@$(VENV_PYTHON) tools/demo.py

test: install
	@$(VENV_PYTHON) -m pytest tests -n auto --dist loadfile $(PYTEST_ARGS)

lint: install
	@$(VENV_PYTHON) -c 'import ruff, mypy' 2>/dev/null || \
	  $(VENV_PYTHON) -m pip install -q -c requirements/constraints.txt ruff mypy
	@$(VENV_PYTHON) -m ruff check .
	@$(VENV_PYTHON) .dev_scripts/check_files.py
	@$(VENV_PYTHON) -m mypy

docs: install
	@$(VENV_PYTHON) -c 'import mkdocs, mkdocstrings_handlers.python' 2>/dev/null || \
	  $(VENV_PYTHON) -m pip install -q -c requirements/constraints.txt -r requirements/docs.txt
	@NO_MKDOCS_2_WARNING=1 $(VENV_PYTHON) -m mkdocs build --quiet
	@echo 'the documentation is in work_dirs/site/index.html'

notebook: install
	@$(VENV_PYTHON) -c 'import ipykernel, nbclient' 2>/dev/null || \
	  $(VENV_PYTHON) -m pip install -q -c requirements/constraints.txt -r requirements/notebook.txt
	@$(VENV_PYTHON) .dev_scripts/run_notebook.py docs/notebooks/digits.ipynb

clean:
	@rm -rf build dist mmdd.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	@find mmdd tools tests configs -name __pycache__ -type d -prune -exec rm -rf {} +
