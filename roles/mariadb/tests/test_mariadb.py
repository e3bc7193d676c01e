"""MariaDB starts with tables of its own machine."""

import json


def test_installed_and_enabled(host):
    assert host.package("mariadb-server").is_installed
    assert host.service("mariadb").is_enabled
    assert host.service("mariadb-tables").is_enabled


def test_a_new_version_is_kept_when_it_takes_connections(host):
    declared = json.loads(host.file("/usr/lib/edeploy/health.json").content_string)
    assert "mariadb.service" in declared["units"] and 3306 in declared["ports"]


def test_no_database_is_in_the_image(host):
    folder = host.file("/var/lib/mysql")
    assert folder.listdir() == []
    assert (folder.user, folder.group) == ("mysql", "mysql")


def test_configuration_parses(host):
    said = host.check_output("mariadbd --print-defaults")
    assert "--bind-address=127.0.0.1" in said
    assert host.run("mariadbd --user=mysql --help --verbose").rc == 0


def test_the_tables_are_made(host):
    host.check_output(
        "mariadb-install-db --force --user=mysql --skip-test-db"
        " --auth-root-authentication-method=socket"
    )
    assert host.file("/var/lib/mysql/mysql").is_directory
