"""The whole of an install over the API of a real server, also when it is killed in between."""

import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
from serving import ARCHIVE, Agent, Server, bearer, hardware, plan, serving


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path) as made:
        yield made.start()


def machine(server: Server, name: str = "EDL0001") -> dict[str, object]:
    with server.operators() as client:
        found: dict[str, object] = client.get(f"/machines/{name}").raise_for_status().json()
        return found


def test_from_a_stranger_to_active(server: Server) -> None:
    agent = Agent(server.url, 1)
    assert "/ramdisk/cloud/vmlinuz" in agent.boot()
    order = agent.report()
    assert (order["machine"], order["state"], order["do"]) == (
        "Box-LabMakers-EDL0001",
        "reserved",
        "install",
    )
    install = agent.redeem(order["token"]).json()
    assert install["vars"]["ip"] == "10.0.0.1" and install["vars"]["disk"] == "vda"
    assert install["done"] == [] and install["deadline"] > time.time()
    agent.run("discover", "configure")
    assert not machine(server)["disk_touched"]
    agent.post("/v1/install/plan", plan(1)).raise_for_status()
    assert machine(server)["disk_touched"]
    agent.phase("fetch", "progress", done=10, total=100, unit="bytes", log=["half"])
    listed = machine(server)
    assert (listed["phase"], listed["done"], listed["total"]) == ("fetch", 10, 100)
    agent.run("fetch", "verify", "bootloader")
    assert "/ramdisk/" in agent.boot()
    secret = agent.finish()
    assert "sanboot" in agent.boot()
    assert f"chain file://{install['boot_label']}/EFI/BOOT/BOOTX64.EFI" in agent.boot("efi")
    assert agent.call_home(secret).is_success
    assert agent.call_home(secret).is_success
    done = machine(server)
    assert (done["state"], done["role"], done["version"]) == ("active", "web", "1.0")
    assert done["lease"]["state"] == "spent"  # type: ignore[index]
    phases = {row["name"]: row for row in done["phases"]}  # type: ignore[attr-defined]
    assert list(phases) == [
        "firmware", "ramdisk", "discover", "configure", "fetch", "verify", "bootloader", "finish",
        "first-boot",
    ]  # fmt: skip
    assert all(row["ended"] is not None for row in phases.values())
    assert phases["fetch"]["seconds"] == 1.5
    assert "sanboot" in agent.boot()
    assert agent.report()["do"] == "local"


def test_killed_anywhere_it_goes_on(server: Server) -> None:
    agent = Agent(server.url, 1)

    def again() -> None:
        server.kill()
        server.start()

    agent.boot()
    token = agent.report()["token"]
    again()
    agent.redeem(token).raise_for_status()
    again()
    agent.run("discover", "configure")
    agent.post("/v1/install/plan", plan(1)).raise_for_status()
    again()
    agent.phase("fetch", "start")
    again()
    agent.run("fetch", "verify", "bootloader")
    again()
    secret = agent.finish()
    again()
    assert "sanboot" in agent.boot()
    assert agent.call_home(secret).is_success
    again()
    assert machine(server)["state"] == "active"


def test_reports_that_come_twice_lease_once(server: Server) -> None:
    agent, other = Agent(server.url, 1), Agent(server.url, 2)
    tokens = [agent.report()["token"] for _ in range(3)]
    assert other.redeem(other.report()["token"]).json()["vars"]["ip"] == "10.0.0.2"
    assert agent.redeem(tokens[0]).status_code == 409  # a later report made another
    assert agent.redeem(tokens[2]).json()["vars"]["ip"] == "10.0.0.1"


def test_a_token_is_good_once(server: Server) -> None:
    agent = Agent(server.url, 1)
    token = agent.report()["token"]
    agent.redeem(token).raise_for_status()
    second = Agent(server.url, 1).redeem(token)
    assert second.status_code == 409 and set(second.json()) == {"error", "hint"}
    assert agent.phase("discover", "start")["go"]
    with server.operators() as client:
        kinds = [event["kind"] for event in client.get("/events").json()]
    assert "token-reused" in kinds
    assert str(token) not in (server.state / "edeploy.db").read_bytes().decode("latin-1")


