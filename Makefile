# photos-agent: build, check, package, show.
#
# Works on Debian and Fedora with GNU make. Everything but `setup` and the disposable hosts (which are
# root's: sudo is used where you are not root) stays inside target/ and build/.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# Each target is parallel inside; two of them at once only fight over target/.
.NOTPARALLEL:

CARGO             ?= cargo
HOST_TEST_THREADS ?= 3
SUDO              := $(if $(filter 0,$(shell id -u)),,sudo)

ARCH    := $(or $(patsubst x86_64,amd64,$(filter x86_64,$(shell uname -m))),arm64)
BINARY  := target/release/photos-agent
# With Debian's revision, which only the changelog knows.
PACKAGE := $(shell sed -n '1s/.*(\(.*\)).*/\1/p' packaging/deb/changelog)
DEB     := build/photos-agent_$(PACKAGE)_$(ARCH).deb
RPM     := build/photos-agent-$(PACKAGE).$(shell uname -m).rpm

# Where rustup puts cargo, for the run in which `setup` has just installed it.
export PATH := $(PATH):$(HOME)/.cargo/bin

# Dates in what is built come from the changelog, paths in the binary do not name this machine: the
# same source gives the same package. Read with date, since dpkg-parsechangelog is not there
# before `setup` has run.
export SOURCE_DATE_EPOCH := $(shell date +%s -d "$$(sed -n 's/^ -- .*>  //p' packaging/deb/changelog | head -1)")
release: export RUSTFLAGS += --remap-path-prefix=$(CURDIR)=/photos-agent \
	--remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=/cargo

# Built as you, run as root: the hosts need loop devices and namespaces.
HOST_TESTS = $(if $(SUDO),env "CARGO_TARGET_$$(rustc -vV | sed -n 's/^host: //p' | tr a-z- A-Z_)_RUNNER=sudo -E") \
	$(CARGO) test --locked --test host --

# Runs a recipe's command under a heading, and says how long it took.
stage = @echo "==> $(1)"; start=$$SECONDS; $(2); echo "==> $(1): done in $$((SECONDS - start)) s"

.PHONY: help setup build release package lint-package demo bench test test-faults lint deny unit host clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 14

setup: ## Install what building and testing need on this machine (asks sudo)
	$(call stage,setup,tests/host/setup)

build: release ## Build the release binary

release:
	$(call stage,build,$(CARGO) build --release --locked)

package: release ## Build the deb and the rpm into build/
	$(call stage,package,$(MAKE) --no-print-directory --silent "$(DEB)" "$(RPM)"; ls -l "$(BINARY)" "$(DEB)" "$(RPM)")

# cargo leaves the binary's time alone when nothing changed, and so does this.
build/made/stamp: $(BINARY) Cargo.lock packaging/made packaging/notices packaging/texts.rs
	CARGO="$(CARGO)" packaging/made $(BINARY)

BOTH := build/made/stamp packaging/files packaging/stage packaging/filled packaging/config.toml docs/operator.md docs/hardening.md docs/json.md \
	systemd/photos-agent.service $(shell find packaging/man packaging/scripts packaging/deb -type f)

$(DEB): $(BOTH)
	packaging/deb/build $@

$(RPM): $(BOTH) LICENSE-MIT LICENSE-APACHE $(shell find packaging/rpm -type f)
	packaging/rpm/build $@

demo: setup package ## Show it: a disposable host, the deb, the whole stack (KEEP=1 leaves the host)
	$(call stage,demo,$(SUDO) env KEEP="$(KEEP)" tests/host/demo "$(CURDIR)/$(DEB)")

bench: setup package ## Measure it beside its peers, a quiet quarter of an hour (SAVE=1 keeps the tables in docs/benchmarks.md)
	$(call stage,bench,$(SUDO) env KEEP="$(KEEP)" SAVE="$(SAVE)" tests/host/bench "$(CURDIR)/$(DEB)")

test: setup lint unit package lint-package host ## Everything, the tests on real hosts included

lint: ## Format and lints
	$(call stage,format,$(CARGO) fmt --check)
	$(call stage,clippy,$(CARGO) clippy --locked --all-targets -- -D warnings)

lint-package: package ## lintian, rpmlint, manual pages and completions
	$(call stage,lint of the packages,packaging/lint "$(DEB)" "$(RPM)")

deny: ## Licences, bans and sources of the dependencies (needs cargo-deny, not part of test)
	@command -v cargo-deny >/dev/null || { echo "make deny needs cargo-deny: cargo install --locked cargo-deny" >&2; exit 1; }
	$(call stage,deny,$(CARGO) deny --locked check licenses bans sources)

unit: ## Tests that need nothing but this folder
	$(call stage,unit tests,$(CARGO) test --locked)

host: export PHOTOS_AGENT_DEB = $(CURDIR)/$(DEB)
host: export PHOTOS_AGENT_RPM = $(CURDIR)/$(RPM)
host: export RUST_BACKTRACE = 0
host: package ## Tests on disposable real hosts, from the deb (HOST_TEST_THREADS=3); what fails is run once more, alone
	$(call stage,host tests,tests/host/run $(HOST_TEST_THREADS) $(HOST_TESTS))

# FAULT='subnet powercut step=3' is that one alone; TEST_SEED=7 draws the same ones again.
test-faults: export PHOTOS_AGENT_DEB = $(CURDIR)/$(DEB)
test-faults: export FAULTS ?= 200
test-faults: export SNAPSHOT_FAULTS ?= 150
test-faults: export UPGRADE_FAULTS ?= 60
test-faults: export FAULT_WORKERS ?= 2
test-faults: export SNAPSHOTS ?= 200
test-faults: export OPENED ?= 20
test-faults: package ## Kill, cut off and fill up disposable hosts, FAULTS=200, SNAPSHOT_FAULTS=150 and UPGRADE_FAULTS=60 times (TEST_SEED, FAULT)
	$(call stage,faults,$(HOST_TESTS) --nocapture --test-threads=1 --exact \
		faults::whatever_dies_whenever_the_next_run_finishes_it \
		faults::whatever_dies_around_a_snapshot_nothing_is_half_taken_half_deleted_or_half_put_back \
		faults::whatever_dies_around_an_upgrade_one_release_is_whole \
		$(if $(FAULT),,snapshot::rows_and_files_are_of_one_moment_and_the_writer_notices_nothing))

clean: ## Delete target/ and build/ (tests/host/testhost clean deletes the hosts)
	$(CARGO) clean
	rm -rf build
