# Boxcamp's front door. `make` alone prints this help; every rule is one call of a command line.
# Variables can be given on any line: make train MODEL=yolox FOLD=3 MOSAIC=0.5 PSEUDO=1

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SECONDARY:

# A Python between 3.10 and 3.12; only needed to make .venv.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.10 python3 python; do \
	if $$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' \
	>/dev/null 2>&1; then echo $$p; break; fi; done)
# The competition in data/, or the built-in sample where data/ holds none.
DATA ?= $(if $(wildcard data/train.json),data,sample)
WORK ?= work
MODEL ?= tood_dcn
FOLD ?= 3
MOSAIC ?= 0
PSEUDO ?= 0
# full or smoke; empty chooses full with a GPU and smoke without.
SCALE ?= $(if $(IS_SAMPLE),smoke)
GPUS ?= 1
# Pseudo-labels
ROUND ?= 1
PSEUDO_FLAGS ?= --threshold 0.5
# Folds
FOLDS ?= 5
SPLIT_SEED ?= 411
SCHEME ?= seed
# Fusion
IOU ?= 0.6
SKIP ?= 0
WEIGHTS ?=
# Torture
MINUTES ?= 60
SEED ?= 1
# More flags for the command underneath
TRAIN_FLAGS ?=
PREDICT_FLAGS ?=
FUSE_FLAGS ?=
SAMPLE_FLAGS ?=
TEST_FLAGS ?=

PY := .venv/bin/python
# The name says what was installed, so that a changed requirement, and nothing else, installs again.
INSTALLED := .venv/installed-$(shell cat requirements.txt constraints.txt | cksum | cut -d' ' -f1)

# Spaces in folder names: \ inside rules, quotes inside recipes.
space := $() $()
escaped = $(subst $(space),\ ,$(1))
D := $(call escaped,$(DATA))
IS_SAMPLE := $(or $(filter sample,$(subst $(space),_,$(DATA))),$(wildcard $(D)/sample.json))
W := $(call escaped,$(WORK))
RUNS := $(W)/runs
VAL := $(WORK)/folds/val_$(FOLD).json

# Runs that share cores or a GPU go one after the other, also under `make -j`. The sample's small
# models are the exception: two side by side with a thread each get 1.4 times as far as one with two.
ifeq ($(IS_SAMPLE),)
.NOTPARALLEL:
else
MAKEFLAGS += --jobs=2
SIDE_BY_SIDE := OMP_NUM_THREADS=1
# Two progress bars cannot share a terminal: plain lines, each with the name of its run. On Ctrl-C
# the run still has its checkpoint to save and announce.
named_lines = 2>&1 | (trap '' INT TERM; sed -u 's/^/$(1) | /')
endif

experiment_parts = $(subst -, ,$(1))
number = $(patsubst $(1)%,%,$(filter $(1)%,$(call experiment_parts,$(2))))
# tood_dcn-pseudo1-mosaic0.5 -> the file with round 1's pseudo-labels
pseudo_file = $(patsubst %,$(W)/pseudo/round%/train_$(FOLD).json,$(call number,pseudo,$(1)))
EXPERIMENT := $(MODEL)$(patsubst %,-pseudo%,$(filter-out 0,$(PSEUDO)))$(patsubst \
	%,-mosaic%,$(filter-out 0 0.0,$(MOSAIC)))
