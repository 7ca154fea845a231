# Everything a fresh machine needs is python3 (3.10–3.13), make and a package index.
#   make book    the rendered book, in _build/html
#   make test    everything that is checked
# `make` alone lists the rest.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
EXTRAS := data,weights,tools,ray,book,test
ifdef NO_COLOR
BOLD :=
else
BOLD := $(shell [ -t 2 ] && tput bold 2>/dev/null)
PLAIN := $(shell [ -t 2 ] && tput sgr0 2>/dev/null)
endif
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONUTF8 := 1
# Two torch processes with two threads each on two cores run ten times slower; one thread each is safe.
TEST_THREADS := OMP_NUM_THREADS=1

.PHONY: help venv book serve test fast lint types unit notebooks-test browser notebooks sync check-pairs screenshots clean distclean

help:  ## list the targets
	@echo "The executable book on language models."; echo
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  $(BOLD)make %-15s$(PLAIN) %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ---- environment ------------------------------------------------------------------------------

venv: $(VENV)/.installed  ## the environment, made once from constraints.txt

$(VENV)/.installed: pyproject.toml constraints.txt tools/install.py
	@$(PYTHON) tools/install.py --venv $(VENV) --extras $(EXTRAS)
	@touch $@

# ---- the book ---------------------------------------------------------------------------------

book: venv  ## build the book from the notebooks' stored outputs
	@$(BIN)/python tools/build_book.py

serve: book  ## build, then serve the book at a loopback address
	@echo "The book: http://127.0.0.1:$${PORT:-8000}/  (Ctrl-C ends)"
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html $${PORT:-8000} 2>/dev/null || \
	  { echo "cannot serve at port $${PORT:-8000}: is it taken? Another one: make serve PORT=8001"; exit 1; }

notebooks: venv  ## execute the chapters, one at a time (CHAPTERS="01 02" for some)
	@$(BIN)/python tools/execute.py $(CHAPTERS)

sync: venv  ## bring each chapter's text and notebook together
	@$(BIN)/jupytext --sync --quiet book/chapters/*.md
	@echo "text and notebooks are in step"

screenshots: book  ## pictures of every page, narrow and wide, light and dark
	@$(BIN)/python tools/screenshots.py

# ---- checks -----------------------------------------------------------------------------------

test: lint types book unit notebooks-test browser  ## everything: lint, types, unit, slow, notebooks, browser
	@echo "all checks passed"

fast: venv  ## the fast tier only (about a minute)
	@$(TEST_THREADS) $(BIN)/python -m pytest tests/unit tests/integration -q -m "not slow and not network and not gpu and not browser"

lint: venv  ## style, spelling, and text/notebook pairs
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --check --quiet . && echo "style: clean"
	@$(BIN)/codespell -q 3 --ignore-words-list gage *.md book/*.md book/chapters && echo "spelling: clean"
	@$(BIN)/python tools/check_pairs.py

types: venv  ## mypy, strict
	@$(BIN)/mypy --no-error-summary && echo "types: clean"

unit: venv  ## unit and integration tests, slow ones too, with coverage
	@$(TEST_THREADS) $(BIN)/python -m pytest tests/unit tests/integration -q -m "not network and not gpu and not browser" \
	  --cov=llmcourse --cov-branch --cov-report=term:skip-covered --cov-report=xml:_build/coverage.xml --cov-fail-under=90 --durations=8

notebooks-test: venv  ## re-run the notebooks and compare what is exact
	@$(TEST_THREADS) $(BIN)/python -m pytest tests/notebooks -q --durations=5
	@$(TEST_THREADS) $(BIN)/python -m pytest --nbval-lax notebooks/*.ipynb -q --nbval-cell-timeout=120 --nbval-sanitize-with tests/notebooks/sanitize.cfg

browser: venv  ## look at the built pages in a browser
	@$(BIN)/python -m pytest tests/book -q -rs

# ---- tidying ----------------------------------------------------------------------------------

clean:  ## remove what is built
	@rm -rf _build .pytest_cache .mypy_cache .ruff_cache .coverage .coverage.* book/assets/vendor
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean  ## remove the environment and the caches too
	@rm -rf $(VENV) .cache
