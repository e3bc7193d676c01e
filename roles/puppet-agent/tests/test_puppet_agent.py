"""Puppet's agent is there and off."""


def test_agent(host):
    assert host.package("puppet-agent").is_installed
    assert not host.service("puppet").is_enabled
    host.check_output("puppet config print server")
    assert "Debian" in host.check_output("facter os.name")


def test_no_certificate_is_in_the_image(host):
    assert host.run("find /var/lib/puppet /etc/puppet -name '*.pem'").stdout == ""
