# edgeproof: train, convert, measure. `make help` lists what there is.

SHELL := bash
.SHELLFLAGS := -o pipefail -c
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
GPU_VENV := .venv-gpu
GPU_RUN ?= $(GPU_VENV)/bin/python
export TF_CPP_MIN_LOG_LEVEL := 3

MODELS := $(filter-out __init__,$(basename $(notdir $(wildcard train/models/*.py))))
KERAS := $(foreach model,$(MODELS),build/$(model)/$(model).keras)
CONVERTED := $(foreach model,$(MODELS),build/$(model)/converted)
TRAIN_SOURCES := $(filter-out $(addprefix train/,__main__.py alone.py cli.py speed.py sweep.py),$(wildcard train/*.py)) device/classify.py
CONVERT_SOURCES := $(filter-out convert/__main__.py,$(wildcard convert/*.py))
READS_ONLY := advice baseline budget charts check compare device_match doctor faster fresh gate history interval latency_charts overhead page pairs power promise publish \
  quality ratio reasons recommend remeasure repeatability report rounds row_check soundness tell trend_charts turns verdict words # these judge and show measurements, and change none
BENCH_SOURCES := $(filter-out bench/__main__.py $(READS_ONLY:%=bench/%.py),$(wildcard bench/*.py bench/runtimes/*.py))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup setup-gpu train convert bench bench-gpu budgets gate-power report screenshots chromium overhead repeatability software-vulkan test test-all check torture audit lock lock-gpu self-test emulated-device rehearsal baseline ready photo-accuracy train-speed clean

help: ## List the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 18

setup: $(VENV)/installed ## Make .venv from requirements.lock; a prerequisite of all others.

$(VENV)/installed: requirements.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v == (3, 11) else f"edgeproof needs Python 3.11, {sys.executable} is {v[0]}.{v[1]}: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

setup-gpu: $(if $(filter $(GPU_VENV)/%,$(GPU_RUN)),$(GPU_VENV)/installed) ## Make .venv-gpu from requirements-gpu.lock: the builds with CUDA, some 6 GB.

$(GPU_VENV)/installed: requirements-gpu.lock
	$(PYTHON) -m venv $(GPU_VENV)
	$(GPU_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-gpu.lock
	@touch $@

train: $(KERAS) ## Train every model with its default recipe: build/MODEL/MODEL.keras.

define TRAIN_RULE
build/$(1)/$(1).keras: train/models/$(1).py $(TRAIN_SOURCES) | $(VENV)/installed
	$(RUN) -m train run $(1)
endef
$(foreach model,$(MODELS),$(eval $(call TRAIN_RULE,$(model))))

convert: $(CONVERTED) ## Convert every model into its variants, verify them, put their cards in.

build/%/converted: $(CONVERT_SOURCES) device/classify.py | $(VENV)/installed
	$(RUN) -m convert run $*
	@touch $@

define CONVERT_RULE
build/$(1)/converted: build/$(1)/$(1).keras
endef
$(foreach model,$(MODELS),$(eval $(call CONVERT_RULE,$(model))))

bench: build/bench.json ## Measure every artifact in every runtime: build/bench.json, build/report.html.

build/bench.json: $(CONVERTED) $(BENCH_SOURCES) device/classify.py | $(VENV)/installed
	$(RUN) -m bench run

# Asked for by name, so that a machine without a GPU fails. GPU_RUN=python3 takes an environment of your own, and build/ as it is
GPU_RUNTIMES := litert_gpu onnxruntime_cuda onnxruntime_webgpu keras_gpu
bench-gpu: setup-gpu ## Measure what is in build/ on the GPU, in every runtime that has one, into build/bench.json.
	$(GPU_RUN) -m bench run $(addprefix --runtime ,$(GPU_RUNTIMES))

overhead: setup ## What the harness adds to a latency: p50 over a bare loop's and over litert-benchmark's.
	$(RUN) -m bench.overhead

repeatability: $(CONVERTED) ## Measure twice; the share of rows that agree within their own intervals (half an hour).
	$(RUN) -m bench run --output build/repeatability/first.json
	$(RUN) -m bench run --output build/repeatability/second.json
	$(RUN) -m bench.repeatability build/repeatability/first.json build/repeatability/second.json

software-vulkan: setup ## Fetch a Vulkan device made of software, for the tests of the GPU path (Debian).
	$(RUN) -m tests.software_vulkan

report: | $(VENV)/installed ## Write the report of what is measured again: build/report.html, build/report.md.
	$(RUN) -m bench report

chromium: ## Install Chromium from Debian, for the report's tests and screenshots (as root).
	@command -v chromium >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium fonts-dejavu-core; }

screenshots: setup ## Open build/report.html in Chromium: build/screenshots/*.png, exit code 1 for any error in it.
	$(RUN) -m tests.browser build/report.html build/screenshots

budgets: build/bench.json ## Hold build/bench.json against bench/budgets.toml, and the build against data/baseline.
	$(RUN) -m bench check --inconclusive pass
	$(RUN) -m bench gate --baseline data/baseline --inconclusive pass

gate-power: setup ## Measure how often the gate errs: docs/gate-power.md (NOISE=FILE... records this machine's scatter first).
	$(if $(NOISE),$(RUN) -m bench.power record $(NOISE))
	$(RUN) -m bench.power simulate

test: setup ## Run the fast tests.
	$(RUN) -m pytest -n 2 --dist loadfile -m "not slow"

test-all: setup ## Run all tests.
	$(RUN) -m pytest -n 2 --dist loadfile

check: setup ## Lint, check types and import rules.
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(RUN) -m pytest tests/test_house.py -k "imports"

torture: setup ## Try to break it: kills, full disks, Ctrl-C, long runs; print the counts (an hour; SHORT=1: minutes).
	$(RUN) -m tests.torture $(if $(SHORT),--short)

audit: ## Look the locked packages up in an index of known vulnerabilities; skipped, aloud, where none can be reached.
	PYTHON=$(PYTHON) .ci/audit

lock: ## Write requirements.lock again from pyproject.toml (needs uv).
	uv pip compile --quiet --generate-hashes --python-version 3.11 --group pyproject.toml:dev pyproject.toml -o requirements.lock

self-test: convert ## Let every artifact prove itself in every runtime that opens it.
	@for file in build/*/*.tflite; do for runtime in litert tflite_runtime; do \
	  $(RUN) device/classify.py $$file --self-test --runtime $$runtime 2>/dev/null | tail -1 || exit 1; done; done
	@for file in build/*/*.onnx; do $(RUN) device/classify.py $$file --self-test | tail -1 || exit 1; done

emulated-device: setup ## Build the emulated Raspberry Pis (Debian packages, QEMU; once, minutes; EMULATED=NAME... only these).
	$(RUN) -m bench emulate $(EMULATED)

# Few test pictures: the golden ones inside each artifact are what is compared, and an emulated inference takes long. A file
# of its own: so few can carry no budget of bench.json
rehearsal: EMULATED := emulated-pi4 emulated-zero2w
rehearsal: convert emulated-device ## Run every int8 and float32 artifact on an emulated Raspberry Pi 4 and 32-bit one, over SSH.
	$(RUN) -m bench run --device emulated-pi4,emulated-zero2w --pictures 10 --output build/rehearsal.json \
	  $(foreach model,$(MODELS),$(foreach form,int8.tflite float32.tflite int8.onnx float32.onnx,build/$(model)/$(model).$(form)))

baseline: ## Make data/baseline again from data/ready.
	$(RUN) -m bench run data/ready/*.tflite --runtime litert --seconds 0.5 --output build/ready.json
	$(RUN) -m bench baseline save data/baseline data/ready/*.tflite --results build/ready.json

ready: $(foreach model,mnist_cnn mnist_cnn_crop,build/$(model)/converted) ## Make data/ready again: artifacts, hashes, sample pictures.
	cp build/mnist_cnn/mnist_cnn.int8.tflite build/mnist_cnn_crop/mnist_cnn_crop.int8.tflite data/ready/
	cd data/ready && sha256sum *.tflite > SHA256SUMS
	$(RUN) -m tests.sample_pictures
lock-gpu: ## Write requirements-gpu.lock again from requirements-gpu.in (needs uv).
	uv pip compile --quiet --generate-hashes --python-version 3.11 --python-platform x86_64-manylinux_2_28 requirements-gpu.in -o requirements-gpu.lock

photo-accuracy: convert ## Read photo-like pictures of test digits with each int8 model.
	$(RUN) -m tests.photo_accuracy $(foreach model,$(MODELS),build/$(model)/$(model).int8.tflite)

train-speed: setup ## Time to 98.6 % accuracy: the tutorial's script and ours (minutes).
	$(RUN) -m train.speed

clean: ## Remove what was built; .venv stays.
	rm -rf build
