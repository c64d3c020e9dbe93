PYTHON ?= python3
VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export PATH := $(BIN):$(PATH)
export SPARK_CONF_DIR := $(CURDIR)/conf
export PYSPARK_PYTHON := $(BIN)/python
unexport SPARK_HOME
DIST ?= dist
CONF ?= conf/cluster.toml
TWO_PROCESSES = -n 2 --dist loadfile --no-loadscope-reorder
ENVIRONMENT = $(DIST)/environment-$(shell sha256sum constraints.txt | cut -c -16).tar.gz

.PHONY: help setup demo test test-all test-fast test-slow test-faults test-deploy check format bench dist package environment clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY)  ## virtual environment, pinned packages, Delta's jars, the MUSE encoder: once

$(READY): setup.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "xlclass needs Python 3.11 or newer as $(PYTHON): install it (Debian: apt-get install python3 python3-venv) or run make PYTHON=/path/to/python3.11"; exit 2; }
	@$(PYTHON) -m xlclass.runtime.requirements
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the packages of constraints.txt into .venv: a few minutes, once"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[muse,dev]'
	@$(BIN)/xlclass setup --conf conf/local.toml
	@touch $@

demo: $(READY)  ## categorise the embedded catalogue in 24 languages and print the accuracy
	@python -m xlclass.runtime.requirements
	@spark-submit jobs/pipeline.py --conf conf/local.toml

test: $(READY)  ## all tests but the long ones: ten minutes on two cores
	@python -m xlclass.runtime.requirements
	@pytest $(TWO_PROCESSES) -m "not slow and not fault and not deploy"

test-all: $(READY)  ## test, test-slow and test-deploy in one run that shares lakes; DEPLOY=no leaves test-deploy out; CI runs it
	@python -m xlclass.runtime.requirements
	@pytest $(TWO_PROCESSES) -m "not fault$(if $(filter no,$(DEPLOY)), and not deploy)"

test-fast: $(READY)  ## the tests that need no Spark: seconds
	@pytest -m "not slow and not fault and not deploy and not spark"

test-slow: $(READY)  ## the long tests: jobs on the demo's lake, a fresh clone without a network, a fault of each kind
	@pytest $(TWO_PROCESSES) -m slow

test-faults: $(READY)  ## a cluster, and faults that break a backfill: killed processes, full disks; half an hour
	@pytest tests/faults tests/jobs/test_cluster.py

test-deploy: $(READY)  ## the image's script in a fresh Debian root, and the DAG in a real Airflow; a quarter of an hour
	@pytest $(TWO_PROCESSES) -m deploy

check: $(READY)  ## lint, format and types
	@ruff check .
	@ruff format --check .
	@mypy

format: $(READY)  ## put the code into its format
	@ruff check --fix .
	@ruff format .

bench: $(READY)  ## measure every promise; reports in build/bench
	@status=0; for bench in tests/bench/[a-z]*.py; do python $$bench || status=1; done; exit $$status

dist: package environment  ## what a cluster needs, in dist/: the package, the encoder, the executors' environment
	@ls -sh $(DIST)

package: $(READY)  ## the wheel, the same for --py-files, and the encoder of CONF as an archive named by its digest
	@rm -rf build/lib build/bdist.*
	@pip wheel --quiet --no-deps --no-build-isolation --wheel-dir $(DIST) .
	@for wheel in $(DIST)/xlclass-*.whl; do cp "$$wheel" "$${wheel%-py3-none-any.whl}.zip"; done
	@python -m xlclass.encoders.shipping $(CONF) $(DIST)

environment: $(ENVIRONMENT)  ## the packages of constraints.txt without xlclass, to be unpacked on every node: minutes, once

# A plain venv and tar: a venv starts from any folder through its bin/python, and TensorFlow's libraries find each other by relative paths.
# venv-pack's last release is of 2018; a PEX file unpacks its gigabytes itself, at a worker's first start. Jars are Spark's own.
$(ENVIRONMENT): | $(READY)
	@rm -rf build/environment
	@$(PYTHON) -m venv --without-pip build/environment
	@pip --python build/environment/bin/python install --quiet --constraint constraints.txt .
	@pip --python build/environment/bin/python uninstall --quiet --yes xlclass
	@mkdir -p $(DIST)
	@tar -C build/environment --exclude=pyspark/jars --exclude=tensorflow/include -I 'gzip -1' -cf $@.draft . && mv $@.draft $@
	@rm -rf build/environment

clean:  ## remove what was built, but not .venv
	@rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache spark-warehouse
