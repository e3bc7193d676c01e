"""What `edeploy serve` finds wrong before it starts: told with its place, and nothing is made."""

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from serving import EDEPLOY, Agent, Server, serving


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path) as made:
        yield made


def refused(server: Server, *more: str, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [str(EDEPLOY), "serve", "--config", str(server.config), *more],
        capture_output=True,
        text=True,
        check=False,
        env=env,
        timeout=60,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def profile(ending: str, text: str) -> Callable[[Server], None]:
    def change(server: Server) -> None:
        (server.folder / "profiles" / f"web.{ending}").write_text(text)

    return change


def setting(section: str, line: str) -> Callable[[Server], None]:
    def change(server: Server) -> None:
        content = server.config.read_text()
        if f"[{section}]\n" in content:
            content = content.replace(f"[{section}]\n", f"[{section}]\n{line}\n")
        else:
            content += f"[{section}]\n{line}\n"
        server.config.write_text(content)

    return change


def loose_bmc_file(server: Server) -> None:
    (server.folder / "bmc.yaml").write_text("[]\n")
    (server.folder / "bmc.yaml").chmod(0o644)
    setting("bmc", 'file = "bmc.yaml"')(server)


def gone(path: str) -> Callable[[Server], None]:
    return lambda server: shutil.rmtree(server.folder / path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (profile("configure", "set_role('web', '1.0', disk=\n"), "web.configure:1:"),
        (profile("configure", "set_role('db', '2.0', disk='a')\n"), "image db 2.0 is not in the"),
        (profile("specs", "[('a', 'b')]\n"), "web.specs:1:"),
        (profile("cmdb", "open('/etc/passwd')\n"), "web.cmdb:1:"),
        (gone("store/ramdisk"), "edeploy ramdisk build --kernel cloud"),
        (gone("store"), "[store] path:"),
        (gone("profiles"), "[profiles] path:"),
        (loose_bmc_file, "chmod 600"),
        (setting("server", "prot = 1"), "edeploy.toml:2:1: [server] prot is unknown"),
        (setting("dhcp", 'interface = "none0"'), "there is no none0"),
        (lambda s: s.config.write_text("[server]\n"), "neither it nor an interface"),
        (lambda s: s.config.write_text('[server]\naddress = "192.0.2.7"\n'), "on no interface"),
    ],
)
def test_bad_site(server: Server, change: Callable[[Server], object], words: str) -> None:
    change(server)
    for more in ([], ["--check"]):
        assert words in refused(server, *more)
    assert not (server.state / "edeploy.db").exists()
    assert not (server.folder / "api.sock").exists()


def test_all_findings_at_once(server: Server) -> None:
    gone("store/ramdisk")(server)
    profile("configure", "set_role('db', '2.0', disk='a')\n")(server)
    text = refused(server, "--check")
    assert "ramdisk" in text and "db 2.0" in text


def test_good_site(server: Server) -> None:
    done = subprocess.run(
        [str(EDEPLOY), "serve", "--config", str(server.config), "--check"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "good; profiles: web" in done.stdout


def test_port_in_use(server: Server) -> None:
    with socket.create_server(("127.0.0.1", server.port)):
        text = refused(server)
    assert f"tcp port {server.port} on 127.0.0.1" in text and "ss -ltnp" in text


def test_two_servers_in_one_folder(server: Server) -> None:
    server.start()
    assert "another edeploy serve" in refused(server)
    subprocess.run(
        [str(EDEPLOY), "serve", "--config", str(server.config), "--check"],
        capture_output=True,
        check=True,
    )


def test_programs_that_are_missing(server: Server, tmp_path: Path) -> None:
    setting("rsync", "port = 8873")(server)
    server.config.write_text(server.config.read_text().replace("enabled = false", "enabled = true"))
    (tmp_path / "empty").mkdir()
    text = refused(server, env={"PATH": str(tmp_path / "empty")})
    assert "rsync is not in PATH" in text and "apt-get install rsync" in text


def test_dnsmasq_that_is_missing(server: Server, tmp_path: Path) -> None:
    lines = 'mode = "dhcp"\ninterface = "lo"\nrange_start = "127.0.0.5"\nrange_end = "127.0.0.9"'
    setting("dhcp", lines)(server)
    (tmp_path / "empty").mkdir()
    text = refused(server, "--check", env={"PATH": str(tmp_path / "empty")})
    assert "dnsmasq is not in PATH" in text and "apt-get install dnsmasq-base" in text


def test_a_state_folder_that_can_not_be_made(server: Server) -> None:
    (server.folder / "file").write_text("")
    server.config.write_text(server.config.read_text().replace('"state"', '"file/state"'))
    assert "[server] state_dir" in refused(server)


def test_broken_profiles_may_be_tolerated(server: Server) -> None:
    (server.folder / "profiles" / "state").write_text("[('db', '*'), ('web', '*')]\n")
    for ending in ("specs", "configure"):
        shutil.copy(
            server.folder / "profiles" / f"web.{ending}",
            server.folder / "profiles" / f"db.{ending}",
        )
    (server.folder / "profiles" / "db.configure").write_text("set_role('db', '9', disk='x')\n")
    assert "db 9" in refused(server)
    setting("server", "tolerate_broken_profiles = true")(server)
    server.start()
    order = Agent(server.url, 1).report()
    assert order["do"] == "install"
    assert "image db 9 is not in the store (there: web 1.0)" in str(order["why"])
