# Boxcamp's front door. `make` alone prints this help; every rule but setup and clean is a command of
# `python -m workflow`, which reads the variables: make train MODEL=yolox FOLD=3 MOSAIC=0.5 PSEUDO=1

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# One rule at a time, also under `make -j`: what may run side by side is the workflow's to know.
.NOTPARALLEL:

PY := .venv/bin/python
# The name says what was installed, so that a changed requirement, and nothing else, installs again.
INSTALLED := .venv/installed-$(shell cat requirements.txt constraints.txt | cksum | cut -d' ' -f1)

# Variables of the command line reach Python through MAKEFLAGS as they were typed. Left to itself,
# make would expand them for the environment: a name with `$(...)` in it would be executed.
export PYTHON
given = $(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name)))
unexport $(filter-out PYTHON,$(given))

.PHONY: help
help: ## Print this help
	@echo "Boxcamp: from annotations to a submission. Start with: make submit"
	@echo
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | \
		awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'
	@echo
	@if [ -x $(PY) ]; then echo "Variables, with what they are now:"; $(PY) -m workflow variables; \
		else echo "make setup, then make: the variables as well"; fi

.PHONY: setup
setup: $(INSTALLED) ## Make .venv with everything in requirements.txt

$(INSTALLED):
	@workflow/setup.sh $@

RULES := sample verify split train pseudo fuse score submit report doctor test torture lint reference
.PHONY: $(RULES)
# `+`: also under `make -n`, where the workflow prints the commands and runs none.
$(RULES): $(INSTALLED)
	+@if [ -x $(PY) ]; then exec $(PY) -m workflow $@; else echo "# then: $@, once .venv is there"; fi

sample: ## Draw the built-in sample dataset into sample/
verify: ## Check every annotation and image of DATA
split: ## Draw the folds (FOLDS, SPLIT_SEED, SCHEME)
train: ## Train MODEL on FOLD and predict valid and test
pseudo: ## Pseudo-labels for FOLD from the fusion of all finished runs
fuse: ## Fuse MEMBERS (default: every finished run) with IOU, SKIP, WEIGHTS
score: ## Score every member and the fusion on the validation fold
submit: ## Fuse, check, score, and write WORK/submission.csv (FORMAT)
report: ## Write the offline report WORK/report.html
doctor: ## Say what this machine has and what is missing
test: ## Run the whole test suite (TEST_FLAGS)
torture: ## Kill, fuzz and starve every command for MINUTES; what it finds is in findings/
lint: ## Check style, layout, types and dead code
reference: ## Write docs/commands.md from --help of every command

.PHONY: clean
clean: ## Remove caches; data, work and .venv stay
	rm -rf .pytest_cache .ruff_cache .hypothesis .mypy_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
