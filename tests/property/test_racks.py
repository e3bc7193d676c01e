"""Racks of many cards, alike and not: there is always an answer, and a match is a true one."""

from random import Random

import pytest

from edeploy.inventory.items import Item, Report
from edeploy.match.language import Specs, parse_specs
from edeploy.match.solver import Match, Mismatch, match

Row = tuple[str, str, str, str]

TEXTS = {
    "link": ["yes", "no"],
    "speed": ["1", "10", "25"],
    "driver": ["a", "b"],
    "switch": ["s0", "s1", "s2"],
}


def a_rack(dice: Random, cards: int) -> list[Row]:
    """Lines of cards; some lack a key, some have one twice."""
    alike = dice.random() < 0.5
    lines: list[Row] = []
    for card in range(cards):
        for key, texts in TEXTS.items():
            if dice.random() > (0.05 if alike else 0.25):
                text = texts[0] if alike and dice.random() < 0.9 else dice.choice(texts)
                lines.append(("network", f"eth{card}", key, text))
            if dice.random() < 0.05:
                lines.append(("network", f"eth{card}", key, dice.choice(texts)))
        lines.append(("network", f"eth{card}", "serial", f"02:{card:02x}"))
    return lines


def some_rules(dice: Random, cards: int) -> list[Row]:
    """Rules for some cards; a few values are wanted to be the same on several."""
    rules: list[Row] = []
    for card in range(dice.randint(1, cards + 1)):
        for key, texts in TEXTS.items():
            value = dice.choice(
                [f"$v{card}{key}", dice.choice(texts), f"in({','.join(texts[:2])})"]
            )
            if dice.random() < 0.04:
                value = dice.choice(["$s", "$t"])
            if dice.random() < 0.6:
                rules.append(("network", f"$e{card}", key, value))
        if dice.random() < 0.3:
            rules.append(("network", f"$e{card}", "serial", f"$mac{card}"))
    return rules


def check(specs: Specs, report: Report, found: Match) -> None:
    assert len(found.items) == len(specs.rules)
    # A report may have a line twice, and then it may be taken twice.
    assert all(found.items.count(one) <= report.items.count(one) for one in found.items)
    for rule, item in zip(specs.rules, found.items, strict=True):
        assert all(field.fits(item[i]) for i, field in enumerate(rule.fields))
        assert all(found.vars[name] == item[i] for i, name in rule.variables)


@pytest.mark.parametrize("cards", [4, 8, 16, 32, 64])
def test_a_rack_always_has_an_answer(cards: int) -> None:
    kinds = set()
    for seed in range(20):
        dice = Random(f"{cards}/{seed}")  # noqa: S311  (no secret)
        rows = a_rack(dice, cards)
        specs = parse_specs(some_rules(dice, cards))
        report = Report(tuple(Item(*row) for row in rows))
        result = match(specs, report)
        kinds.add(type(result))
        if isinstance(result, Match):
            check(specs, report, result)
        else:
            assert result.is_answer, (cards, seed, result.reason)
            assert result.explanation.rules
    assert kinds == {Match, Mismatch}