def test_a_ramdisk_that_rebooted_begins_again(server: Server) -> None:
    agent = Agent(server.url, 1)
    before = agent.redeem(agent.report()["token"]).json()
    agent.run("discover", "configure")
    old = agent.secret
    agent.boot()
    order = agent.report()
    assert (order["state"], order["do"]) == ("installing", "install")
    install = agent.redeem(order["token"]).json()
    assert install["done"] == ["discover", "configure"]
    assert install["deadline"] == before["deadline"]
    assert install["vars"] == before["vars"]
    stale = Agent(server.url, 1)
    stale.secret = old
    assert stale.phase("fetch", "start")["go"] is False
    assert stale.post("/v1/install/plan", plan(1)).status_code == 409
    assert agent.phase("fetch", "start")["go"]
    with server.operators() as client:
        attempts = client.get("/machines/EDL0001/log").json()["attempts"]
    assert [attempt["number"] for attempt in attempts] == [1, 2]


def test_a_failed_install_gives_its_lease_back(server: Server) -> None:
    agent = Agent(server.url, 1)
    agent.redeem(agent.report()["token"]).raise_for_status()
    agent.run("discover", "configure", "fetch")
    agent.phase("verify", "start")
    assert agent.phase("verify", "fail", reason="/etc/passwd differs")["go"] is False
    failed = machine(server)
    assert (failed["state"], failed["phase"]) == ("failed", "verify")
    assert failed["reason"] == "/etc/passwd differs" and failed["lease"] is None
    assert "/ramdisk/" in agent.boot()  # never the disk
    assert agent.report()["do"] == "hold"
    log = agent.client.post("/v1/install/log", content=b"all", headers=bearer(agent.secret))
    assert log.is_success
    other = Agent(server.url, 2)
    assert other.redeem(other.report()["token"]).json()["vars"]["ip"] == "10.0.0.1"
    server.edeploy("retry", "EDL0001")
    order = agent.report()
    assert order["do"] == "install"
    assert agent.redeem(order["token"]).json()["vars"]["ip"] == "10.0.0.2"


def test_no_profile_fits_and_is_explained(server: Server) -> None:
    client = httpx.Client(base_url=server.url)
    answer = client.post("/v1/report", json=hardware(1, vendor="Others")).json()
    assert (answer["do"], answer["token"]) == ("wait", None)
    assert "web: no" in answer["why"] and "Lab Makers" in answer["why"]
    assert machine(server)["state"] == "discovered"
    changed = (server.folder / "profiles" / "web.specs").read_text()
    (server.folder / "profiles" / "web.specs").write_text(changed.replace("Lab Makers", "Others"))
    assert client.post("/v1/report", json=hardware(1, vendor="Others")).json()["do"] == "install"


def test_quota_and_cmdb_are_explained(tmp_path: Path) -> None:
    with serving(tmp_path, quota="2", addresses=1) as server:
        server.start()
        assert Agent(server.url, 1).report()["do"] == "install"
        why = "web matches, but it has no CMDB entries left (1 of 1 held by Box-LabMakers-EDL0001)"
        assert Agent(server.url, 2).report()["why"] == why
        assert machine(server, "EDL0002")["reason"] == why
        assert "no CMDB entries left" in server.edeploy("show", "EDL0002")
    (tmp_path / "second").mkdir()
    with serving(tmp_path / "second", quota="1") as server:
        server.start()
        assert Agent(server.url, 1).report()["do"] == "install"
        why = "web matches, but its quota of 1 is spent: Box-LabMakers-EDL0001"
        assert Agent(server.url, 2).report()["why"] == why
        assert machine(server, "EDL0002")["reason"] == why
        assert "its quota of 1 is spent" in server.edeploy("show", "EDL0002")


def test_reinstall_keeps_the_entry(server: Server) -> None:
    first, second = Agent(server.url, 1), Agent(server.url, 2)
    first.report()
    assert second.call_home(second.install()).is_success
    assert "--yes" in server.edeploy("reinstall", "EDL0002", code=1)
    assert machine(server, "EDL0002")["state"] == "active"
    server.edeploy("reinstall", "EDL0002", "--yes")
    assert Agent(server.url, 3).report()["do"] == "install"
    order = second.report()
    assert second.redeem(order["token"]).json()["vars"]["ip"] == "10.0.0.2"
    server.edeploy("retry", "EDL0002", code=1)


