# Everything starts here. Needs make, Python >= 3.10 with venv, and nothing else:
#   make demo                          the whole story on this machine (ARGS="--headless --duration 30" for plain lines)
#   make test                          set up and run the tests        (ARGS="tests/unit -k config" for some)
#   make storms N=100000               simulated storms on all cores; Ctrl-C stops, the same again goes on
#   make check                         linters, formatter, types, floors
#   make nemesis MINUTES=10            hurt real daemons for so long, and see whether they keep their word
#   make fuzz MINUTES=5                hostile traffic on every port of real daemons, and whether anybody noticed
#   make bench LONG=30                 how fast it is, beside a bare sketch, and in LONG minutes; needs an idle machine
#   make profile                       what leader and follower spend that time on; needs an idle machine, Linux, root
#   make proof                         every layer of the proof at full size, and one table: takes hours
#   make clean                         away with all that make made
# PYTHON=python3.12 picks the interpreter, VENV=dir the place of the environment.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
N ?= 1000
MINUTES ?= 10
BIN := $(VENV)/bin

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test storms nemesis fuzz bench profile proof check clean
.DELETE_ON_ERROR:

demo: $(VENV)/.core
	@$(BIN)/hfzmq demo $(ARGS)

# Who is idle takes from what others have not begun. What computes goes first, one process a core. Then what waits for
# daemons most of the time, one process more than there are cores; ports and folders are each test's own.
COMPUTES := tests/unit tests/simulation tests/powercuts tests/reads \
	$(wildcard tests/integration/test_model_*.py tests/integration/test_storage_*.py)
ONE_MORE = $$($(BIN)/python -c 'import os; print(os.cpu_count() + 1)')

test: $(VENV)/.dev
ifeq ($(ARGS),)
	$(BIN)/python -m pytest -n auto --dist worksteal $(COMPUTES)
	$(BIN)/python -m pytest -n $(ONE_MORE) --dist worksteal -m "not alone" $(addprefix --ignore ,$(COMPUTES))
	$(BIN)/python -m pytest -m alone tests/system
else
	$(BIN)/python -m pytest $(ARGS)
endif

storms: $(VENV)/.dev
	@$(BIN)/python -m tests.simulation.campaign --compiled --storms $(N) $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

nemesis: $(VENV)/.dev
	@tests/nemesis/install.sh
	$(BIN)/python -m tests.nemesis --minutes $(MINUTES) $(ARGS)

fuzz: $(VENV)/.dev
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES) $(ARGS)

BENCH = $(BIN)/hfzmq bench --results docs/results/bench.json
LONG ?= 30

bench: $(VENV)/.dev
	@$(BENCH) --baseline --plain --rounds 5 --seconds 5 $(ARGS)
	@$(BENCH) --failover 20
	@$(BENCH) --failover 20 --lease 150
	@$(BENCH) --growth --rounds 3
	@$(BENCH) --minutes $(LONG); flat=$$?; \
	$(BIN)/python -m hfzmq.cli.bench.document docs/results/bench.json docs/performance.md && exit $$flat

profile: $(VENV)/.profile
	$(BIN)/python -m tests.profile --results docs/results/profile.json $(ARGS)
	@$(BIN)/python -m tests.profile.document docs/results/profile.json docs/performance.md

proof: $(VENV)/.dev
	@tests/nemesis/install.sh
	$(BIN)/python -m tests.proof $(ARGS)

clean:
	rm -rf $(VENV) .venv-ci build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is newer than what it depends on: nothing is installed again as long as these files have not changed.
$(VENV)/.core: setup.cfg pyproject.toml | $(BIN)/python
	@echo "installing hfzmq into $(VENV) ..." >&2
	@$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.profile: setup.cfg pyproject.toml | $(BIN)/python
	@echo "installing hfzmq and py-spy into $(VENV) ..." >&2
	@$(BIN)/python -m pip install --quiet --editable '.[profile]'
	@touch $@ $(VENV)/.core

$(VENV)/.dev: setup.cfg pyproject.toml | $(BIN)/python
	@echo "installing hfzmq with its tests' and training's needs into $(VENV) (tensorflow is large) ..." >&2
	@$(BIN)/python -m pip install --quiet --editable '.[train,dev]'
	@touch $@ $(VENV)/.core

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 10) else "Python >= 3.10 is needed; try: make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv $(VENV)
