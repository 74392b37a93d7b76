# Two commands do everything on a fresh machine: `make run` and `make test`.

.PHONY: run install test bench crash lint

# Builds and starts the gateway in front of its built-in demo server.
run:
	scripts/install-system
	cargo run --release --quiet -p archon-server --bin archon -- serve

# Builds the program as packages have it, and installs it below /usr/local, or PREFIX.
install:
	scripts/install

# Installs what the tests need and runs all of them.
test:
	scripts/test

# Measures direct, nginx and the gateway in one run, and writes docs/decisions/0004-how-fast-it-should-be.md.
bench:
	scripts/bench

# Kills the gateway and an upstream at random, and compares what clients, upstream and database say.
crash:
	scripts/crash

# Format and lints, as the tests check them.
lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings
