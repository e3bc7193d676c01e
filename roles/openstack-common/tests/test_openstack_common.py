"""The ground of every OpenStack node."""


def test_packages(host):
    for name in ("python3-openstackclient", "openvswitch-switch", "lvm2", "open-iscsi"):
        assert host.package(name).is_installed, name


def test_the_clock_is_on_and_the_rest_off(host):
    assert host.service("chrony").is_enabled
    for unit in ("openvswitch-switch", "iscsid", "tgt"):
        assert not host.service(unit).is_enabled, unit


def test_the_client_runs(host):
    assert "openstack" in host.check_output("openstack --version")


def test_no_initiator_is_in_the_image(host):
    name = host.file("/etc/iscsi/initiatorname.iscsi")
    assert not name.exists or "InitiatorName=iqn" not in name.content_string
