"""Configure scripts of Python 2 become Python 3, and what cannot be is named."""

import ast
from pathlib import Path

import pytest

from edeploy.match.python2.file import difference, upgrade_script, write
from edeploy.match.python2.upgrade import MOST_CHARACTERS, upgrade

SHARED = Path(__file__).parents[3] / "shared" / "data" / "specs"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("print", "print()"),
        ("print 'a', b", "print('a', b)"),
        ("print 'a',", "print('a', end=' ')"),
        ("print >>f, 'a', 1,", "print('a', 1, end=' ', file=f)"),
        ("print >>f", "print(file=f)"),
        ("print>>a.b[1],'x'", "print('x', file=a.b[1])"),
        ("print'a'", "print('a')"),
        ("print ('%s') % x", "print(('%s') % x)"),
        ("print (a), (b)", "print((a), (b))"),
        ("print -1", "print(-1)"),
        ("print not x", "print(not x)"),
        ("print [1][0]", "print([1][0])"),
        ("if x: print 1; print 2 # three", "if x: print(1); print(2) # three"),
        ("x = {'a': lambda: 0}; print x", "x = {'a': lambda: 0}; print(x)"),
        ("print 'a', \\\n    'b'", "print('a', \\\n    'b')"),
        ("print '''\nprint x\n''' % y", "print('''\nprint x\n''' % y)"),
        ("x = 'print y'; print x # print 'z'", "x = 'print y'; print(x) # print 'z'"),
        ("f(0755, 0, 00, 0x1F, 10L, 0777l)", "f(0o755, 0, 00, 0x1F, 10, 0o777)"),
        ("if a <> 0644: pass", "if a != 0o644: pass"),
        ("x = `a` + `b`", "x = repr(a) + repr(b)"),
        ("print `a`", "print(repr(a))"),
        ("assert`a`", "assert repr(a)"),
        ("try: a\nexcept E, e: print e", "try: a\nexcept E as e: print(e)"),
        ("try: a\nexcept (A, B),e: b", "try: a\nexcept (A, B) as e: b"),
        ("raise E, 'a %s' % x", "raise E('a %s' % x)"),
        ("raise a.E, (1, 2)", "raise a.E(1, 2)"),
        ("raise E, None, t", "raise E().with_traceback(t)"),
        ("exec 'x' in g, l", "exec('x', g, l)"),
        ("exec code", "exec(code)"),
        ("exec (a) in b", "exec((a), b)"),
        ("x = ur'\\d'", "x = r'\\d'"),
        ("d.has_key(k)", "(k in d)"),
        ("not a.b[1].has_key(c or d)", "not ((c or d) in a.b[1])"),
        ("a[b.has_key(c)].has_key(d)", "(d in a[(c in b)])"),
        ("for k in d.iteritems(): xrange(3)", "for k in d.items(): range(3)"),
        ("unicode(x), long(y), unichr(z), raw_input()", "str(x), int(y), chr(z), input()"),
        ("isinstance(x, basestring)", "isinstance(x, str)"),
        ("file('a').read()", "open('a').read()"),
        ("import commands as c, os", "import subprocess as c, os"),
        (
            "import commands\ncommands.getoutput('é'), commands",
            "import subprocess\nsubprocess.getoutput('é'), subprocess",
        ),
        ("from commands import getoutput", "from subprocess import getoutput"),
        ("import sys\nsys.maxint", "import sys\nsys.maxsize"),
        (
            "import subprocess\nprint subprocess.Popen(a, stdout=1)",
            "import subprocess\nprint(subprocess.Popen(a, stdout=1, text=True))",
        ),
        (
            "import subprocess\nprint subprocess.check_output(\n  (a),\n)",
            "import subprocess\nprint(subprocess.check_output(\n  (a), text=True\n))",
        ),
        ("if a:\n\tb\n        c", "if a:\n        b\n        c"),
        ("print 1\r\nprint 2\r\n", "print(1)\r\nprint(2)\r\n"),
    ],
)
def test_what_is_rewritten(old: str, new: str) -> None:
    done = upgrade(old)
    assert done.source == new
    assert done.error is None
    ast.parse(done.source)
    again = upgrade(new)
    assert again.source == new
    assert again.changes == ()


@pytest.mark.parametrize(
    "script",
    [
        "print('a', end='', file=f)\n",
        "print(1), print(2)\nprint(a) if b else None\nx = print\nf(print)\nx.print(1)",
        "from __future__ import print_function\nprint\n",
        "import subprocess\nsubprocess.run(a, stdout=1).stdout.decode()\n1 / 2\nx.next()",
        "match x:\n    case {'print': y, **z}:\n        raise E('a') from None",
        "x: int = 3\ndef f(a, /, *, b: int = 0o7) -> str: return f'{a!r:>{b}}'",
        "class C:\n    def has_key(self, a, b): pass\nC().has_key(1, 2)",
        "raise (E, 'x')[0]\nexec('a', b)\nx = exec\n",
        "file = 1; file('a')\nlong = 2; long(3)",
    ],
)
def test_python_3_stays_as_it_is(script: str) -> None:
    done = upgrade(script)
    assert (done.source, done.changes, done.left, done.error) == (script, (), (), None)


