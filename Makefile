# The two commands: `make demo` and `make test`. Each sets up what it needs (Debian 12 or 13, root).
.PHONY: demo test check setup lock clean

setup:
	./setup-machine

demo: setup
	.venv/bin/edeploy demo

check: setup
	.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy && .venv/bin/pytest -q -n 2 tests/unit tests/property

test: check
	.venv/bin/pytest tests/integration tests/lab

clean:
	rm -rf .venv build
