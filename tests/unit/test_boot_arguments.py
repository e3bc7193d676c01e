"""Kernel arguments: one line that firmware and kernel read as it was meant."""

import pytest

from edeploy.boot.arguments import BadArgument, argument, checked, line


def test_pairs_then_the_rest() -> None:
    assert line({"SERV": "10.0.0.1", "HTTP_PORT": "80"}, ["console=ttyS0", "", "quiet | ro |"]) == (
        "SERV=10.0.0.1 HTTP_PORT=80 console=ttyS0 quiet | ro |"
    )


def test_blanks_are_quoted_as_the_kernel_does() -> None:
    assert argument("dyndbg", "file a.c +p") == 'dyndbg="file a.c +p"'


@pytest.mark.parametrize(
    "text",
    [
        "a\nboot",
        "a\r",
        "a\tb",
        "ä",
        "x=${mac}",
        "a || b",
        "a && shell",
        "a ; shell",
        "a #comment",
        "\x00",
    ],
)
def test_what_ipxe_would_read_otherwise_is_refused(text: str) -> None:
    with pytest.raises(BadArgument):
        checked(text)


@pytest.mark.parametrize(("name", "value"), [("a b", "x"), ("", "x"), ("a=b", "x"), ("a", 'x"y')])
def test_bad_pairs(name: str, value: str) -> None:
    with pytest.raises(BadArgument):
        argument(name, value)


def test_too_long_for_the_kernel() -> None:
    with pytest.raises(BadArgument, match="limit"):
        line({"A": "x" * 2000})
