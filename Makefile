# Two commands do all the set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
PORT ?= 8501
HEADLESS ?= 0
BIN = $(VENV)/bin
PYTEST = $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
DEMO_DATA = .demo/catalogue
DEMO_RUN = runs/demo

# Photographs for `make results`: folders as in "Your own data" of README.md.
PHOTOS ?= ../shared/data/fashion-products
PHOTOS_LARGE ?= ../shared/data/fashion-products-21k
BENCH = runs/bench
CATALOGUE = .demo/benchmark-catalogue

.PHONY: install demo demo-data demo-run dashboard test test-fast test-several test-torch chromium lint
.PHONY: lock assets results gpu-benchmark clean

install: $(VENV)/.installed

$(VENV)/.installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "SELF-ML needs Python 3.11 or newer; name one, e.g. make demo PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing packages into $(VENV) (TensorFlow is large: some minutes)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.installed-tests: $(VENV)/.installed tests/requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	@touch $@

# A drawn catalogue: 5 % verified as in the paper, and 1,000 more to test on, so that the
# measured differences are larger than chance.
demo-data: install
	@test -f $(DEMO_DATA)/labels.csv || { rm -rf $(DEMO_DATA); \
	  $(BIN)/selfml synth $(DEMO_DATA) --images 8000 --extra-test 1000; }

demo-run: demo-data
	@grep -qs '"status": "complete"' $(DEMO_RUN)/run.json || \
	  $(BIN)/selfml train $(DEMO_DATA) --recipe quick --out $(DEMO_RUN) \
	    $$(test -f $(DEMO_RUN)/run.json && echo --resume)

demo: demo-run dashboard

# Python's own answer to Ctrl-C would end as an error; the server has one that closes it quietly.
dashboard: install
	@echo "Opening the dashboard on http://localhost:$(PORT) (Ctrl-C ends it)"
	@trap '' INT; $(BIN)/streamlit run dashboard/app.py --server.port $(PORT) \
	  --server.headless $(if $(filter 1,$(HEADLESS)),true,false)

test: $(VENV)/.installed-tests chromium
	$(PYTEST) -m "not torch and not several"

test-fast: $(VENV)/.installed-tests
	$(PYTEST) -m "not torch and not several and not slow and not browser"

# Several devices, hosts and Ray workers, all on this machine: some minutes more.
test-several: $(VENV)/.installed-tests
	$(BIN)/python -m pytest -m several

test-torch: $(VENV)/.installed-tests
	$(BIN)/python -m pip install --quiet "torch>=2.9"
	$(BIN)/python -m pytest -m torch

chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
	  command -v google-chrome >/dev/null || \
	  { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && \
	    apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } || \
	  echo "No Chromium: browser tests are skipped. Install it with: sudo apt-get install chromium"

lint: $(VENV)/.installed-tests
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

# The run that the dashboard opens when there is none of one's own.
assets: install
	rm -rf .demo/assets assets/demo-run
	$(BIN)/selfml synth .demo/assets --images 4500 --extra-test 300 --clean-fraction 0.3
	$(BIN)/selfml train .demo/assets --recipe quick --out assets/demo-run
	rm -rf assets/demo-run/model
	$(BIN)/python -c "from selfml.run import RunWriter as W; w = W('assets/demo-run'); \
	  w.update(dataset=w.info['dataset'] | {'path': '.demo/assets'})"

# SELF-ML and its peers on three catalogues, into selfml/benchmark/RESULTS.md: hours on two cores.
# What is done already is not done again. Needs ImageNet weights (README.md, "Recipes").
results: install
	@for d in $(PHOTOS) $(PHOTOS_LARGE); do test -f $$d/labels.csv || \
	  { echo "make results: no labels.csv in $$d; name folders with PHOTOS= and PHOTOS_LARGE="; \
	  exit 1; }; done
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[benchmark]'
	@test -f $(CATALOGUE)/labels.csv || { rm -rf $(CATALOGUE); $(BIN)/selfml synth $(CATALOGUE) \
	  --images 12000 --size-px 128 --seed 7 --clean-fraction 0.1 --extra-test 1000; }
	$(BIN)/selfml benchmark $(PHOTOS) --recipe photos --budgets 500 --out $(BENCH)/photos
	$(BIN)/selfml benchmark $(PHOTOS) --recipe photos --budgets 500 --methods \
	  self_ml_no_category,self_ml_atoms_no_category,self_ml_sequential,self_ml_strict,self_ml_paper \
	  --out $(BENCH)/photos
	$(BIN)/selfml benchmark $(PHOTOS) --recipe photos --set head.category=true --budgets 500 \
	  --methods baseline_0,baseline_1,clean_only,label_cleaner,cleanlab,knn,proto_attend,self_ml,oracle \
	  --out $(BENCH)/photos-category
	$(BIN)/selfml benchmark $(PHOTOS) --recipe photos --budgets 50,200,all \
	  --methods baseline_0,baseline_1,clean_only,knn,self_ml,oracle --out $(BENCH)/photos-budgets
	$(BIN)/selfml benchmark $(PHOTOS) --recipe photos --budgets all --methods self_ml_atoms --seeds 1 \
	  --out $(BENCH)/photos-budgets
	$(BIN)/selfml benchmark $(CATALOGUE) --recipe photos --budgets 500 --out $(BENCH)/drawn
	$(BIN)/selfml benchmark $(PHOTOS_LARGE) --recipe photos --set train.cache_gib=6 --budgets 500 \
	  --methods baseline_0,baseline_1,knn,self_ml,oracle --out $(BENCH)/photos-large
	awk 'FNR == 1 && NR > 1 {print ""} {print}' $(BENCH)/photos/RESULTS.md \
	  $(BENCH)/photos-category/RESULTS.md $(BENCH)/photos-budgets/RESULTS.md \
	  $(BENCH)/drawn/RESULTS.md $(BENCH)/photos-large/RESULTS.md > selfml/benchmark/RESULTS.md

# The `paper` recipe whole, in pieces of MINUTES, then what a step costs (README.md, "On a GPU").
# Needs no network: PYTHON has Keras with JAX. Started again, it goes on where it stopped.
MINUTES ?= 9
gpu-benchmark:
	@while :; do KERAS_BACKEND=$${KERAS_BACKEND:-jax} JAX_COMPILATION_CACHE_DIR=.demo/jax-cache \
	  $(PYTHON) -m tests.benchmarks.paper_recipe --minutes $(MINUTES) $(OPTIONS); \
	  status=$$?; test $$status = 75 || exit $$status; done

lock: $(VENV)/.installed-tests
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile -q pyproject.toml --extra train --extra postgres --extra auth \
	  --universal --python-version 3.11 \
	  --no-header --no-annotate -o .demo/lock.txt
	$(BIN)/uv pip compile -q pyproject.toml --extra dev --universal --python-version 3.11 \
	  --no-header --no-annotate -c .demo/lock.txt -o .demo/dev.txt
	{ head -n 1 requirements.txt; cat .demo/lock.txt; echo "-e ."; } > .demo/requirements.txt
	{ head -n 1 tests/requirements.txt; sort .demo/lock.txt >.demo/a; sort .demo/dev.txt >.demo/b; \
	  comm -13 .demo/a .demo/b; } > .demo/tests.txt
	mv .demo/requirements.txt requirements.txt; mv .demo/tests.txt tests/requirements.txt

clean:
	rm -rf $(VENV) .demo build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
