# Everything a user or a developer does with this tree. `make` alone lists the targets.
VENV ?= .venv
BENCH_VENV ?= .venv-bench
CLIENTS_VENV ?= .venv-clients
LMMS_VENV ?= .venv-lmms
PREFIX ?= /usr/local
JOBS ?= $(shell tools/jobs.sh)
GPU ?= 0
SUDO ?= 0
PACKAGE ?= 0
ARGS ?=
FUZZ_SECONDS ?= 60
# 0: without what only tests and packages need
TESTS ?= 1

sources = $(shell git ls-files '*.cpp' '*.h')
configure = cmake --preset $(1) -DLITHE_VENV="$(abspath $(VENV))" --log-level=WARNING $(2) >/dev/null
compile = cmake --build --preset $(1) --parallel $(JOBS) $(2)
# A first build leaves the tests out; a build folder that has them keeps them.
without_tests = $(if $(wildcard build/release/CMakeCache.txt),,-DLITHE_TESTS=OFF)

.DEFAULT_GOAL := help
.PHONY: help setup build program build-tests test demo data golden asan tsan dev fuzz check format bench bench-setup clients-setup lmms-setup install package clean

help: ## list the targets
	@echo "make TARGET [VENV=$(VENV)] [JOBS=$(JOBS)] [PREFIX=$(PREFIX)]"
	@sed -nE 's/^([a-z-]+):.*## (.*)/  \1 \2/p' $(MAKEFILE_LIST) | while read -r name text; do printf '  %-12s %s\n' "$$name" "$$text"; done

setup: ## check what is needed; install PyTorch's libraries (GPU=1: and CUDA's; SUDO=1: packages by sudo)
	@GPU=$(GPU) SUDO=$(SUDO) TESTS=$(TESTS) PACKAGE=$(PACKAGE) tools/setup.sh "$(VENV)"

build install bench data program: TESTS = 0
build: setup ## compile the program (build/lithe) and the library
	@$(call configure,release,$(without_tests))
	@$(call compile,release,--target lithe lithe_shared)
	@ln -sfn release/bin/lithe build/lithe

program: setup
	@$(call configure,release,$(without_tests))
	@$(call compile,release,--target lithe)
	@ln -sfn release/bin/lithe build/lithe

build-tests: setup
	@$(call configure,release,-DLITHE_TESTS=ON)
	@$(call compile,release)
	@ln -sfn release/bin/lithe build/lithe

test: build-tests ## compile everything and run all tests
	@ctest --preset release --parallel $$(($(JOBS) + 1)) # some tests wait more than they compute

demo: ## compile the program alone, and show the shipped models on the shipped picture
	@tools/demo_times.sh "$(VENV)" "$(JOBS)"
	@$(MAKE) --no-print-directory program
	@build/lithe demo $(ARGS)

data: setup ## fetch a public data set, easy-VQA (3 MB), and write it as LLaVA data sets into data/easy-vqa
	@"$(VENV)/bin/python" tools/make_easy_vqa.py data/easy-vqa

golden: build-tests ## run the reference cases in GOLDEN=DIR, one line each (ARGS=--allow-unsupported: also if some are not known)
	@test -n "$(GOLDEN)" || { echo "Say which folder: make golden GOLDEN=DIR" >&2; exit 2; }
	@build/release/bin/golden $(ARGS) "$(abspath $(GOLDEN))"

dev: setup ## compile with warnings as errors, lightly optimised, and run all tests
	@$(call configure,dev)
	@$(call compile,dev)
	@ctest --preset dev --parallel $(JOBS)

asan: setup ## run the fast tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(call configure,asan)
	@$(call compile,asan)
	@ctest --preset asan --parallel $(JOBS)

tsan: setup ## run the fast tests under ThreadSanitizer
	@$(call configure,tsan)
	@$(call compile,tsan)
	@ctest --preset tsan --parallel $(JOBS)

fuzz: setup ## search for inputs that crash a parser, each fuzzer for FUZZ_SECONDS (needs clang and libclang-rt-dev)
	@$(call configure,fuzz)
	@$(call compile,fuzz)
	@tools/fuzz.sh $(FUZZ_SECONDS) $(ARGS)

check: ## what must hold before a commit: the include table, links, formatting
	@tools/check_includes.py
	@tools/check_docs.py
	@clang-format --dry-run --Werror $(sources)

format: ## format all C++ files
	@clang-format -i $(sources)

bench: build ## time image encode, prefill and decode: make bench ARGS="MODEL ..."
	@build/lithe bench $(ARGS)

bench-setup: ## an environment of its own with transformers and peft, to time Lithe against (2.9 GB to download)
	@tools/setup.sh --bench "$(BENCH_VENV)"

clients-setup: ## an environment of its own with OpenAI's Python package, with which tests then drive the server (10 MB)
	@tools/setup.sh --clients "$(CLIENTS_VENV)"

lmms-setup: ## an environment of its own with lmms-eval, to compare its scores with Lithe's (2.7 GB to download)
	@tools/setup.sh --lmms "$(LMMS_VENV)"

install: build ## install under PREFIX
	@cmake --install build/release --prefix "$(PREFIX)"

package: PACKAGE = 1
package: build ## a .tar.gz and a .deb with PyTorch's libraries, in build/package
	@tools/package.sh build/release "$(VENV)" build/package

clean: ## remove what was compiled (not the environment)
	@rm -rf build
