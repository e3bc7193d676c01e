"""The judgement: the same bytes for the same figures, whatever the order; and it never crashes."""

import json
import math
import random
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from edeploy.health.analysis import Analysis, analyze
from edeploy.health.groups import Choice
from edeploy.health.report.as_csv import as_csv
from edeploy.health.report.as_json import as_json
from edeploy.health.report.as_junit import as_junit
from edeploy.health.report.as_text import as_text
from edeploy.health.report.page import as_html
from edeploy.health.rules import Verdict
from edeploy.health.sources import gather, read

METRICS = ("cpu/loops", "memory/copy", "disk/sda/write_1M", "disk/sdb/write_1M", "net_latency")

Line = tuple[str, str, str, int, float]
"""node, group, metric, run, value."""

figures = st.floats(min_value=1e-3, max_value=1e9, allow_nan=False)
lines = st.lists(
    st.tuples(
        st.sampled_from([f"n{number}" for number in range(12)]),
        st.sampled_from(["", "a", "b"]),
        st.sampled_from(METRICS),
        st.integers(1, 4),
        figures | st.just(1000.0),
    ),
    min_size=1,
    max_size=80,
)


@st.composite
def fleets(draw: st.DrawFn) -> dict[str, dict[str, list[float]]]:
    """node → metric → its runs: noise of some size, some nodes slower."""
    seed = random.Random(draw(st.integers(0, 1 << 30)))  # noqa: S311
    size, runs = draw(st.integers(1, 24)), draw(st.integers(1, 4))
    noise = draw(st.sampled_from([0.0, 0.003, 0.01, 0.05]))
    slow = draw(st.dictionaries(st.integers(0, size - 1), st.floats(0.02, 0.9), max_size=3))
    return {
        f"n{node}": {
            metric: [
                1000 * math.exp(seed.gauss(0, noise)) * (1 - slow.get(node, 0)) for _ in range(runs)
            ]
            for metric in METRICS[:4]
        }
        for node in range(size)
    }


def documents(fleet: dict[str, dict[str, list[float]]]) -> list[tuple[str, bytes]]:
    return [
        (
            node,
            json.dumps(
                {
                    "node": node,
                    "results": [
                        {"metric": metric, "run": str(run), "value": value}
                        for metric, runs in metrics.items()
                        for run, value in enumerate(runs, 1)
                    ],
                }
            ).encode(),
        )
        for node, metrics in fleet.items()
    ]


def analyzed(texts: list[str], names: list[str] | None = None) -> Analysis:
    """The analysis of CSV files."""
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, text in enumerate(texts):
            files.append(Path(folder, names[number] if names else f"{number}.csv"))
            files[-1].write_bytes(text.encode(errors="surrogateescape"))
        return analyze(read(files))


def table(rows: list[Line]) -> str:
    head = "node,group,metric,run,value\n"
    return head + "".join(f"{n},{g},{m},{run},{value!r}\n" for n, g, m, run, value in rows)


def all_results(analysis: Analysis) -> list[str]:
    return [form(analysis) for form in (as_json, as_csv, as_html, as_junit, as_text)]


@settings(deadline=None, max_examples=60)
@given(lines, st.randoms(use_true_random=False))
def test_the_order_of_lines_and_files_does_not_matter(
    rows: list[Line], chance: random.Random
) -> None:
    once = all_results(analyzed([table(rows)]))
    assert all_results(analyzed([table(rows)])) == once
    shuffled = chance.sample(rows, len(rows))
    cut = chance.randint(0, len(rows))
    assert all_results(analyzed([table(shuffled)])) == once
    assert all_results(analyzed([table(shuffled[:cut]), table(shuffled[cut:])])) == once


odd_names = st.text(st.sampled_from("ab\u00e9\u20ac 0#\x00\x1b<"), min_size=1, max_size=20)


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.tuples(odd_names, odd_names, odd_names, st.integers(1, 3), figures), max_size=40)
)
def test_quotes_make_no_difference(rows: list[Line]) -> None:
    """Lines without quotes are read by their bytes, others one by one."""
    head, *plain = table(rows).splitlines(keepends=True)
    quoted = ['"' + '","'.join(line[:-1].split(",")) + '"\n' for line in plain]
    assert all_results(analyzed([head + "".join(quoted)])) == all_results(analyzed([table(rows)]))


