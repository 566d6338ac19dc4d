# SPDX-License-Identifier: Apache-2.0
# Everything from a checkout. Each target installs what it needs first (Debian's packages too, when run as root) and
# does nothing twice: what is done leaves a stamp in build/ or .venv/.
#
#   make run       build and install into .venv, make the bundles, run bundles/hello
#   make test      the whole test suite, engines included, but for what takes minutes of waiting
#   make test-engines   everything under containerd, Docker, Swarm, podman and buildah, load included
#   make soak      30 minutes of containers that come and go under containerd, write docs/engines/soak.md
#   make check     format, lint, types, C warnings and analyzer, unit and fault tests
#   make acceptance  the notes' own script with TIER=t0 (busybox) or t1 (MariaDB, WordPress), ENGINE=pypod or docker: a daemon of our own
#   make man       the manual pages, into build/man
#   make conformance  pyoci, runc and crun under OCI's validation suite and our own: build/conformance.html
#   make test-vm   the integration tests in machines with other cgroups, kernels and security modules; ALL=1: every test
#   make bench     compare with Debian's runc and crun, write docs/performance.md
#   make bench-engine  compare pypod with Debian's docker and podman, write docs/performance-engine.md
#   make develop   seconds: compile, copy into .venv
#   make format    write the formatting that `make check` asks for
#   make clean     remove what was built (.venv too)

PATH   ?= /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
PYTHON ?= /usr/bin/python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMPS := build/stamps
MESON  := env PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/meson
# The tests drive what is installed, the executor included.
PYTEST := PYOCI_EXECUTOR=$$(echo '$(CURDIR)'/$(VENV)/lib/python3*/site-packages/pyoci/native/executor) $(BIN)/pytest

BUILD_PACKAGES  := gcc libc6-dev python3 python3-venv libseccomp2 libseccomp-dev busybox-static
CHECK_PACKAGES  := clang-format mandoc zsh fish
VM_PACKAGES     := qemu-system-x86 qemu-utils debootstrap e2fsprogs cpio tar util-linux
ENGINE_PACKAGES := runc crun containerd docker.io podman buildah conmon catatonit containernetworking-plugins \
	criu slirp4netns strace uidmap iptables iproute2
# The oracles of pypod's images: other engines, a registry, and the compressors of archives.
ENGINE_PACKAGES += nftables passt podman buildah skopeo umoci docker-registry apache2-utils zstd xz-utils git openssh-client

LINTED  := pyoci tests tests/vm/run tests/vm/test tests/vm/guest/agent bench bundles/build conformance conformance/run \
	tools/completion tools/completion-pypod tools/manual
