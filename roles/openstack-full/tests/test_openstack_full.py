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
    # What has a unit starts by that alone.
    links = host.run("find /etc/rc2.d /etc/rc3.d /etc/rc5.d -name 'S*'").stdout.split()
    names = {link.rpartition("/")[2][3:] for link in links}
    listed = host.check_output("systemctl list-unit-files --no-legend --plain")
    units = {line.split()[0] for line in listed.splitlines()}
    alone = {name for name in names if f"{name}.service" not in units}
    assert {name for name in alone if name.startswith(words)} == set()


def test_accounts_have_fixed_ids(host):
    for name in ("nova", "cinder", "glance", "neutron", "keystone", "heat", "swift", "ceph"):
        assert host.user(name).exists, name


def test_configuration_parses(host):
    for name in ("keystone/keystone", "glance/glance-api", "nova/nova", "neutron/neutron",
                 "cinder/cinder", "heat/heat"):  # fmt: skip
        host.check_output(f"crudini --get /etc/{name}.conf DEFAULT > /dev/null")


def test_programs_run(host):
    for name in ("keystone", "glance", "placement", "nova", "neutron-db", "cinder", "heat"):
        host.check_output(f"{name}-manage --help")
    host.check_output("python3 -c 'import swift.proxy.server'")
    assert "ceph version" in host.check_output("ceph --version")
    assert "Debian" in host.check_output("facter os.name")


def test_the_web_servers_configuration_parses(host):
    host.check_output("mkdir -p /run/lock/apache2 /var/log/apache2 && apache2ctl configtest")
    host.check_output("haproxy -c -f /etc/haproxy/haproxy.cfg")


def test_the_dashboard_has_its_style_sheets(host):
    folder = "/var/lib/openstack-dashboard/static"
    assert host.file(f"{folder}/dashboard/manifest.json").size > 0
    assert host.check_output(f"find {folder}/dashboard/css -name '*.css'") != ""
    assert host.file(folder).user == "www-data"


def test_no_database_is_in_the_image(host):
    found = host.run("find /var/lib -name '*.sqlite' -o -name '*.ibd'").stdout
    assert found == ""