def test_bad_uploads(server: Server) -> None:
    client = httpx.Client(base_url=server.url)
    cases = [
        (b"{", 400, "JSON"),
        (b'{"a": 1}', 400, "list"),
        (b"[[1, 2, 3]]", 400, "row 1: 3 items instead of 4"),
        (b"[]", 400, "to know this machine by"),
        (b" " * (1 << 20) + b"[]", 413, "too large"),
    ]
    for body, status, words in cases:
        answer = client.post("/v1/report", content=body)
        assert answer.status_code == status and words in answer.json()["error"]

    def endless() -> Iterator[bytes]:
        while True:
            yield b"[" * 65536

    try:
        assert client.post("/v1/report", content=endless()).status_code == 413
    except (httpx.WriteError, httpx.ReadError):
        pass  # the server closed in the middle of the upload, which is as good
    with server.operators() as operators:
        assert operators.get("/machines").json() == []


def test_wrong_secrets_and_nonsense(server: Server) -> None:
    agent = Agent(server.url, 1)
    assert agent.client.post("/v1/install").status_code == 401
    assert agent.redeem("x" * 43).status_code == 401
    agent.redeem(agent.report()["token"]).raise_for_status()
    bad = agent.post("/v1/install/phase", {"phase": "dance", "event": "start"})
    assert bad.status_code == 400 and "dance" in bad.json()["error"]
    bad = agent.post("/v1/install/phase", {"phase": "fetch", "event": "jump"})
    assert bad.status_code == 400 and "event" in bad.json()["error"]
    stranger = plan(7)
    bad = agent.post("/v1/install/plan", stranger)
    assert bad.status_code == 409 and "DISK0007" in bad.json()["error"]
    missing = agent.client.get(
        "/v1/install/image", params={"role": "db", "version": "9"}, headers=bearer(agent.secret)
    )
    assert missing.status_code == 404 and "web 1.0" in missing.json()["error"]
    assert agent.client.get("/machines").status_code == 404  # not on this side


def test_unsigned_images_are_given_out_only_where_the_settings_say_so(server: Server) -> None:
    settings = server.config.read_text().replace("= true", "= false")
    agent = Agent(server.url, 1)
    agent.redeem(agent.report()["token"]).raise_for_status()
    server.stop()
    server.config.write_text(settings)
    with pytest.raises(
        AssertionError, match=r"web.configure:1:\d+: its image web 1.0 is not signed"
    ):
        server.start()
    signature = server.folder / "store/install/1.0/web-1.0.sig"
    signature.write_bytes(b"signature")
    server.start()
    signature.unlink()
    assert "its image web 1.0 is not signed" in str(Agent(server.url, 2).report()["why"])
    ask = partial(
        agent.client.get,
        "/v1/install/image",
        params={"role": "web", "version": "1.0"},
        headers=bearer(agent.secret),
    )
    refused = ask()
    assert refused.status_code == 409
    assert refused.json()["error"] == "web 1.0 is not signed"
    assert "edeploy image sign web --version 1.0" in refused.json()["hint"]
    signature.write_bytes(b"signature")
    image = ask().json()
    assert image["allow_unsigned"] is False
    assert agent.client.get(image["signature"]).content == b"signature"


def test_edges_are_listed_and_given_out(server: Server) -> None:
    client = Agent(server.url, 1).client
    assert client.get("/v1/edges/web").json() == {"edges": []}
    folder = server.folder / "store/metadata/1.0/web/1.1"
    folder.mkdir(parents=True)
    (folder / "pack").write_bytes(b"0123456789")
    (folder / "edge.json").write_text(
        json.dumps(
            {"role": "web", "old": "1.0", "new": "1.1", "old_manifest": "", "new_manifest": "",
             "pack_size": 10, "patched": 1, "whole": 0, "barrier": "", "reboot": "new kernel",
             "files": {"added": 0, "removed": 0, "changed": 1, "new_bytes": 20},
             "packages": {"added": {}, "removed": {}, "changed": {}}}
        )
    )  # fmt: skip
    edge = {"old": "1.0", "new": "1.1", "size": 10, "barrier": "", "reboot": "new kernel"}
    assert client.get("/v1/edges/web").json() == {"edges": [edge]}
    image = client.get("/v1/images/web").json()["images"]["1.0"]
    assert image["manifest"] == "/images/1.0/web-1.0.manifest" and image["signature"] is None
    assert client.get("/v1/images/db").json() == {"images": {}}
    part = client.get("/metadata/1.0/web/1.1/pack", headers={"Range": "bytes=4-5"})
    assert (part.status_code, part.content) == (206, b"45")
    assert client.get("/metadata/1.0/web/1.1/passwd").status_code == 404
    assert client.get("/metadata/1.0/web/1.2/pack").status_code == 404


