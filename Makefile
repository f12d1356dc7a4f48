# Every recipe is short and works with any POSIX sh; what is longer is in tools/.
VENV := .venv/bin
# What set-up may be told, as `make setup NAME=value` or by environment: see tools/setup.sh.
# The tests that need no started process and answer within seconds.
UNIT ?= tests/unit
# Tests of live processes wait half of their time, so there are two workers for each of two cores.
WORKERS ?= 4
# A worker gets whole files: see tests/conftest.py. One that crashed is not replaced: the run could wait forever for the
# tests that it had.
PYTEST := $(VENV)/pytest --dist loadfile --max-worker-restart 0 --rerun-show-tracebacks
# For example: make test ARGS='-k reload'
ARGS ?=
CONFORMANCE := cd tests && PYTHONPATH=..:../operator ../$(VENV)/python -m conformance

.DEFAULT_GOAL := help
.PHONY: help setup controlplane node test node-test e2e conformance conformance-down conformance-tools coverage check lint format golden docs chart demo deb kind kind-image kind-test bench lock audit clean

help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /|/' | awk -F'|' '{ printf "  %-16s %s\n", $$1, $$2 }'

setup: ## Install everything into .venv/ and bin/ (repeatable, quick when done)
	@tools/setup.sh

controlplane: setup ## Build what tests run against: Kubernetes, Helm 3 (once per machine, some minutes)
	@$(VENV)/python tools/build_controlplane.py

node: controlplane ## Get what a machine for a real node needs (once per machine, some minutes; needs root)
	@$(VENV)/python tools/build_node.py

test: conformance-tools ## Run everything that CI runs
	@$(MAKE) --no-print-directory lint
	$(PYTEST) -n $(WORKERS) $(ARGS)

coverage: setup ## How much of the pure layers their own tests run: all of it
	@tools/coverage.sh

node-test: node ## Install, use and uninstall headrace on a real node, in namespaces of its own (needs root)
	$(VENV)/pytest tests/realnode $(ARGS)

e2e: node ## The end-to-end tests of Kubernetes' Services, through headrace (needs root; about an hour)
	@$(VENV)/python tools/build_e2e.py
	@cd tests && PYTHONPATH=.. ../$(VENV)/python -m e2e $(ARGS)

conformance: ## The Gateway API's conformance tests (root); KEEP=1 CONFORMANCE_RUN='TEST …' keeps the cluster, runs these
	@[ -e .cache/conformance/cluster.json ] || $(MAKE) --no-print-directory conformance-tools
	@$(CONFORMANCE) run $(foreach name,$(CONFORMANCE_RUN),'$(name)') $(if $(KEEP),--keep) $(if $(CONFORMANCE_PROFILES),--profiles $(CONFORMANCE_PROFILES)) $(ARGS)

conformance-down: ## End the cluster that KEEP=1 has kept
	@$(CONFORMANCE) down

conformance-tools: node ## Build the Gateway API's conformance tests (once per machine, some minutes)
	@$(VENV)/python tools/build_conformance.py

check: lint ## Lint and run the unit tests: for every small change
	$(PYTEST) -n 2 $(UNIT) $(ARGS)

lint: ## Ruff, mypy, the rules about imports, and ShellCheck
	$(VENV)/ruff check
	$(VENV)/ruff format --check
	$(VENV)/mypy
	$(VENV)/lint-imports
	$(VENV)/shellcheck tools/*.sh .ci/run

format: ## Let Ruff put the code into shape
	$(VENV)/ruff check --fix
	$(VENV)/ruff format

golden: ## Regenerate the golden files; read the diff before you commit it
	$(VENV)/pytest tests/golden --update-golden $(ARGS)

docs: ## Regenerate the reference documentation from the code and what tests have recorded
	$(VENV)/python -m tools.docs

chart: ## Regenerate the values' schema and manifests/ from the chart
	$(VENV)/python -m tools.chart

demo: setup ## Start the demonstration
	$(VENV)/python examples/demo/demo.py

deb: setup ## Build the Debian package for hosts outside of a cluster, into dist/; PYTHON_VERSION=3.11 for another Python
	@$(VENV)/python -m tools.deb

kind: ## A cluster in Docker: image, install, example, requests, upgrade, uninstall
	tools/kind.sh

kind-image: node ## Build kind and an image of its nodes without a registry (once per machine, some minutes; needs root)
	@$(VENV)/python tools/build_kind.py

kind-test: kind-image conformance-tools ## make kind with a Docker of its own, and images from no registry (needs root)
	@cd tests && PYTHONPATH=.. ../$(VENV)/python -m kind $(ARGS)

bench: setup ## Measure all within an hour; a part of it: make bench ARGS='endpoint --sizes 1000'; see docs/performance.md
	$(VENV)/python -m tools.bench $(ARGS)

lock: ## Make the lock files anew, with the newest allowed versions
	tools/lock.sh

audit: ## Compare the lock files with PyPI's advisories
	@tools/audit.sh

clean: ## Remove all that was installed or generated
	rm -rf .venv bin .cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage htmlcov dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