@settings(deadline=None, max_examples=60)
@given(fleets(), st.randoms(use_true_random=False))
def test_the_order_of_documents_does_not_matter(
    fleet: dict[str, dict[str, list[float]]], chance: random.Random
) -> None:
    told = documents(fleet)
    once = as_json(analyze(gather(told)))
    assert as_json(analyze(gather(chance.sample(told, len(told))))) == once


@settings(deadline=None, max_examples=60)
@given(fleets(), st.sampled_from([1e-6, 0.5, 1024.0, 1e9]))
def test_the_unit_of_a_metric_does_not_matter(
    fleet: dict[str, dict[str, list[float]]], factor: float
) -> None:
    other = {
        node: {
            metric: [value * (factor if metric == METRICS[0] else 1) for value in runs]
            for metric, runs in metrics.items()
        }
        for node, metrics in fleet.items()
    }
    assert verdicts(other) == verdicts(fleet)


@settings(deadline=None, max_examples=60)
@given(fleets())
def test_one_entry_a_node_worst_first(fleet: dict[str, dict[str, list[float]]]) -> None:
    analysis = analyze(gather(documents(fleet)))
    assert sorted(one.machine for one in analysis.judgements) == list(range(len(fleet)))
    order = [one.verdict for one in analysis.judgements]
    assert order == sorted(order, reverse=True)
    for judgement in analysis.judgements:
        told = [finding.verdict for finding in judgement.findings]
        assert judgement.verdict == max(told, default=judgement.verdict)
        assert judgement.why.endswith(".") and "\n" not in judgement.why


@settings(deadline=None, max_examples=60)
@given(fleets(), st.integers(0, 23), st.sampled_from(METRICS[:4]))
def test_a_machine_that_gets_faster_is_not_blamed_for_it(
    fleet: dict[str, dict[str, list[float]]], number: int, metric: str
) -> None:
    node = f"n{number % len(fleet)}"
    others = {name: metrics for name, metrics in fleet.items() if name != node}
    best = max((max(m[metric]) for m in others.values()), default=1000.0)
    runs = len(fleet[node][metric])
    faster = fleet | {node: fleet[node] | {metric: [2 * best] * runs}}
    analysis = analyze(gather(documents(faster)))
    (own,) = [
        one for one in analysis.judgements if analysis.evidence.machines[one.machine].node == node
    ]
    for finding in own.findings:
        told = finding.comparison
        # Of two, and of two halves, nobody knows which is right.
        unknown = finding.verdict is Verdict.GROUP_SUSPECT or (told and told.members == 2)
        assert unknown or told is None or told.metric != metric


@settings(deadline=None, max_examples=60)
@given(fleets())
def test_nothing_is_failed_for_its_speed_without_three_runs(
    fleet: dict[str, dict[str, list[float]]],
) -> None:
    for judgement in analyze(gather(documents(fleet))).judgements:
        if judgement.verdict is Verdict.FAIL:
            told = judgement.comparison
            assert told is not None
            assert told.odd == told.runs >= 3
            assert told.loss > told.limit


@settings(deadline=None, max_examples=150)
@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda b: b.decode("latin-1")))
def test_any_text_as_any_file(text: str) -> None:
    for name in ("a.csv", "a.json", "a.hw", "a"):
        all_results(analyzed([text], [name]))
    all_results(analyzed(["node,metric,value\n" + text]))


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                "machines node group report results metric value unit better run errors links "
                "counters traces points commands name now can before after".split()
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=25,
)


@settings(deadline=None, max_examples=200)
@given(json_values)
def test_any_document(value: object) -> None:
    all_results(analyze(gather([("a", json.dumps(value).encode())])))


@settings(deadline=None, max_examples=40)
@given(fleets(), st.sampled_from([("none",), ("group",), ("system", "memory")]))
def test_any_choice(fleet: dict[str, dict[str, list[float]]], group_by: tuple[str, ...]) -> None:
    all_results(analyze(gather(documents(fleet)), Choice(group_by)))


def verdicts(fleet: dict[str, dict[str, list[float]]]) -> list[tuple[int, Verdict]]:
    return [(one.machine, one.verdict) for one in analyze(gather(documents(fleet))).judgements]
