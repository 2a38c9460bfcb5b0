# edgeproof: train, convert, measure. `make help` lists what there is.

SHELL := bash
.SHELLFLAGS := -o pipefail -c
# Looked for once, and only by what needs it
PYTHON ?= $(eval PYTHON := $(shell .ci/find_python))$(PYTHON)
VENV := .venv
RUN := $(VENV)/bin/python
GPU_VENV := .venv-gpu
GPU_RUN ?= $(GPU_VENV)/bin/python
MICRO_VENV := .venv-micro
WEB := .venv-web
empty :=
space := $(empty) $(empty)
comma := ,

MODELS := $(filter-out __init__,$(basename $(notdir $(wildcard train/models/*.py))))
KERAS := $(foreach model,$(MODELS),build/$(model)/$(model).keras)
CONVERTED := $(foreach model,$(MODELS),build/$(model)/converted)
# A stage runs again when a file changes that can change its result; not when one does that only shows, judges or asks.
# Nothing of common/ is among them: how files are written, locked and told of changes no model and no figure
python_in = $(shell find $(1) -name '*.py' $(foreach path,$(2),-not -path '$(path)'))
DEVICE_SOURCES := $(call python_in,device) $(wildcard device/serve/page.*)
ANSWER_SOURCES := $(call python_in,device,$(foreach name,classify command_line commands errors process safe_text scoring self_test timing pictures/sources serve/*,device/$(name).py))
TRAIN_SOURCES := $(ANSWER_SOURCES) $(call python_in,train,train/__main__.py train/plots.py train/points.py train/sweep.py train/studies/* train/models/*)
CONVERT_SOURCES := $(ANSWER_SOURCES) $(call python_in,convert,convert/__main__.py convert/commands/* convert/show.py convert/doctor/* convert/deployment/* convert/importing/*)
BENCH_SOURCES := $(ANSWER_SOURCES) device/process.py device/timing.py $(call python_in,bench/artifacts bench/machine bench/measure bench/results bench/runtimes bench/stats,bench/machine/disturbance.py bench/measure/doctor.py bench/measure/overhead.py bench/runtimes/browser/*)
# What is found by its name; the tests hold each of these lists against the modules that it stands for
GPU_RUNTIMES := $(basename $(notdir $(shell grep -lE '^API = ' bench/runtimes/*.py)))
ON_DEVICE := $(basename $(notdir $(shell grep -lE 'open_on_device\(.*, NAME\)' bench/runtimes/*.py)))
READY := $(basename $(basename $(notdir $(wildcard data/ready/*.tflite))))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: $(shell grep -oE '^[a-z][a-z-]*:' $(firstword $(MAKEFILE_LIST)) | tr -d :)

help: ## List the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 18

setup: $(VENV)/installed $(VENV)/bin/edgeproof ## Make .venv from requirements.lock; all other targets need it.

$(VENV)/installed: requirements.lock
	@test -n "$(PYTHON)"
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else f"edgeproof needs Python 3.11, 3.12 or 3.13, {sys.executable} is {v[0]}.{v[1]}: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	@touch $@

$(VENV)/bin/edgeproof: edgeproof.py | $(VENV)/installed
	@printf '#!/bin/sh\nexec "%s" -P "%s" "$$@"\n' "$(abspath $(RUN))" "$(abspath edgeproof.py)" > $@
	@chmod +x $@

setup-gpu: $(if $(filter $(GPU_VENV)/%,$(GPU_RUN)),$(GPU_VENV)/installed) ## Make .venv-gpu from requirements-gpu.lock: the builds with CUDA, about 6 GB.

$(GPU_VENV)/installed: requirements-gpu.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v == (3, 11) else f"requirements-gpu.lock is for Python 3.11, {sys.executable} is {v[0]}.{v[1]}: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(GPU_VENV)
	$(GPU_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-gpu.lock
	@touch $@

setup-micro: $(MICRO_VENV)/installed ## Make .venv-micro from requirements-micro.lock: a microcontroller's interpreter, 100 MB.

$(MICRO_VENV)/installed: requirements-micro.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v == (3, 11) else f"requirements-micro.lock is for Python 3.11, {sys.executable} is {v[0]}.{v[1]}: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(MICRO_VENV)
	$(MICRO_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-micro.lock
	@touch $@

web: $(WEB)/installed ## Install a browser's runtimes from bench/remote/browser/package-lock.json, with npm: 190 MB.

# No package's own scripts are run
$(WEB)/installed: bench/remote/browser/package-lock.json
	@command -v npm >/dev/null || { echo "npm is not there: install Node.js 20 or newer, or Debian's package npm" >&2; exit 1; }
	mkdir -p $(WEB)
	cp bench/remote/browser/package.json bench/remote/browser/package-lock.json $(WEB)/
	cd $(WEB) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

train: $(KERAS) ## Train every model with its default recipe: build/MODEL/MODEL.keras.

# A model may take layers and recipes from another one's file
models_in = $(patsubst %,train/models/%.py,$(shell sed -nE 's/^from train\.models\.([a-z0-9_]+) import .*/\1/p' train/models/$(1).py))

define TRAIN_RULE
build/$(1)/$(1).keras: train/models/$(1).py $(call models_in,$(1)) $(TRAIN_SOURCES) | $(VENV)/installed
	$(RUN) -m train run $(1)
endef
$(foreach model,$(MODELS),$(eval $(call TRAIN_RULE,$(model))))

convert: $(CONVERTED) build/classify.pyz ## Convert every model into its variants, verify them, and add their cards.

build/%/converted: $(CONVERT_SOURCES) | $(VENV)/installed
	$(RUN) -m convert run $*
	@touch $@

define CONVERT_RULE
build/$(1)/converted: build/$(1)/$(1).keras
endef
$(foreach model,$(MODELS),$(eval $(call CONVERT_RULE,$(model))))

build/classify.pyz: $(DEVICE_SOURCES) convert/deployment/one_file.py | $(VENV)/installed
	$(RUN) -m convert.deployment.one_file $@

bench: build/bench.json ## Measure every artifact in every runtime: build/bench.json, build/report.html (BENCH_OPTIONS="..." of bench run).

build/bench.json: $(CONVERTED) $(BENCH_SOURCES) | $(VENV)/installed
	$(RUN) -m bench run $(BENCH_OPTIONS)

# Asked for by name, so that a machine without a GPU fails. GPU_RUN=python3 takes an environment of your own, and build/ as it is
bench-gpu: setup-gpu ## Measure what is in build/ on the GPU, in every runtime that has one, into build/bench.json.
	$(GPU_RUN) -m bench run $(addprefix --runtime ,$(GPU_RUNTIMES))

overhead: setup ## Measure what the harness and its turns add to a latency: p50 over that of plain loops, and of litert-benchmark.
	$(RUN) -m bench.measure.overhead

# With half a core, mobilenet_v2's rows would answer the test pictures for most of an hour
DISTURBED := build/{mnist_cnn,mnist_cnn_crop}/*.{tflite,onnx}

repeatability: $(CONVERTED) ## Measure twice, and twice disturbed: how many rows are rightly called valid and invalid (20 minutes).
	rm -f build/repeatability/*.json build/repeatability/*.npz
	$(RUN) -m bench run --output build/repeatability/first.json
	$(RUN) -m bench run --output build/repeatability/second.json
	for kind in neighbour quota; do $(RUN) -m bench.machine.disturbance $$kind bench run $(DISTURBED) --output build/repeatability/$$kind.json || exit; done
	$(RUN) -m bench.analysis.repeatability build/repeatability/first.json build/repeatability/second.json \
	  $(foreach kind,neighbour quota,--disturbed build/repeatability/$(kind).json)

quantization-quality: $(CONVERTED) ## Compare int8 with float on the test pictures, with and without bias correction: build/quantization.json.
	$(RUN) -m convert.doctor.quality $(MODELS) --json build/quantization.json

software-vulkan: setup ## Fetch a Vulkan device in software, for the tests of the GPU code (Debian).
	$(RUN) -m tests.tools.software_vulkan

report: | $(VENV)/installed ## Write the report of the existing results again: build/report.html, build/report.md.
	$(RUN) -m bench report

chromium: ## Install Chromium from Debian, for the report's tests and screenshots (as root).
	@command -v chromium >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium fonts-dejavu-core; }

screenshots: setup ## Open build/report.html in Chromium: build/screenshots/*.png, exit code 1 for any error in it.
	$(RUN) -m tests.tools.browser build/report.html build/screenshots

budgets: build/bench.json ## Compare build/bench.json with bench/budgets/budgets.toml, and the build with data/baseline.
	$(RUN) -m bench check --inconclusive pass
	$(RUN) -m bench gate --baseline data/baseline --inconclusive pass

gate-power: setup ## Measure how often the gate errs: docs/gate-power.md (NOISE=FILE... first records the scatter of this machine).
	$(if $(NOISE),$(RUN) -m bench.budgets.gate_error_rates record $(NOISE))
	$(RUN) -m bench.budgets.gate_error_rates simulate

# Three on two cores, since tests of devices also wait; each may need 2 GB. In the order that tests/conftest.py makes, not the
# files with most tests first: those with few and long ones would come last, on one core
PYTEST = $(RUN) -m pytest -n 3 --dist loadfile --no-loadscope-reorder

test: setup ## Run the fast tests.
	$(PYTEST) -m "not slow"

test-all: setup ## Run all tests.
	$(PYTEST)

check: setup ## Lint, check types and import rules.
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(RUN) -m pytest tests/test_imports.py

torture: setup ## Try to break it: kills, full disks, Ctrl-C, long runs; print the counts (an hour; SHORT=1: minutes).
	$(RUN) -m tests.robustness.torture $(if $(SHORT),--short)

mutants: setup ## Make random changes in the modules that decide, and count the changes that a test notices (SAMPLE=300, SEED=0; an hour).
	$(RUN) -m tests.tools.mutants --seed $(or $(SEED),0) --sample $(or $(SAMPLE),300)

audit: ## Search the locked packages in an index of known vulnerabilities; print SKIPPED if none can be reached.
	PYTHON=$(PYTHON) .ci/audit

# The tools are no part of .venv: what publishes nothing needs them nowhere else
dist: ## Build the wheel and the source distribution, and check them: build/dist/ (nothing is published).
	rm -rf build/dist
	$(PYTHON) -m venv build/dist/tools
	build/dist/tools/bin/python -m pip install --quiet --disable-pip-version-check build twine
	build/dist/tools/bin/python -m build --quiet --outdir build/dist .
	build/dist/tools/bin/python -m twine check --strict build/dist/*.whl build/dist/*.tar.gz
	rm -rf build/dist/tools

lock: ## Write requirements.lock again from pyproject.toml, for all Python versions and platforms (needs uv).
	uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --all-extras --group pyproject.toml:dev pyproject.toml -o requirements.lock

self-test: convert ## Run the self-test of every artifact in every runtime that opens it.
	@for file in build/*/*.tflite; do for runtime in $(ON_DEVICE); do \
	  $(RUN) device/classify.py $$file --self-test --runtime $$runtime 2>/dev/null | tail -1 || exit 1; done; done
	@for file in build/*/*.onnx; do $(RUN) device/classify.py $$file --self-test | tail -1 || exit 1; done

emulated-device: setup ## Build the emulated Raspberry Pis (Debian packages, QEMU; once, minutes; EMULATED=NAME... only these).
	$(RUN) -m bench emulate $(EMULATED)

# Few test pictures: the golden ones inside each artifact are what is compared, and an emulated inference takes long. A file
# of its own: so few can carry no budget of bench.json
rehearsal: EMULATED := emulated-pi4 emulated-zero2w
rehearsal: convert emulated-device ## Run every int8 and float32 artifact on an emulated Raspberry Pi 4 and 32-bit one, over SSH.
	$(RUN) -m bench run --device $(subst $(space),$(comma),$(EMULATED)) --pictures 10 --output build/rehearsal.json \
	  $(foreach model,$(MODELS),$(foreach form,int8.tflite float32.tflite int8.onnx float32.onnx,build/$(model)/$(model).$(form)))

# Browsers are measured first and alone: their times count. Instructions are counted since an emulated board has no times
bench-devices: EMULATED := emulated-pi4
bench-devices: SHIPPED := $(foreach model,$(MODELS),build/$(model)/$(model).int8.tflite)
bench-devices: convert web setup-micro emulated-device ## Measure each int8 model on an emulated Raspberry Pi 4, in Chromium and as on a microcontroller: build/devices.html.
	$(RUN) -m bench run --device chromium,$(EMULATED),tflite-micro --output build/devices.json $(SHIPPED)
	$(RUN) -m bench count --core cortex-a72 --runtime litert --output build/devices.json $(SHIPPED)
	$(RUN) -m bench report build/devices.json

baseline: ## Make data/baseline again from data/ready.
	$(RUN) -m bench run data/ready/*.tflite --runtime litert --seconds 0.5 --output build/ready.json
	$(RUN) -m bench baseline save data/baseline data/ready/*.tflite --results build/ready.json

ready: $(foreach model,$(READY),build/$(model)/converted) ## Make data/ready again: artifacts, hashes, sample pictures.
	cp $(foreach model,$(READY),build/$(model)/$(model).int8.tflite) data/ready/
	cd data/ready && sha256sum *.tflite > SHA256SUMS
	$(RUN) -m tests.tools.sample_pictures

lock-gpu: ## Write requirements-gpu.lock again from requirements-gpu.in (needs uv).
	uv pip compile --quiet --generate-hashes --python-version 3.11 --python-platform x86_64-manylinux_2_28 requirements-gpu.in -o requirements-gpu.lock

lock-micro: ## Write requirements-micro.lock again from requirements-micro.in (needs uv).
	uv pip compile --quiet --generate-hashes --python-version 3.11 --python-platform x86_64-manylinux_2_28 requirements-micro.in -o requirements-micro.lock

# The lock names no address: npm takes the packages from where it is told to
lock-web: ## Write bench/remote/browser/package-lock.json again from its package.json (needs npm).
	cd bench/remote/browser && npm install --package-lock-only --ignore-scripts --no-audit --no-fund && sed -i '/"resolved":/d' package-lock.json

photo-accuracy: convert ## Classify photo-like pictures of test digits with each int8 model.
	$(RUN) -m tests.tools.photo_accuracy $(foreach model,$(MODELS),build/$(model)/$(model).int8.tflite)

real-digits: convert ## Read digits that were drawn by hand with each int8 model (DIGITS=FOLDER: of folders a digit).
	$(RUN) -m tests.tools.real_digits $(or $(DIGITS),tests/tools/drawings) $(foreach model,$(MODELS),build/$(model)/$(model).int8.tflite)

matrix: setup ## Every source format × variant × runtime: it converts and answers correctly, or is refused; docs/own-models.md.
	$(RUN) -m tests.tools.source_matrix docs/own-models.md

train-speed: setup ## Measure the time to 98.6 % accuracy, of the tutorial's script and of ours (minutes).
	$(RUN) -m train.studies.time_to_accuracy

clean: ## Remove build/ and keep .venv.
	rm -rf build