@pytest.mark.parametrize(
    ("script", "left"),
    [
        ("print 3 / 2", ["1:7: / of whole numbers gives a fraction now"]),
        ("print 3 / 2.0", []),
        ("from __future__ import division\nprint 3 / 2", []),
        ("print {}.keys()[0], map(int, '')[0]", ["1:7: .keys() is no", "1:21: map() gives no"]),
        ("import commands\ns, o = commands.getstatusoutput('a')", ["2:8: the status is"]),
        ("import commands\ncommands.mkarg('a')", ["2:1: commands.mkarg is gone"]),
        ("import urllib2\nprint 1", ["1:8: the module urllib2 is urllib.request now"]),
        ("from commands import mkarg\nprint 1", ["1:1: the module commands is gone"]),
        ("print reduce(int, '')", ["1:7: nothing defines reduce on the machine; use functools"]),
        ("print hpacucli", ["1:7: nothing defines hpacucli on the machine; use run('ssacli"]),
        ("print 1\nraise 'x'", ["2:1: text can not be raised"]),
        (
            "print 1\nx = []\nx.sort(cmp=1)\nsorted(x, 1)\nx.next()",
            ["3:1: .sort() takes no", "4:1: sorted() takes no", "5:1: .next() of an"],
        ),
    ],
)
def test_what_is_left_to_a_person(script: str, left: list[str]) -> None:
    done = upgrade(script)
    assert done.error is None
    found = [f"{one.line}:{one.column}: {one.what}" for one in done.left]
    assert len(found) == len(left), found
    assert all(a.startswith(b) for a, b in zip(found, left, strict=True)), found


@pytest.mark.parametrize(
    ("script", "line", "what"),
    [
        ("print 1\ndef f(a, (b, c)): pass\n", 2, ""),
        ("try: a\nexcept E, (a, b): pass\n", 2, "multiple exception types"),
        ("print 1\nx = 089\n", 2, "leading zeros"),
        ("x = `a\n", 1, "invalid syntax"),
        ("raise 'text', 3\n", 1, "invalid syntax"),
        ("x = ur'\\u00e9'\n", 1, "invalid syntax"),
        ("print 'open\n", 1, "unterminated string"),
    ],
)
def test_what_can_not_be_rewritten_is_named(script: str, line: int, what: str) -> None:
    error = upgrade(script).error
    assert error is not None
    assert error.line == line
    assert what in error.what


@pytest.mark.skipif(not SHARED.exists(), reason=f"{SHARED} is not there")
def test_real_scripts_of_others() -> None:
    scripts = sorted(SHARED.glob("*.configure"))
    assert len(scripts) == 9
    rewritten = []
    for path in scripts:
        done = upgrade(path.read_text())
        assert done.error is None
        compile(done.source, path.name, "exec")
        assert upgrade(done.source).changes == ()
        if done.changes:
            rewritten.append(path.stem)
        named = {one.what.split(";")[0] for one in done.left}
        gone = {"nothing defines hpacucli on the machine"}
        assert named == (gone if path.stem in ("hp", "hp-mlx") else set())
    assert rewritten == ["dell-m520-compute", "hp-mlx", "hp", "kvm-test", "kvm-usb"]


def test_the_file_is_replaced_with_its_mode_and_through_a_link(tmp_path: Path) -> None:
    path, link = tmp_path / "a.configure", tmp_path / "link.configure"
    path.write_text("x = 1\n" * 9 + "print 'a'\r\n" + "y = 2\n" * 9 + "print 2", newline="")
    path.chmod(0o640)
    link.symlink_to(path)
    script = upgrade_script(link)
    assert difference(script).splitlines()[2:] == [
        "@@ -7,7 +7,7 @@",
        *[" x = 1"] * 3,
        "-print 'a'",
        "+print('a')",
        *[" y = 2"] * 3,
        "@@ -17,4 +17,4 @@",
        *[" y = 2"] * 3,
        "-print 2",
        "\\ No newline at end of file",
        "+print(2)",
        "\\ No newline at end of file",
    ]
    assert path.read_text().count("print(") == 0
    write(script)
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert b"print('a')\r\n" in path.read_bytes()
    assert difference(upgrade_script(link)) == ""


def test_a_script_too_long_to_look_at() -> None:
    script = "print 'x'\n" * (MOST_CHARACTERS // 9)
    done = upgrade(script)
    assert (done.source, done.changes) == (script, ())
    assert done.left[0].what.startswith("longer than")
    assert done.error is not None
