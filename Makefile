# Every target makes what it needs: .venv itself, and in it the extras of pyproject.toml, each remembered by a stamp file.
# Use another interpreter with: make test PYTHON=python3.13

PYTHON = python3
BIN := .venv/$(if $(filter Windows_NT,$(OS)),Scripts,bin)

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench soak lessons oracle build clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s%s\n", $$1, $$2 }' Makefile

demo: .venv/.with-lab ## train a small defended network and show its backward pass
	$(BIN)/tinygrad2 demo

# Two workers share the cores: one BLAS thread each. Numba keeps two, so that parallel kernels do run in parallel.
TEST_THREADS = OMP_NUM_THREADS=2 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 VECLIB_MAXIMUM_THREADS=1 \
	NUMBA_NUM_THREADS=2 GOMP_SPINCOUNT=0

test: .venv/.with-test ## run the test suite (TINYGRAD2_DATA=folder adds the tests on real MNIST)
	$(TEST_THREADS) $(BIN)/python -m pytest -n 2

lint: .venv/.with-lint ## style, types, and imports that point only downward
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

soak: .venv/.with-test ## run the derivation checker's long campaigns (about an hour)
	$(TEST_THREADS) PYTHONPATH=tests:. $(BIN)/python tests/verify_campaigns.py

bench: .venv/.with-bench ## time and memory beside PyTorch, JAX, autograd, foolbox (installs them; 20 minutes)
	$(BIN)/python -m benchmarks

lessons: ## build the lesson notebooks
	@echo "There is no lesson yet, so there is nothing to build." >&2; exit 1

oracle: .venv/.with-oracle .venv/.with-test ## compare with PyTorch and attack libraries (a large download)
	$(TEST_THREADS) $(BIN)/python -m pytest -m oracle tests/oracle

build: .venv/.with-core ## write the wheel to dist/
	$(BIN)/python -m pip wheel --no-deps --wheel-dir dist .

clean: ## remove .venv, dist and the caches of the tools
	rm -rf .venv dist build .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.created:
	$(PYTHON) -m venv .venv
	touch $@

.venv/.with-core: pyproject.toml .venv/.created
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

# In this order: torch's exact version first; the last two would replace it if they brought their dependencies.
.venv/.with-oracle: pyproject.toml .venv/.created
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --editable '.[oracle]'
	$(BIN)/python -m pip install --quiet --no-deps torchattacks==3.5.1 cleverhans==4.0.0
	touch $@

.venv/.with-%: pyproject.toml .venv/.created
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	touch $@
