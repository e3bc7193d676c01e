"""nginx answers on port 80 as soon as the network is up."""


def test_nginx(host):
    assert host.package("nginx").is_installed
    assert host.service("nginx").is_enabled
    host.check_output("nginx -t")


def test_a_page_is_there(host):
    assert "It is up" in host.file("/var/www/html/index.html").content_string