DEMO_MEMBERS := $(if $(IS_SAMPLE),tood_dcn yolox retinanet)
# Without the single epochs that `experiments run --minutes` trains to measure their time.
FINISHED := $(filter-out %-timing,$(patsubst \
	$(RUNS)/%/fold$(FOLD)/finished.json,%,$(wildcard $(RUNS)/*/fold$(FOLD)/finished.json)))
# Experiments to fuse: every finished run of this fold; on the sample the demo's three as well.
MEMBERS ?= $(sort $(FINISHED) $(DEMO_MEMBERS))
VAL_PREDICTIONS = $(MEMBERS:%=$(RUNS)/%/fold$(FOLD)/predictions/val.parquet)
TEST_PREDICTIONS = $(MEMBERS:%=$(RUNS)/%/fold$(FOLD)/predictions/test.parquet)
quoted_members = $(MEMBERS:%="$(WORK)/runs/%/fold$(FOLD)/predictions/$(1).parquet")

.PHONY: help
help: ## Print this help
	@echo "Boxcamp: from annotations to a submission. Start with: make submit"
	@echo
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | \
		awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'
	@echo
	@echo "Variables now: MODEL=$(MODEL) FOLD=$(FOLD) MOSAIC=$(MOSAIC) PSEUDO=$(PSEUDO)" \
		"DATA=$(DATA) WORK=$(WORK) SCALE=$(or $(SCALE),auto) GPUS=$(GPUS)"

# ---------------------------------------------------------------- environment

.PHONY: setup
setup: $(INSTALLED) ## Make .venv with everything in requirements.txt

# ultralytics asks for opencv-python, which overwrites the headless build and needs libGL.
$(INSTALLED):
	@if [ -z "$(PYTHON)" ]; then echo "No Python between 3.10 and 3.12 was found." \
		"Install one, or give it: make setup PYTHON=/path/to/python3.11" >&2; exit 2; fi
	[ -x $(PY) ] || $(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt -c constraints.txt
	$(PY) -m pip uninstall --quiet --yes opencv-python
	$(PY) -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps \
		-c constraints.txt opencv-python-headless
	rm -f .venv/installed-*
	touch $@

.PHONY: doctor
doctor: $(INSTALLED) ## Say what this machine has and what is missing
	$(PY) -m models doctor

# ---------------------------------------------------------------- data

.PHONY: sample split verify
sample: sample/train.json ## Draw the built-in sample dataset into sample/

sample/train.json: | $(INSTALLED)
	$(PY) -m data_tools sample --out sample $(SAMPLE_FLAGS)

# The sample has its own rule; a missing file of any other dataset is a mistake.
ifneq ($(DATA),sample)
$(D)/train.json $(D)/test.json:
	@echo "$@ does not exist. Put train.json, test.json and the images into $(DATA)/," \
		"or give another folder: make DATA=..." >&2; exit 2
endif

# Work of one dataset never mixes with another's: this compares contents, not dates.
.PHONY: claimed
claimed: $(INSTALLED) | $(D)/train.json
	@$(PY) -m data_tools claim --data "$(DATA)" --work "$(WORK)"

verify: claimed ## Check every annotation and image of DATA
	$(PY) -m data_tools verify "$(DATA)"

split: $(W)/folds/split.json ## Draw the folds (FOLDS, SPLIT_SEED, SCHEME)

$(W)/folds/split.json: | claimed
	$(PY) -m data_tools split --coco "$(DATA)/train.json" --out "$(WORK)/folds" \
		--folds $(FOLDS) --seed $(SPLIT_SEED) --scheme $(SCHEME)

# ---------------------------------------------------------------- models

.PHONY: train
train: $(RUNS)/$(EXPERIMENT)/fold$(FOLD)/predictions/val.parquet ## Train MODEL on FOLD and predict valid and test
train: $(RUNS)/$(EXPERIMENT)/fold$(FOLD)/predictions/test.parquet

# The experiment's name says everything that differs: model, pseudo-label round, mosaic.
.SECONDEXPANSION:
$(RUNS)/%/fold$(FOLD)/finished.json: | claimed $(W)/folds/split.json $$(call pseudo_file,$$*)
	$(SIDE_BY_SIDE) $(PY) -m models train $(firstword $(call experiment_parts,$*)) --name $* --data "$(DATA)" \
		--work "$(WORK)" --fold $(FOLD) --resume \
		$(patsubst %,--mosaic %,$(call number,mosaic,$*)) \
		$(patsubst %,--pseudo "$(WORK)/pseudo/round%/train_$(FOLD).json",$(call number,pseudo,$*)) \
		$(patsubst %,--scale %,$(SCALE)) $(patsubst %,--gpus %,$(filter-out 0 1,$(GPUS))) \
		$(TRAIN_FLAGS) $(call named_lines,$*)

# One process for both: importing the detectors takes longer than predicting a small split.
$(RUNS)/%/fold$(FOLD)/predictions/val.parquet $(RUNS)/%/fold$(FOLD)/predictions/test.parquet: \
		$(RUNS)/%/fold$(FOLD)/finished.json
	$(PY) -m models predict "$(WORK)/runs/$*/fold$(FOLD)" --split val --split test \
		--data "$(DATA)" $(PREDICT_FLAGS)

# ---------------------------------------------------------------- pseudo-labels

.PHONY: pseudo
pseudo: $(W)/pseudo/round$(ROUND)/train_$(FOLD).json ## Pseudo-labels for FOLD from the fusion of the best predictions so far

$(W)/pseudo/round%/train_$(FOLD).json: | $(W)/ensemble/test.parquet
	$(PY) -m data_tools pseudo --train "$(WORK)/folds/train_$(FOLD).json" --test "$(DATA)/test.json" \
		--predictions "$(WORK)/ensemble/test.parquet" --round $* --out "$@" $(PSEUDO_FLAGS)

# ---------------------------------------------------------------- fusion and submission

# Rewritten only when the members or the settings change, so that a changed list fuses again.
FUSION := fold $(FOLD), iou $(IOU), skip $(SKIP), weights $(WEIGHTS), flags $(FUSE_FLAGS), members $(MEMBERS)
.PHONY: FORCE
$(W)/ensemble/settings.txt: FORCE | claimed
	@if [ -z "$(strip $(MEMBERS))" ]; then echo "No finished run of fold $(FOLD) in $(WORK)/runs." \
		"Train one first: make train MODEL=tood_dcn" >&2; exit 2; fi
	@mkdir -p "$(WORK)/ensemble"
	@printf '%s\n' '$(FUSION)' | cmp -s - "$@" || printf '%s\n' '$(FUSION)' > "$@"

fuse_flags = --iou $(IOU) --skip $(SKIP) $(patsubst %,--weights %,$(WEIGHTS)) $(FUSE_FLAGS)

$(W)/ensemble/val.parquet: $$(VAL_PREDICTIONS) $(W)/ensemble/settings.txt
	$(PY) -m ensemble fuse $(call quoted_members,val) --images "$(VAL)" --out "$@" $(fuse_flags)

$(W)/ensemble/test.parquet: $$(TEST_PREDICTIONS) $(W)/ensemble/settings.txt
	$(PY) -m ensemble fuse $(call quoted_members,test) --images "$(DATA)/test.json" --out "$@" $(fuse_flags)

$(W)/submission.csv: $(W)/ensemble/test.parquet
	$(PY) -m submit write "$(WORK)/ensemble/test.parquet" --images "$(DATA)/test.json" --out "$@"

.PHONY: fuse score submit report
fuse: $(W)/ensemble/val.parquet $(W)/ensemble/test.parquet ## Fuse MEMBERS (default: every finished run) with IOU, SKIP, WEIGHTS

score: $(W)/ensemble/val.parquet ## Score every member and the fusion on the validation fold
	$(PY) -m submit table $(call quoted_members,val) "$(WORK)/ensemble/val.parquet" --truth "$(VAL)"

submit: $(W)/submission.csv score ## Fuse, check, score, and write WORK/submission.csv
	$(PY) -m submit check "$(WORK)/submission.csv" --images "$(DATA)/test.json"
	@if [ -f "$(DATA)/hidden/test_truth.json" ]; then \
		$(PY) -m submit score "$(WORK)/submission.csv" --truth "$(DATA)/hidden/test_truth.json"; fi
	@echo "Hand in: $(WORK)/submission.csv"

report: score ## Write the offline report WORK/report.html
	$(PY) -m experiments report --work "$(WORK)" --data "$(DATA)" --out "$(WORK)/report.html"

# ---------------------------------------------------------------- development

.PHONY: test torture lint reference clean
test: $(INSTALLED) ## Run the whole test suite
	$(PY) -m pytest -n 2 --dist worksteal $(TEST_FLAGS)

torture: $(INSTALLED) ## Kill, fuzz and starve every command for MINUTES; what it finds is in findings/
	$(PY) -m tests.robustness --minutes $(MINUTES) --seed $(SEED)

lint: $(INSTALLED) ## Check style and types of names
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

reference: $(INSTALLED) ## Write docs/commands.md from --help of every command
	$(PY) -m tests.builders.command_reference

clean: ## Remove caches; data, work and .venv stay
	rm -rf .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
