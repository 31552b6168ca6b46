# make demo | test | lint | package | test-blenders | test-gui | heldout. Everything is set up in .venv on first use.
SHELL := /bin/bash
.DELETE_ON_ERROR:

# The first interpreter that runs and is a version which a Blender wheel exists for.
PYTHON ?= $(shell for p in python3.11 python3.13 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 13)))' >/dev/null 2>&1 && echo $$p && break; done)
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/ready
OUT ?= out/demo
PRESET ?= standard
# Passed on by the environment, never pasted into a command: a path may hold spaces, quotes or umlauts.
export IMAGE PRESET
# Tests start hundreds of Pythons, which would each compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-quick fuzz mutants lint package package-full test-blenders test-gui kills heldout scorecard \
	train-materials train-primeshapes train-surfaces train-faces train-smoke clean help

help:
	@echo "make demo [IMAGE=photo.png] - decompose the sample (or your image) in Blender, into $(OUT)/"
	@echo "make test                   - all tests"
	@echo "make test-quick             - those of the engine that one runs after every change"
	@echo "make fuzz [SECONDS=600]     - spoiled files and messages for every reader"
	@echo "make mutants [SAMPLE=150]   - do the tests notice when the code is wrong?"
	@echo "make lint                   - ruff, mypy and who may import whom"
	@echo "make package                - the extension's zip, into dist/"
	@echo "make package-full           - the same with the engine's packages inside, for Linux: needs no network"
	@echo "make test-blenders          - the zip and the renderer in Blender 4.2, 4.5, 5.0, 5.1 and 5.2"
	@echo "make test-gui BLENDER=5.2   - a real click in a real window"
	@echo "make kills [COUNT=2]        - engine, Blender, renderer and a folder run killed at random moments (half an hour)"
	@echo "make train-materials        - renders, trains and installs the bank; also train-primeshapes, -surfaces, -faces (hours)"
	@echo "make train-smoke            - the same at 32 pixels in minutes: does everything run?"
	@echo "make heldout BANK=materials - render 50 held-out scenes and print their table; also primeshapes"
	@echo "make scorecard [COUNT=100]  - every method and baseline for the shipped banks, into their cards (hours)"

$(READY): pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or 3.13 was found. Install one, or name it: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install -q --disable-pip-version-check -e ".[blender,dev]"
	$(RUN) -m pip install -q --disable-pip-version-check --no-deps facenet-pytorch==2.6.0  # see pyproject.toml
	touch $@

demo: $(READY)
	$(RUN) samples/demo.py --out $(OUT) --preset "$$PRESET" $${IMAGE:+--image "$$IMAGE"}

test: $(READY)
	$(RUN) -m pytest -n 2 --dist loadfile --durations 20

test-quick: $(READY)
	$(RUN) -m pytest tests/join_engine -m "not slow" -n 2 --dist loadfile

lint: $(READY)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(VENV)/bin/lint-imports

package: $(READY)
	$(RUN) tools/build_zip.py --out dist

# WHEELS is the name of a lock file in join_blender/engine_requirements: the system, the Python and the kind of build.
WHEELS ?= linux-x86_64-py311-cpu
package-full: $(READY)
	$(RUN) tools/build_zip.py --out dist --wheels "$(WHEELS)"

test-blenders: $(READY)
	$(RUN) tests/join_blender/blenders.py
	$(RUN) tests/dataset_tools/blenders.py

test-gui: $(READY)
	$(RUN) tests/join_blender/gui/click.py --blender "$(or $(BLENDER),blender)"

# Spoiled files and messages for every reader. What is found is kept in out/fuzz; the same SEED gives the same cases.
SECONDS ?= 600
SEED ?= 0
fuzz: $(READY)
	OMP_NUM_THREADS=1 $(RUN) -m tests.fuzz --seconds $(SECONDS) --seed $(SEED)

# Do the tests notice when the code is wrong? A sample of SAMPLE mutants, in an environment of its own: that of the
# project, and mutmut. The same sample for the same SEED.
MUTANTS := .venv-mutants
$(MUTANTS)/ready: $(READY)
	$(RUN) -m venv $(MUTANTS)
	$(RUN) -c 'import site; print(site.getsitepackages()[0])' > "$$($(MUTANTS)/bin/python -c \
		'import site; print(site.getsitepackages()[0])')/project.pth"
	$(MUTANTS)/bin/python -m pip install -q --disable-pip-version-check mutmut==3.8.1
	touch $@

