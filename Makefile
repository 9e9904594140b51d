# Wharf's tasks. `make demo` and `make test` work on a fresh Debian machine, as root.

TARGET  := x86_64-unknown-linux-gnu
ifeq ($(shell uname -m),aarch64)
TARGET  := aarch64-unknown-linux-gnu
endif
BUILD   := $(or $(CARGO_TARGET_DIR),target)
DEBUG   := $(BUILD)/$(TARGET)/debug/wharf
RELEASE := $(BUILD)/$(TARGET)/release/wharf
PREFIX  ?= /usr/local
DESTDIR ?=
# One process per test and a deadline for each where nextest is installed, plain cargo otherwise.
RUN     := $(shell cargo nextest --version >/dev/null 2>&1 && echo "nextest run" || echo test)

.PHONY: all build release setup demo test test-unit test-black-box test-vm lint fmt bench install clean

all: release

build:
	cargo build --workspace --target $(TARGET)

release:
	cargo build --release -p wharf --target $(TARGET)

setup:
	tests/setup.sh

demo: setup release
	WHARF_BIN=$(abspath $(RELEASE)) examples/demo.sh

test: setup test-unit test-black-box

test-unit:
	cargo $(RUN) --workspace --exclude wharf-tests --target $(TARGET)
	WHARF_TEST_LAYERS=directory cargo $(RUN) -p wharf-images --test images --target $(TARGET)

# The whole suite on both forms of layers: EROFS indexes over the tars, and directories.
test-black-box: build
	PATH="$$PATH:$(abspath target/tools/bin)" WHARF_BIN=$(abspath $(DEBUG)) \
	    cargo $(RUN) -p wharf-tests --target $(TARGET)
	PATH="$$PATH:$(abspath target/tools/bin)" WHARF_BIN=$(abspath $(DEBUG)) WHARF_TEST_LAYERS=directory \
	    cargo $(RUN) -p wharf-tests --target $(TARGET)

# What depends on the kernel, on Linux 6.1 and 6.12 with cgroup v2, in an emulated machine: some hours.
# Parts and single tests: tests/vm/suite.sh.
test-vm:
	tests/vm/suite.sh bookworm
	tests/vm/suite.sh trixie

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --target $(TARGET) -- -D warnings
	cargo test -q -p wharf-tests --test architecture --target $(TARGET)
	tests/dependencies.sh

fmt:
	cargo fmt --all

bench: setup release
	WHARF_BIN=$(abspath $(RELEASE)) benches/run.sh

install: release
	install -Dm755 $(RELEASE) $(DESTDIR)$(PREFIX)/bin/wharf
ifdef AS_DOCKER
	ln -sf wharf $(DESTDIR)$(PREFIX)/bin/docker
	ln -sf wharf $(DESTDIR)$(PREFIX)/bin/dockerd
endif

clean:
	cargo clean
