# make demo     train a small detector on drawn scenes and show it (about five minutes)
# make test     all tests, at most fifteen minutes on two cores
# make lint     style, types, the rules of the house
# make learn    the tests that train for minutes
# make parity   compare with recorded references: GOLDENS=FOLDER of .npz files, and PAGE=docs/parity.md to write it down
# make sabotage plant silent faults, one at a time, and see which test tells of each (five minutes)
# make equality compare every metric with its reference code, 2,000 random cases each
# make bench    speed against other libraries
# make fuzz     tens of thousands of changed images and annotation files through the readers (about ten minutes)
# make fuzz-parsers  the parsers, led by the branches they take: needs atheris, which it fetches; RUNS=100000
# make hostile  what each hostile image costs in memory and time, the largest that are let through too
# make wheel    the package, the same bytes every time, in dist/
# make sbom     what the environment holds, as CycloneDX, in build/sbom.cdx.json; needs uv
# make install-check  the wheel in clean environments of the lowest and the newest versions it allows; needs uv
# make kills    kill a training at KILLS=50 instants, and continue it each time
# make soak     train for MINUTES=30 and predict 20,000 times: memory, handles and threads must not grow
# make docs     write the generated pages of docs/ anew
# make zoo      write the catalogue of names anew
#
# Each sets up what it needs in .venv; a second call starts at once. PYTHON=python3.12 chooses the interpreter.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint learn parity sabotage equality bench fuzz fuzz-parsers hostile kills soak wheel sbom install-check docs zoo
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

FILES ?= 20000
fuzz: $(VENV)/.dev
	$(RUN) -m tests.hostile.fuzz --count $(FILES) --seed 0 --out benchmarks/results/fuzz.json

RUNS ?= 20000
fuzz-parsers: $(VENV)/.dev
	uv pip install --quiet --python $(RUN) --target $(VENV)/fuzz atheris
	PYTHONPATH=$(VENV)/fuzz $(RUN) -m tests.hostile.guided -runs=$(RUNS)

hostile: $(VENV)/.dev
	$(RUN) -m tests.hostile.measure --out benchmarks/results/hostile.json

wheel: $(VENV)/.dev
	$(RUN) tools/wheel.py dist

sbom: $(VENV)/.core
	mkdir -p build
	uvx --from cyclonedx-bom cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
	  --output-format JSON --output-file build/sbom.cdx.json $(RUN)

install-check: $(VENV)/.dev
	$(RUN) tools/install_check.py

KILLS ?= 50
kills: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(RUN) -m tests.faults.kills --count $(KILLS)

MINUTES ?= 30
soak: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(RUN) benchmarks/soak.py training --minutes $(MINUTES)
	OMP_NUM_THREADS=1 $(RUN) benchmarks/soak.py predicting

docs: $(VENV)/.dev zoo
	$(RUN) tools/docs.py

zoo: $(VENV)/.core
	$(RUN) -m baimu.zoo
	$(RUN) -m baimu.weights.sizes

$(VENV)/.core $(VENV)/.dev: pyproject.toml constraints.txt tools/setup.sh
	PYTHON="$(PYTHON)" bash tools/setup.sh $(VENV) $(subst .,,$(notdir $@))
	touch $@
