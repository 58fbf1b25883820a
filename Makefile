# make demo     train a small detector on drawn scenes and show it (about five minutes)
# make test     all tests, at most fifteen minutes on two cores
# make lint     style, types, the rules of the house
# make learn    the tests that train for minutes
# make parity   compare with recorded references: GOLDENS=FOLDER of .npz files, and PAGE=docs/parity.md to write it down
# make sabotage plant silent faults, one at a time, and see which test tells of each (twenty minutes)
# make equality compare every metric with its reference code, 2,000 random cases each
# make bench    speed against other libraries
# make docs     write the generated pages of docs/ anew
# make zoo      write the catalogue of names anew
#
# Each sets up what it needs in .venv; a second call starts at once. PYTHON=python3.12 chooses the interpreter.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint learn parity sabotage equality bench docs zoo
VENV := .venv
RUN := $(VENV)/bin/python
# one torch thread a worker: two workers with two threads each are slower than two with one
PYTEST := OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 --dist worksteal

help:
	@sed -n '/^# \{0,1\}/!q; s/^# \{0,1\}//p' Makefile

demo: $(VENV)/.core
	$(RUN) -m baimu demo

test: $(VENV)/.dev
	$(PYTEST) -m "not slow"

lint: $(VENV)/.dev
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m pyright
	$(RUN) tools/house.py

learn: $(VENV)/.dev
	$(PYTEST) -m slow

GOLDENS ?= ../shared/goldens
parity: $(VENV)/.dev
	$(RUN) -m tests.parity $(GOLDENS) $(if $(PAGE),--page $(PAGE))

sabotage: $(VENV)/.dev
	$(RUN) -m tests.sabotage --out benchmarks/results/sabotage.json

equality: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(RUN) -m tests.metrics.equality --cases 2000 --out benchmarks/results/equality.json

bench: $(VENV)/.dev
	for name in association classifiers coco_eval cpu_conv data_pipeline detectors export optimize segmenters serving startup; do $(RUN) benchmarks/$$name.py --out benchmarks/results/$$name.json || exit 1; done

docs: $(VENV)/.dev zoo
	$(RUN) tools/docs.py

zoo: $(VENV)/.core
	$(RUN) -m baimu.zoo
	$(RUN) -m baimu.weights.sizes

$(VENV)/.core $(VENV)/.dev: pyproject.toml constraints.txt tools/setup.sh
	PYTHON="$(PYTHON)" bash tools/setup.sh $(VENV) $(subst .,,$(notdir $@))
	touch $@