def test_bytes_by_range(server: Server) -> None:
    agent = Agent(server.url, 1)
    agent.redeem(agent.report()["token"]).raise_for_status()
    image = agent.client.get(
        "/v1/install/image", params={"role": "web", "version": "1.0"}, headers=bearer(agent.secret)
    ).json()
    assert image["archive_size"] == len(ARCHIVE) and image["signature"] is None
    whole = agent.client.get(image["archive"])
    assert whole.content == ARCHIVE and whole.headers["etag"]
    part = agent.client.get(
        image["archive"],
        headers={"Range": "bytes=1000-", "If-Range": whole.headers["etag"]},
    )
    assert part.status_code == 206 and part.content == ARCHIVE[1000:]
    changed = agent.client.get(
        image["archive"], headers={"Range": "bytes=1000-", "If-Range": '"another"'}
    )
    assert changed.status_code == 200 and changed.content == ARCHIVE
    head = agent.client.head(image["archive"])
    assert head.headers["content-length"] == str(len(ARCHIVE)) and head.content == b""
    for path in ("/images/", "/images/1.0/", "/ramdisk/cloud/", "/images/1.0/web-1.0.json",
                 "/images/..%2f..%2fetc/passwd", "/images/1.0/..%2fweb-1.0.edeploy",
                 "/ramdisk/..%2f../vmlinuz"):  # fmt: skip
        assert agent.client.get(path).status_code in (400, 404), path
    (server.folder / "store" / "ramdisk" / "evil").mkdir()
    (server.folder / "store" / "ramdisk" / "evil" / "initrd").symlink_to("/etc/passwd")
    (server.folder / "store" / "ramdisk" / "evil" / "vmlinuz").symlink_to("/etc/passwd")
    assert agent.client.get("/ramdisk/evil/initrd").status_code == 400


def test_command_line(server: Server) -> None:
    agent = Agent(server.url, 1)
    agent.boot()
    agent.call_home(agent.install())
    [row] = json.loads(server.edeploy("ls", "--json"))
    assert row["state"] == "active" and row["hostname"] == "web-1"
    assert json.loads(server.edeploy("show", "web-1", "--json"))["lease"]["state"] == "spent"
    assert json.loads(server.edeploy("log", row["macs"][0], "--json"))["attempts"]
    for noun in ("ls", "show EDL0001", "log EDL0001"):
        assert "active" in server.edeploy(*noun.split())
    server.edeploy("set", "EDL0001", "--on-success", "kexec")
    assert machine(server)["on_success"] == "kexec"
    server.edeploy("reinstall", "EDL0001", "--yes")
    assert "ONSUCCESS=kexec" in agent.boot()
    assert "no machine is called" in server.edeploy("show", "none", code=1)
    assert "no BMC" in server.edeploy("power", "on", "EDL0001", code=1)


def test_socket_is_private_and_gone_at_the_end(server: Server) -> None:
    socket = server.folder / "api.sock"
    assert socket.stat().st_mode & 0o777 == 0o600
    assert "ended" in server.stop()
    assert not socket.exists()
    assert "no server answers" in server.edeploy("ls", code=1)


def test_no_secret_is_written_down(server: Server) -> None:
    agent = Agent(server.url, 1)
    token = agent.report()["token"]
    agent.redeem(token).raise_for_status()
    home = agent.post("/v1/install/finish").json()["call_home"]
    log = "".join(server.lines) + server.stop()
    files = b"".join(path.read_bytes() for path in server.state.rglob("*") if path.is_file())
    for secret in (str(token), agent.secret, str(home)):
        assert secret not in log and secret.encode() not in files


def test_deadlines_pass_while_the_server_is_down(server: Server) -> None:
    agent = Agent(server.url, 1)
    agent.redeem(agent.report()["token"]).raise_for_status()
    agent.phase("fetch", "start")
    server.stop()
    import sqlite3

    with sqlite3.connect(server.state / "edeploy.db") as database:
        database.execute("UPDATE machines SET deadline = 1000")
        database.execute("UPDATE phases SET last = 900")
    database.close()
    server.start()
    until = time.monotonic() + 20
    while machine(server)["state"] == "installing" and time.monotonic() < until:
        time.sleep(0.05)
    failed = machine(server)
    assert failed["state"] == "failed" and failed["failed_from"] == "installing"
    assert "no sign of life in phase fetch since 1970" in str(failed["reason"])
    assert agent.phase("fetch", "progress", done=1, total=2)["go"] is False
