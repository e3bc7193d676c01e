"""Plans and ingredients come back from their files as they were; a change is another key."""

from hypothesis import given
from hypothesis import strategies as st

from edeploy.images.build.layers import ingredients_text, key_of, parse_ingredients
from edeploy.images.packages.plan import Package, Plan, packages_of, parse_plan

names = st.from_regex(r"[a-z0-9][a-z0-9+.-]{1,12}", fullmatch=True)
versions = st.from_regex(r"([0-9]:)?[0-9][A-Za-z0-9.+~-]{0,10}", fullmatch=True)
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]))


@st.composite
def packages(draw: st.DrawFn) -> Package:
    name, version = draw(names), draw(versions)
    arch = draw(st.sampled_from(["amd64", "all"]))
    size, sha256 = draw(st.integers(0, 10**9)), draw(st.from_regex(r"[0-9a-f]{64}", fullmatch=True))
    about = draw(texts).strip()
    stanza = (
        f"Package: {name}\nVersion: {version}\nArchitecture: {arch}\nSize: {size}\n"
        f"SHA256: {sha256}\nFilename: pool/x.deb\nDescription: x\n {about or '.'}"
    )
    return Package(name, version, arch, size, sha256, stanza)


@given(st.lists(packages(), unique_by=lambda each: (each.name, each.architecture)), st.lists(names))
def test_plans(found: list[Package], removed: list[str]) -> None:
    found.sort(key=lambda each: (each.name, each.architecture))
    plan = Plan(tuple(found), tuple(removed))
    assert parse_plan(plan.text()) == plan
    # The repository's index has the same packages, under the names that the files have.
    listed = packages_of(plan.index())
    assert [(each.wanted, each.sha256) for each in listed] == [
        (each.wanted, each.sha256) for each in found
    ]
    for each, package in zip(listed, found, strict=True):
        assert f"Filename: ./{package.file_name}" in each.stanza


values = st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), min_size=1)


@given(st.dictionaries(values, values), st.dictionaries(values, values))
def test_ingredients(one: dict[str, str], other: dict[str, str]) -> None:
    assert parse_ingredients(ingredients_text(one)) == one
    assert (key_of(one) == key_of(other)) == (one == other)
