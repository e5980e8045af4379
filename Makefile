# `make demo` and `make test` need only Python 3.11 or newer: they set up the rest.
PYTHON ?= python3
VENV := .venv
DEMO := .venv-demo
OUT ?= results-demo
CONSTRAINTS := .ci/constraints.txt
TORCHRL := .venv-torchrl
RLLIB := .venv-rllib
PEERS := envpool evosax evotorch failure_api gymnasium gymnax mujoco sb3 torch
# Our own tests that also run at the oldest Gymnasium that is allowed, which RLlib pins;
# MuJoCo is not there, and its robots are skipped.
FLOOR_TESTS := tests/wrappers tests/multiagent --ignore tests/multiagent/test_wrapped.py \
    tests/envs/test_cart_pole.py tests/envs/test_flat.py tests/envs/test_frozen_lake.py \
    tests/envs/test_grid.py tests/envs/test_vector.py
DEV_EXTRAS := study,baselines,torch,sb3,mujoco,render,ray,tensorboard,wandb,mlflow

.DEFAULT_GOAL := help
.PHONY: help demo setup lint format types test test-ecosystem bench bench-peers fuzz \
    fuzz-guided wheel clean

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

demo: $(DEMO)/.stamp  ## see distributed Q-learning learn Simple Grid (under 3 minutes)
	$(DEMO)/bin/commenv run --env SimpleGrid-v0 --algorithm dql --agents 5 \
	    --trials 100 --episodes 1000 --gamma 0.9 --seed 0 --out $(OUT)
	$(DEMO)/bin/commenv plot $(OUT)

setup: $(VENV)/.stamp  ## make the development environment in .venv

lint: $(VENV)/.stamp  ## check style, and which way imports point
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports

format: $(VENV)/.stamp  ## put the style right
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

types: $(VENV)/.stamp  ## check types
	$(VENV)/bin/mypy

test: $(VENV)/.stamp  ## run all tests
	$(VENV)/bin/pytest -n auto

test-ecosystem: $(TORCHRL)/.stamp $(RLLIB)/.stamp  ## try TorchRL and RLlib (3 GB)
	$(TORCHRL)/bin/python -m pytest tests/ecosystem/test_torchrl.py
	$(RLLIB)/bin/python -m pytest tests/ecosystem/test_rllib.py
	$(RLLIB)/bin/python -m pytest $(FLOOR_TESTS)

bench: $(VENV)/.stamp  ## measure speed, as ratios within one run
	$(VENV)/bin/python benchmarks/vector_speed.py
	$(VENV)/bin/python benchmarks/study_speed.py
	$(VENV)/bin/python benchmarks/mujoco_speed.py
	$(VENV)/bin/python benchmarks/wrapper_speed.py
	$(VENV)/bin/python benchmarks/scale.py
	$(VENV)/bin/python benchmarks/many_arms.py

bench-peers: $(VENV)/.stamp $(PEERS:%=.venv-peer-%/.stamp)  ## measure speed beside other libraries (6 GB)
	$(VENV)/bin/python benchmarks/peers/compare.py

fuzz: $(VENV)/.stamp  ## try a million random and changed inputs (about 5 minutes)
	$(VENV)/bin/python -m tests.fuzz --inputs 1000000

fuzz-guided: .venv-fuzz/.stamp  ## the same for messages, led by coverage (Atheris)
	for target in message payload manifest link; do \
	    .venv-fuzz/bin/python -m tests.fuzz.guided $$target --runs 200000 || exit 1; \
	done

wheel: $(VENV)/.stamp  ## build the wheel and try it in a clean environment
	$(VENV)/bin/python .ci/try_wheel.py

clean:  ## remove what these targets made
	rm -rf $(VENV) $(DEMO) $(TORCHRL) $(RLLIB) .venv-peer-* .venv-fuzz dist

$(DEMO)/.stamp: pyproject.toml
	$(PYTHON) -m venv --clear $(DEMO)
	$(DEMO)/bin/pip install --quiet --editable '.[study]'
	touch $@

$(VENV)/.stamp: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv --clear $(VENV)
	$(VENV)/bin/pip install --quiet --upgrade 'pip>=25.1'
	$(VENV)/bin/pip install --quiet --constraint $(CONSTRAINTS) \
	    --editable '.[$(DEV_EXTRAS)]' --group dev
	touch $@

# Atheris has no wheel for every Python that commenv runs on, so it lives apart.
.venv-fuzz/.stamp: .ci/fuzz.txt pyproject.toml
	$(PYTHON) -m venv --clear .venv-fuzz
	.venv-fuzz/bin/pip install --quiet --upgrade 'pip>=25.1'
	.venv-fuzz/bin/pip install --quiet --requirement $< \
	    --editable '.[study,baselines]'
	touch $@

# Peers live apart: each pins what others need newer or older.
$(TORCHRL)/.stamp $(RLLIB)/.stamp: .venv-%/.stamp: .ci/ecosystem-%.txt pyproject.toml
	$(PYTHON) -m venv --clear .venv-$*
	.venv-$*/bin/pip install --quiet --upgrade 'pip>=25.1'
	.venv-$*/bin/pip install --quiet --requirement $< --editable .
	touch $@

# A peer that cannot be installed here has its row in the table all the same, with the
# reason; the next run tries again.
$(PEERS:%=.venv-peer-%/.stamp): .venv-peer-%/.stamp: .ci/peer-%.txt
	$(PYTHON) -m venv --clear .venv-peer-$*
	.venv-peer-$*/bin/pip install --quiet --requirement $< \
	    2> .venv-peer-$*/refused.txt && rm .venv-peer-$*/refused.txt && touch $@ || true