SOURCES := pyproject.toml meson.build meson.options README.md LICENSE tools/manual tools/completion tools/completion-pypod $(wildcard docs/man/*.txt docs/man/pypod/*.txt) \
	$(wildcard spec/*.json) $(shell find pyoci -name '*.py' -o -name '*.c' -o -name '*.h' | sort)

export PATH

.DELETE_ON_ERROR:
.PHONY: all install run test test-engines test-vm soak check conformance acceptance man bench bench-engine develop format clean bundles
.PHONY: packages-build packages-check packages-engines packages-vm

all: install

# --- what must be there ----------------------------------------------------------------------------------------------

packages-build:
	@tools/packages $(BUILD_PACKAGES)

packages-check:
	@tools/packages $(CHECK_PACKAGES)

packages-engines:
	@tools/packages $(ENGINE_PACKAGES)

packages-vm:
	@tools/packages $(VM_PACKAGES)

$(STAMPS):
	@mkdir -p $@

$(STAMPS)/venv: | packages-build $(STAMPS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet 'meson-python >= 0.17' 'meson >= 1.3' ninja 'cffi >= 1.15' 'jeepney >= 0.8' 'jsonschema >= 4.17' 'pyroute2 >= 0.9'
	@touch $@

$(STAMPS)/tools: $(STAMPS)/venv
	$(BIN)/pip install --quiet 'urllib3 >= 2.2' 'rich >= 13.7' 'isal >= 1.7' 'backports.zstd >= 1.0'
	$(BIN)/pip install --quiet 'mypy >= 2.4' 'pytest >= 9.0' 'pytest-randomly >= 4.0' 'ruff >= 0.17' \
		types-cffi types-jsonschema
	@touch $@

# What speaks to the engines: gRPC and web sockets to the CRI, schemas of Kubernetes.
$(STAMPS)/engine-tools: $(STAMPS)/tools
	$(BIN)/pip install --quiet 'grpcio-tools >= 1.60' 'websockets >= 13' 'kubernetes-validate >= 1.30'
	@touch $@

# --- build and install -----------------------------------------------------------------------------------------------

# What a user's `pip install` does; the build tools are in .venv already, so no second set is fetched.
$(STAMPS)/install: $(SOURCES) | $(STAMPS)/venv
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pip install --quiet --no-build-isolation --no-deps --force-reinstall .
	@touch $@

install: $(STAMPS)/install

# The same files in seconds: meson compiles what changed and copies into .venv. A new or removed file configures anew.
develop: $(STAMPS)/venv
	@find pyoci spec -name '*.py' -o -name '*.c' -o -name '*.json' | LC_ALL=C sort > build/files.new
	@if ! cmp -s build/files.new build/files || [ meson.build -nt build/files ]; then \
		if [ -d build/develop ]; then set -- --reconfigure; else set --; fi; \
		$(MESON) setup build/develop --prefix '$(CURDIR)/$(VENV)' -Dpython.install_env=venv "$$@" > build/setup.log \
			|| { cat build/setup.log; exit 1; }; \
		(cd $(VENV)/lib/python3*/site-packages && find pyoci -name '*.py' ! -name _libseccomp.py) \
			| LC_ALL=C sort | LC_ALL=C comm -23 - build/files.new | sed 's:^:$(VENV)/lib/python3*/site-packages/:' \
			| while read -r gone; do rm -f $$gone; done; \
		mv build/files.new build/files; \
	fi
	@$(MESON) install -C build/develop --quiet

bundles: | packages-build
	@bundles/build

# --- what people type ------------------------------------------------------------------------------------------------

run: install bundles
	$(BIN)/pyoci run bundles/hello

test: install bundles $(STAMPS)/engine-tools packages-engines
	$(PYTEST) -m 'not slow and not soak' tests --ignore tests/vm

test-engines: install $(STAMPS)/engine-tools packages-engines
	$(PYTEST) -m 'not soak' tests/engines tests/test_zz_nothing_left.py

soak: install $(STAMPS)/engine-tools packages-engines
	$(PYTEST) -m soak tests/engines tests/test_zz_nothing_left.py

test-vm: install $(STAMPS)/tools packages-vm
	$(BIN)/pytest tests/vm
	tests/vm/test $(if $(ALL),--all --write) $(LAYOUTS)

check: install $(STAMPS)/tools packages-check
	$(BIN)/ruff format --check $(LINTED)
	$(BIN)/ruff check $(LINTED)
	$(BIN)/mypy --strict pyoci
	MYPYPATH=tests $(BIN)/mypy --strict $(filter-out tests/vm/test_%,$(wildcard tests/vm/*.py))
	clang-format --dry-run --Werror pyoci/native/*.c pyoci/native/*.h
	[ -d build/check ] || $(MESON) setup build/check -Danalyzer=true > build/check.log
	$(MESON) compile -C build/check
	$(PYTEST) tests/unit tests/faults tests/test_house_rules.py

conformance: install $(STAMPS)/tools packages-engines
	conformance/run $(ARGUMENTS)

acceptance: install packages-engines
	tools/packages curl $(if $(filter t1,$(TIER)),debootstrap)
	tests/engine/acceptance/run $(or $(ENGINE),pypod) $(or $(TIER),t0) build/acceptance

man: | packages-build
	$(PYTHON) -I tools/manual pyoci build/man
	$(PYTHON) -I tools/manual pypod build/man

bench: install bundles packages-engines
	$(PYTHON) bench/bench.py --write docs/performance.md

bench-engine: install $(STAMPS)/tools packages-engines
	$(BIN)/python bench/engine.py --write docs/performance-engine.md

format: $(STAMPS)/tools packages-check
	$(BIN)/ruff check --fix --select I $(LINTED)
	$(BIN)/ruff format $(LINTED)
	clang-format -i pyoci/native/*.c pyoci/native/*.h

clean:
	rm -rf build dist $(VENV) .mypy_cache .ruff_cache .pytest_cache bundles/*/rootfs
	find pyoci tests -name __pycache__ -prune -exec rm -rf {} +
