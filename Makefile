SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
override PORT := $(or $(PORT),3000)
override HOST := $(or $(HOST),127.0.0.1)
COMPOSE ?= docker compose
export BENTOML_DO_NOT_TRACK ?= True

# pip is told what uv alone, or another program, was told: the package index, and whose certificates are trusted
PIP := PIP_INDEX_URL="$${PIP_INDEX_URL:-$${UV_DEFAULT_INDEX:-$$UV_INDEX_URL}}" \
  PIP_CERT="$${PIP_CERT:-$${REQUESTS_CA_BUNDLE:-$$SSL_CERT_FILE}}"

.PHONY: help setup run test lint e2e notebook bench engines build image stack kernels clean requirements audit

help: ## show this help
	@grep -hE '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

setup: .venv/.ready ## make the environment in .venv from the pinned, hashed requirements

.venv/.ready: requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(PIP) $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

run: setup ## serve the champion, or a local model, or one trained on the sample (HOST=, PORT=)
	@FRAUD_DATABASE_URL="$${FRAUD_DATABASE_URL-sqlite:///$(CURDIR)/data/fraud.sqlite}" \
	  $(BIN)/python -m training serve --host "$(HOST)" --port "$(PORT)"

test: setup ## run the tests that need nothing but Python
	$(BIN)/python -m pytest --ignore tests/e2e --numprocesses auto --maxprocesses 4

lint: setup ## check format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

e2e: setup ## run the tests with the real components (what is missing is skipped, with the reason)
	$(BIN)/python -m pytest tests/e2e --numprocesses auto --maxprocesses 2 --dist loadfile

notebook: setup ## make the notebook of its source and run it on DATA= (any source; the sample by default) with SCHEMA=
	$(BIN)/python -m notebooks.build --data $(or $(DATA),sample) $(if $(SCHEMA),--schema $(SCHEMA))

bench: setup ## measure training, bulk scoring and, beside others, serving on DATA= (any source; the sample by default)
	$(BIN)/python -m benchmarks.train --data $(or $(DATA),sample)
	$(BIN)/python -m benchmarks.score --data $(or $(DATA),sample)
	$(BIN)/python -m benchmarks.serve --data $(or $(DATA),sample) --output docs/speed

engines: .venv-bench/engines/.ready ## compare the scorer with other engines on DATA= (in an environment of its own)
	.venv-bench/engines/bin/python -m benchmarks.engines --data $(or $(DATA),sample)

.venv-bench/engines/.ready: requirements/training.txt benchmarks/requirements/engines.in
	$(PYTHON) -m venv .venv-bench/engines
	$(PIP) .venv-bench/engines/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	$(PIP) .venv-bench/engines/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements/engines.in
	@touch $@

build: setup ## build the Bento of the local model that was chosen, or the newest (or of FRAUD_MODEL)
	$(BIN)/bentoml build

image: setup ## build the image of the champion, or of a local model without FRAUD_S3_URI
	@$(BIN)/python -m training image

stack: ## bring up IMAGE= with Prometheus, Alertmanager, Grafana and the retrain receiver (needs Docker)
	@test -n "$(IMAGE)" || { echo "error: set IMAGE=fraud_detector:<model version>; make image builds it and says its name" >&2; exit 2; }
	@test -z "$$(find monitoring -name __pycache__ -prune -o \( -type d ! -perm -005 -o -type f ! -perm -004 \) -print)" || \
	  { echo "error: monitoring/ cannot be read by others, and the containers are others: chmod -R go+rX monitoring" >&2; exit 1; }
	IMAGE="$(IMAGE)" PORT="$(PORT)" $(COMPOSE) -f monitoring/compose.yaml up --wait
	@printf '%s\n' "service       http://localhost:$(PORT)" "Grafana       http://localhost:$${GRAFANA_PORT:-3001}" \
	  "Prometheus    http://localhost:$${PROMETHEUS_PORT:-9090}" "Alertmanager  http://localhost:$${ALERTMANAGER_PORT:-9093}"

kernels: .venv-kernels/.ready ## compile the C of the product for every platform again
	.venv-kernels/bin/python -m fraud.scorer.kernels.build

.venv-kernels/.ready: requirements/kernels.txt
	$(PYTHON) -m venv .venv-kernels
	$(PIP) .venv-kernels/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

.venv-baselines/.ready: requirements/baselines.txt # what `training tune --also` compares the forest with
	$(PYTHON) -m venv .venv-baselines
	$(PIP) .venv-baselines/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

requirements: ## pin and hash the requirements again (needs uv); what ships is what was tested
	@compile() { uv pip compile $$1.in -o $$1.txt "$${@:2}" --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --quiet --custom-compile-command "make requirements"; }; \
	compile requirements/dev && compile requirements/kernels && \
	for name in training serving baselines; do \
	  compile requirements/$$name --constraint requirements/dev.txt || exit; done

audit: setup ## look up what is pinned among known vulnerabilities (needs the internet)
	$(BIN)/uvx --exclude-newer 2026-11-20 pip-audit@2.10.1 --require-hashes --disable-pip \
	  --requirement requirements/dev.txt --requirement requirements/kernels.txt \
	  --requirement requirements/baselines.txt

clean: ## remove the environment and caches; models in the BentoML store stay
	rm -rf .venv .venv-bench .venv-kernels .venv-baselines .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
