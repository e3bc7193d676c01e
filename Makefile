# The two commands: `make demo` and `make test`. Each sets up what it needs (Debian 12 or 13, root).
ROLES := base web mariadb hypervisor ceph openstack-common openstack-full install-server
PARTS := roles/install-server/parts
STORE := /var/lib/edeploy/store

.PHONY: demo demo-ahc test test-all check setup lock clean roles

setup:
	./setup-machine

demo: setup
	.venv/bin/edeploy demo

# Health checks: five machines, two black sheep.
demo-ahc: setup
	.venv/bin/edeploy demo --health

check: setup
	.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy && .venv/bin/pytest -q -n 2 tests/unit tests/property

test: check
	.venv/bin/pytest -m "not long" tests/integration tests/browser tests/lab

# Everything, the racks that boot for ten minutes and more as well.
test-all: check
	.venv/bin/pytest tests/integration tests/browser tests/lab

# What the role install-server takes from here: edeploy as it is, and its Python parts by hash.
$(PARTS): setup
	rm -rf $@ && mkdir -p $@/wheels
	tar -c --sort=name --owner=0 --group=0 --numeric-owner --exclude=__pycache__ --exclude=$(PARTS) \
		-f $@/edeploy.tar edeploy roles pxe hardware_specs docs setup.cfg README.md LICENSE
	cp roles/install-server/requirements.lock $@/
	.venv/bin/pip -q download --require-hashes --no-deps -r $@/requirements.lock -d $@/wheels

roles: setup $(PARTS)
	.venv/bin/edeploy role lint
	.venv/bin/edeploy image build --store $(STORE) $(ROLES)
	.venv/bin/edeploy role test --store $(STORE) $(ROLES)

clean:
	rm -rf .venv build

# Needs uv. Hashes and versions only, no addresses.
lock:
	uv pip compile setup.cfg --generate-hashes --universal --python-version 3.11 \
		--no-header --no-emit-index-url --no-emit-find-links -q -o roles/install-server/requirements.lock
	uv pip compile setup.cfg --extra test --generate-hashes --universal --python-version 3.11 \
		--no-header --no-emit-index-url --no-emit-find-links -q -o requirements.lock
