# Each target installs what it needs in .venv. The file .venv/.with-EXTRA remembers that an extra is installed.
# To use another Python: make test PYTHON=python3.13

PYTHON = python3
BIN := .venv/$(if $(filter Windows_NT,$(OS)),Scripts,bin)

.DEFAULT_GOAL := help
.PHONY: help demo test ptx gpu lint bench soak lessons build-lessons test-lessons oracle build clean

help: ## show these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s%s\n", $$1, $$2 }' Makefile

demo: .venv/.with-lab ## train and defend a small network on digits; print a table and save figures (one minute)
	$(BIN)/tinygrad2 demo

# Two workers share the cores, so each gets one BLAS thread. Numba gets two: its parallel kernels must run in parallel.
TEST_THREADS = OMP_NUM_THREADS=2 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 VECLIB_MAXIMUM_THREADS=1 \
	NUMBA_NUM_THREADS=2 GOMP_SPINCOUNT=0

test: .venv/.with-test ## run the tests (with TINYGRAD2_DATA=folder also those on the real MNIST images)
	$(TEST_THREADS) $(BIN)/python -m pytest -n 2

ptx: .venv/.with-test .venv/.with-ptx ## compile every CUDA kernel without a GPU, and run it on a simulator (130 MB)
	TINYGRAD2_REQUIRE_PTX=1 $(TEST_THREADS) $(BIN)/python -m pytest tests/test_cuda.py

# Where CuPy works already, as on a machine of a computing centre: make gpu PYTHON=... in its environment.
gpu: ## on a machine with a GPU and the extra cuda12 or cuda13: run the GPU's tests, then measure beside PyTorch
	TINYGRAD2_REQUIRE_GPU=1 $(PYTHON) -m pytest tests/test_gpu.py
	$(PYTHON) -m benchmarks.gpu

lint: .venv/.with-lint ## check the style, the types, and that packages import only from lower layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

soak: .venv/.with-test ## test the checker, NumPy's functions and the attacks on very many random cases (two hours)
	$(TEST_THREADS) PYTHONPATH=tests:. $(BIN)/python tests/numpy_expressions.py
	$(TEST_THREADS) PYTHONPATH=tests:. $(BIN)/python tests/verify_campaigns.py
	$(TEST_THREADS) PYTHONPATH=tests:. $(BIN)/python tests/score_elsewhere.py
	$(TEST_THREADS) PYTHONPATH=tests:. $(BIN)/python -W ignore tests/attack_campaigns.py

bench: .venv/.with-bench ## measure time and memory beside PyTorch, JAX and others (a large download; 20 minutes)
	$(BIN)/python -m benchmarks

lessons: .venv/.with-lessons ## open the course in JupyterLab (copied to course/; what you have solved stays)
	$(BIN)/tinygrad2 lessons course
	$(BIN)/jupyter lab course

build-lessons: .venv/.with-lessons ## make the student notebooks from lessons/*.py
	$(BIN)/python -m tinygrad2.lessons.build lessons

test-lessons: .venv/.with-test .venv/.with-lessons ## run every lesson, and check wrong and right answers to each exercise
	$(TEST_THREADS) $(BIN)/python -m pytest -n 2 lessons/tests

oracle: .venv/.with-oracle .venv/.with-test ## compare the results with PyTorch and attack libraries (a large download)
	$(TEST_THREADS) $(BIN)/python -m pytest -m oracle tests/oracle

build: .venv/.with-core ## build the wheel, in dist/
	$(BIN)/python -m pip wheel --no-deps --wheel-dir dist .

clean: ## delete .venv, dist and the caches
	rm -rf .venv dist build .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.created:
	$(PYTHON) -m venv .venv
	touch $@

.venv/.with-core: pyproject.toml .venv/.created
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

# The order matters: torch's exact version comes first. The last two would replace it with their dependencies.
.venv/.with-oracle: pyproject.toml .venv/.created
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --editable '.[oracle]'
	$(BIN)/python -m pip install --quiet --no-deps torchattacks==3.5.1 cleverhans==4.0.0
	touch $@

.venv/.with-%: pyproject.toml .venv/.created
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	touch $@
