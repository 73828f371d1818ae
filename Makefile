# The first task that needs packages makes .venv in this folder and leaves the rest of the machine alone. Wheels are
# kept per user, so a second checkout, or a second try without a network, downloads nothing.

PY = .venv/bin/python
UV = uv

.PHONY: help demo schemes test nightly ops check lint types imports format lock bench mutants wheel-smoke histories clean
.NOTPARALLEL:

help: ## list the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

demo: .venv/run.stamp ## carry an example engagement from signature to settlement
	@.venv/bin/tollkeeper demo

schemes: .venv/run.stamp ## settle the contracts of examples/schemes, compare with their expected numbers
	@$(PY) -m tests.schemes

test: .venv/dev.stamp ## run the tests
	@.venv/bin/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

nightly: .venv/dev.stamp ## try 5,000 long random histories of every command about money
	@TOLLKEEPER_HISTORIES=nightly .venv/bin/pytest -s tests/integration/money/histories

ops: .venv/dev.stamp ## check the alert rules and a scrape with a real Prometheus (Debian's prometheus)
	@.venv/bin/pytest tests/ops

check: lint types imports ops wheel-smoke test ## everything CI checks

lint: .venv/dev.stamp ## look for mistakes and unformatted code
	.venv/bin/ruff check
	.venv/bin/ruff format --check

types: .venv/dev.stamp ## check the types
	.venv/bin/mypy

imports: .venv/dev.stamp ## check that imports point one way
	.venv/bin/lint-imports --no-logo

format: .venv/dev.stamp ## format the code, mend what can be mended by rule
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

bench: .venv/dev.stamp ## measure
	@$(PY) -m bench

mutants: .venv/dev.stamp ## change the money modules place by place: some test has to notice each change
	@nice $(PY) -m tests.mutants $(ONLY)

histories: .venv/dev.stamp ## record the workflow histories that the replay tests read
	@$(PY) -m tests.replay.record

wheel-smoke: .venv/dev.stamp ## build the wheel, install it alone, try it from an empty folder
	@set -e; box=$$(mktemp -d); trap 'rm -rf "$$box"' EXIT; trap 'exit 130' INT TERM; \
	echo "wheel      built, installed and tried in a temporary folder"; \
	$(PY) -m pip wheel --quiet --no-index --no-deps --no-build-isolation --wheel-dir "$$box" .; \
	$(PY) -m venv "$$box/venv"; \
	$(call install,"$$box/venv/bin/python",run); \
	"$$box/venv/bin/python" -m pip install --quiet --no-index --no-deps "$$box"/tollkeeper-*.whl; \
	mkdir "$$box/empty"; cd "$$box/empty"; \
	"$$box/venv/bin/python" -I "$(CURDIR)/tests/e2e/wheel_smoke.py"

lock: ## pin the packages anew after a change in pyproject.toml (needs uv)
	@command -v $(UV) >/dev/null || { echo "make lock needs uv; name it with: make lock UV=/path/to/uv"; exit 1; }
	$(compile) --output-file requirements/run.txt
	$(compile) --group lint --group test --constraints requirements/run.txt --output-file requirements/dev.txt
	@! grep -n '://' requirements/run.txt requirements/dev.txt

clean: ## remove what these tasks made in this folder
	rm -rf .venv .cache .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache dist mutants
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

compile = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command 'make lock' pyproject.toml --extra embedded --group build

# dev.txt holds everything run.txt holds, so either set answers for run.
.venv/%.stamp: $(PY) requirements/%.txt pyproject.toml
	@$(call install,$(PY),$*)
	@echo "tollkeeper linked into .venv"
	@$(PY) -m pip install --quiet --no-index --no-deps --no-build-isolation --editable .
	@touch .venv/run.stamp $@

$(PY):
	@$(make-venv)

export PIP_DISABLE_PIP_VERSION_CHECK = 1
# The wheels are kept below; pip's own cache would hold them a second time.
export PIP_NO_CACHE_DIR = 1

# $(call install,PYTHON,SET) installs requirements/SET.txt from the wheel cache alone; only when that fails does it
# download, with the user's own pip settings, and install again. Without a usable HOME the cache is in this folder.
define install
for cache in "$${XDG_CACHE_HOME:-$${HOME:-.}/.cache}" .cache; do \
	wheels=$$cache/tollkeeper/wheels/$$($(1) -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	mkdir -p "$$wheels" 2>/dev/null && test -w "$$wheels" && break; \
done; \
echo "packages   requirements/$(2).txt from $$wheels"; \
$(from-cache) 2>/dev/null || { \
	echo "download   what is missing there, once: about 150 MB if it is empty"; \
	$(1) -m pip download -qq --dest "$$wheels" $(pinned) && $(from-cache); \
}
endef
from-cache = $(1) -m pip install --quiet --no-index --find-links "$$wheels" --no-compile $(pinned)
pinned = --only-binary :all: --no-deps --require-hashes --requirement requirements/$(2).txt

# PYTHON=/path/to/python names one; otherwise the first fit one is taken.
define make-venv
bare=; \
for python in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11); do \
	case $$("$$python" -c '$(fitness)' 2>/dev/null) in \
		fit) echo "python     $$(command -v $$python) makes .venv"; \
			"$$python" -m venv --clear .venv || rm -rf .venv; \
			test -d .venv; exit ;; \
		bare) bare=$$python ;; \
	esac; \
done; \
if test -n "$$bare"; then \
	echo "$$bare cannot make a virtual environment: it lacks ensurepip. Debian and Ubuntu have it in python3-venv."; \
else \
	echo "no Python 3.11 to 3.14 found; install one, or name it with: make PYTHON=/path/to/python3"; \
fi >&2; exit 1
endef
fitness = import sys, importlib.util as u; \
	print("unfit" if not (3, 11) <= sys.version_info < (3, 15) else "fit" if u.find_spec("ensurepip") else "bare")
