"""All of OpenStack is installed, and none of it is active."""

SERVICES = (
    "keystone", "glance-api", "placement-api", "nova-api", "nova-compute", "neutron-server",
    "cinder-api", "heat-api", "openstack-dashboard", "swift-proxy", "ceph-mon", "puppet-agent",
    "facter",
)  # fmt: skip


def test_packages(host):
    for name in SERVICES:
        assert host.package(name).is_installed, name


def test_nothing_is_active(host):
    listed = host.check_output("systemctl list-unit-files --state=enabled --no-legend --plain")
    enabled = {line.split()[0] for line in listed.splitlines()}
    words = ("keystone", "glance", "placement", "nova", "neutron", "cinder", "heat", "apache",
             "swift", "ceph", "rados", "puppet", "mariadb", "mysql", "rabbitmq", "memcached",
             "haproxy", "keepalived", "libvirt", "openvswitch", "epmd", "rsync")  # fmt: skip
    assert {unit for unit in enabled if unit.startswith(words)} == set()
    links = host.run("find /etc/rc2.d /etc/rc3.d /etc/rc5.d -name 'S*'").stdout.split()
    assert [link for link in links if any(word in link for word in words)] == []


def test_accounts_have_fixed_ids(host):
    for name in ("nova", "cinder", "glance", "neutron", "keystone", "heat", "swift", "ceph"):
        assert host.user(name).exists, name


def test_configuration_parses(host):
    for name in ("keystone/keystone", "glance/glance-api", "nova/nova", "neutron/neutron",
                 "cinder/cinder", "heat/heat"):  # fmt: skip
        host.check_output(f"crudini --get /etc/{name}.conf DEFAULT > /dev/null")


def test_programs_run(host):
    for name in ("keystone", "glance", "nova", "neutron-db", "cinder", "heat"):
        program = name if name.endswith("-db") else f"{name}-manage"
        program = f"{name}-manage" if name.endswith("-db") else program
        host.check_output(f"{program} --help")


def test_no_database_is_in_the_image(host):
    found = host.run("find /var/lib -name '*.sqlite' -o -name '*.ibd'").stdout
    assert found == ""