SAMPLE ?= 150
mutants: $(MUTANTS)/ready
	$(MUTANTS)/bin/python tools/mutants.py --count $(SAMPLE) --seed $(SEED)

# Each campaign of tests/kills.py with its own number of kills, or with COUNT where that is given here.
kills: $(READY)
	$(RUN) tests/kills.py $(if $(findstring file,$(origin COUNT)),,--count $(COUNT))

# Scenes of a seed that no bank was trained on. The same 50 for everybody on the same Blender.
BANK ?= primeshapes
HELDOUT := out/heldout/$(BANK)
$(HELDOUT)/samples.tar: $(READY)
	$(RUN) dataset_tools/render.py $(BANK) --seed 1000 --count 50 --resolution 128 --samples 64 --out $(HELDOUT)/renders
	$(RUN) dataset_tools/render.py export $(HELDOUT)/renders --resolution 64 --split all --float --out $@

heldout: $(HELDOUT)/samples.tar
	$(RUN) -m join_engine evaluate --bank $(BANK) --data $< --count 50 --preset "$$PRESET" --out $(HELDOUT)/$(PRESET)

# All methods and baselines for every shipped bank, on COUNT new scenes each, into the banks' cards. Goes on where it was
# stopped. OPTIONS go to `python -m join_engine scorecard`, such as OPTIONS="--methods opt-knn best baselines", or
# OPTIONS="--steps-scale 0.25" for a quick look, which the tables then say. Then speed and landscape of each bank.
COUNT ?= 100
SCORES := out/scorecard/$(COUNT)
scorecard: $(READY)
	@set -e; $(RUN) -m join_engine banks list | while IFS=$$'\t' read -r name size _; do \
		size=$${size% px}; pack="$(SCORES)/data/$$name.tar"; renders="$(SCORES)/renders/$$name"; \
		test -f "$$pack" || { \
			$(RUN) dataset_tools/render.py "$$name" --seed 1000 --count $(COUNT) --resolution $$((2 * size)) \
				--samples 64 --out "$$renders" </dev/null; \
			$(RUN) dataset_tools/render.py export "$$renders" --resolution $$size --split all --float --out "$$pack"; }; \
	done
	$(RUN) -m join_engine scorecard --data $(SCORES)/data --count $(COUNT) --compared samples/compared --out $(SCORES) \
		$(OPTIONS)
	@set -e; $(RUN) -m join_engine banks list | while IFS=$$'\t' read -r name _; do \
		$(RUN) -m join_engine bench --bank "$$name" --batch 1 4 16 --card </dev/null; \
		$(RUN) -m join_engine landscape --bank "$$name" --out "docs/landscape-$$name.png" --card </dev/null; \
	done

# From renders to a bank file. What is done is kept in runs/ and not done again; a bank of the whole takes hours.
RUNS ?= runs
train-materials train-primeshapes train-surfaces: train-%: $(READY)
	$(RUN) samples/train_bank.py $* --out "$(RUNS)/$*" --bank join_engine/banks/$*.safetensors $(TRAIN)

# Of heads, whose shapes are in a folder of their own (dataset_tools/README.md): TRAIN="--packages SHAPES --start-from materials".
train-faces: $(READY)
	$(RUN) samples/train_bank.py heads --name faces --out "$(RUNS)/heads" --bank join_engine/banks/faces.safetensors $(TRAIN)

# The same at 32 pixels with a few hundred images: everything runs, nothing is learned.
SMOKE := out/train-smoke
train-smoke: $(READY)
	rm -rf $(SMOKE)
	$(RUN) samples/train_bank.py primeshapes --out $(SMOKE) --bank $(SMOKE)/smoke.safetensors --name smoke \
		--count 200 --resolution 32 --samples 1 --channel-base 256 --channel-max 32 \
		--kimg 2 --trunk-kimg 1 --encoder-kimg 0.5 --brightness-kimg 0.5 --split-kimg 0.1 --evaluated 8 --compared 100 --relit 1

clean:
	rm -rf out dist .pytest_cache .mypy_cache .ruff_cache
