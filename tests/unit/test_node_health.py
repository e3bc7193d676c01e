"""What a role declares of its job, and how a system is asked about it."""

import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edeploy.node.boot.health import BadHealth, Checks, declared, problem_of

UNITS = """#!/bin/sh
case $1 in
is-active) [ "$2" = good.service ] && echo active || echo failed ;;
list-units) cat "$FAILED" ;;
esac
"""


@pytest.fixture(autouse=True)
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A systemctl of a system on which only good.service runs; returns its list of failed units."""
    programs, failed = tmp_path / "programs", tmp_path / "failed"
    programs.mkdir()
    (programs / "systemctl").write_text(UNITS)
    (programs / "systemctl").chmod(0o755)
    failed.touch()
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("FAILED", str(failed))
    return failed


@pytest.fixture
def page() -> Iterator[int]:
    """The port of a server with a page at / only."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/" else 503)
            self.end_headers()
            self.wfile.write(b"up")

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


def checks(root: Path, text: str) -> Checks:
    (root / "usr/lib/edeploy/health.d").mkdir(parents=True)
    (root / "usr/lib/edeploy/health.json").write_text(text)
    return declared(root)


def test_a_role_without_a_word_is_well_when_nothing_failed(tmp_path: Path) -> None:
    assert problem_of(declared(tmp_path)) == ""


def test_all_that_can_be_declared(tmp_path: Path, page: int) -> None:
    found = checks(
        tmp_path,
        f'{{"units": ["good.service"], "ports": [{page}, "localhost:{page}"],'
        f' "http": ["http://127.0.0.1:{page}/"], "seconds": 0}}',
    )
    script = tmp_path / "usr/lib/edeploy/health.d/10-mine"
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o755)
    (tmp_path / "usr/lib/edeploy/health.d/README").write_text("no script")
    assert problem_of(found) == ""
    assert declared(tmp_path).scripts == (script,)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"units": ["good.service", "bad.service"]}', "bad.service is failed"),
        ('{"ports": [1]}', "port 1: [Errno 111] Connection refused"),
        ('{"http": ["http://127.0.0.1:1/"]}', "http://127.0.0.1:1/: "),
    ],
)
def test_what_is_not_so_is_told(tmp_path: Path, text: str, problem: str) -> None:
    found = checks(tmp_path, text[:-1] + ', "seconds": 0}')
    assert problem_of(found).startswith(problem)


def test_a_page_with_an_error(tmp_path: Path, page: int) -> None:
    found = checks(tmp_path, f'{{"http": ["http://127.0.0.1:{page}/x"], "seconds": 0}}')
    assert problem_of(found) == f"http://127.0.0.1:{page}/x: status 503"


def test_failed_units_but_those_that_may(tmp_path: Path, systemctl: Path) -> None:
    systemctl.write_text("a.service loaded failed failed A\nb.service loaded failed failed B\n")
    found = checks(tmp_path, '{"may_fail": ["a.service"], "seconds": 0}')
    assert problem_of(found) == "failed: b.service"


def test_a_script_s_last_words_are_the_reason(tmp_path: Path) -> None:
    checks(tmp_path, '{"seconds": 0}')
    script = tmp_path / "usr/lib/edeploy/health.d/database"
    script.write_text("#!/bin/sh\necho replica is behind\nexit 3\n")
    script.chmod(0o755)
    assert "exit status 3\n  | replica is behind" in problem_of(declared(tmp_path))


def test_what_comes_up_late_is_waited_for(tmp_path: Path) -> None:
    found = checks(tmp_path, '{"seconds": 60}')
    script = tmp_path / "usr/lib/edeploy/health.d/late"
    script.write_text(
        f"#!/bin/sh\n[ -e {tmp_path}/second ] || {{ touch {tmp_path}/second; exit 1; }}\n"
    )
    script.chmod(0o755)
    assert problem_of(Checks(scripts=(script,), seconds=found.seconds)) == ""


@pytest.mark.parametrize(
    "text",
    ["[]", "{", '{"units": "x"}', '{"ports": ["http"]}', '{"http": ["x"]}', '{"seconds": []}'],
)
def test_a_declaration_that_is_none(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadHealth, match=r"health\.json"):
        checks(tmp_path, text)
