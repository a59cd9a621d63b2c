# Everything a user or a developer does with this tree. `make` alone lists the targets.
VENV ?= .venv
BENCH_VENV ?= .venv-bench
PREFIX ?= /usr/local
JOBS ?= $(shell tools/jobs.sh)
GPU ?= 0
SUDO ?= 0
ARGS ?=
FUZZ_SECONDS ?= 60

sources = $(shell git ls-files '*.cpp' '*.h')
configure = cmake --preset $(1) -DLITHE_VENV="$(abspath $(VENV))" --log-level=WARNING >/dev/null

.DEFAULT_GOAL := help
.PHONY: help setup build test demo golden asan tsan dev fuzz check format bench bench-setup install clean

help: ## list the targets
	@echo "make TARGET [VENV=$(VENV)] [JOBS=$(JOBS)] [PREFIX=$(PREFIX)]"
	@sed -nE 's/^([a-z-]+):.*## (.*)/  \1 \2/p' $(MAKEFILE_LIST) | while read -r name text; do printf '  %-12s %s\n' "$$name" "$$text"; done

setup: ## check what is needed; install PyTorch's libraries (GPU=1: and CUDA's; SUDO=1: packages by sudo)
	@GPU=$(GPU) SUDO=$(SUDO) tools/setup.sh "$(VENV)"

build: setup ## compile; the program is build/lithe
	@$(call configure,release)
	@cmake --build --preset release --parallel $(JOBS)
	@ln -sfn release/bin/lithe build/lithe

test: build ## run all tests
	@ctest --preset release --parallel $(JOBS)

demo: build ## the shipped model on the shipped picture, dense beside skipped
	@build/lithe demo $(ARGS)

golden: build ## run the reference cases in the folder GOLDEN=DIR, one line each
	@test -n "$(GOLDEN)" || { echo "Say which folder: make golden GOLDEN=DIR" >&2; exit 2; }
	@build/release/bin/golden "$(abspath $(GOLDEN))"

dev: setup ## compile with warnings as errors, lightly optimised, and run all tests
	@$(call configure,dev)
	@cmake --build --preset dev --parallel $(JOBS)
	@ctest --preset dev --parallel $(JOBS)

asan: setup ## run the fast tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(call configure,asan)
	@cmake --build --preset asan --parallel $(JOBS)
	@ctest --preset asan --parallel $(JOBS)

tsan: setup ## run the fast tests under ThreadSanitizer
	@$(call configure,tsan)
	@cmake --build --preset tsan --parallel $(JOBS)
	@ctest --preset tsan --parallel $(JOBS)

fuzz: setup ## search for inputs that crash a parser, each fuzzer for FUZZ_SECONDS (needs clang and libclang-rt-dev)
	@$(call configure,fuzz)
	@cmake --build --preset fuzz --parallel $(JOBS)
	@tools/fuzz.sh $(FUZZ_SECONDS) $(ARGS)

check: ## what must hold before a commit: the include table, links, formatting
	@tools/check_includes.py
	@tools/check_docs.py
	@clang-format --dry-run --Werror $(sources)

format: ## format all C++ files
	@clang-format -i $(sources)

bench: build ## time image encode, prefill and decode: make bench ARGS="MODEL ..."
	@build/lithe bench $(ARGS)

bench-setup: ## an environment of its own with transformers, to time Lithe against (2.9 GB to download)
	@tools/setup.sh --bench "$(BENCH_VENV)"

install: build ## install under PREFIX
	@cmake --install build/release --prefix "$(PREFIX)"

clean: ## remove what was compiled (not the environment)
	@rm -rf build
