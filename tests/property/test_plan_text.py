"""Plans, locks and ingredients come back from their files as they were; a change is another key."""

from hypothesis import given
from hypothesis import strategies as st

from edeploy.images.build.layers import ingredients_text, key_of, parse_ingredients
from edeploy.images.ids import Account, Kind
from edeploy.images.packages.lock import BadLock, Lock, LockedRole, changes, parse_lock
from edeploy.images.packages.mirrors import Source
from edeploy.images.packages.plan import Package, Plan, in_order, parse_plan
from edeploy.images.recipe_file import Family

names = st.from_regex(r"[a-z0-9][a-z0-9+.-]{1,12}", fullmatch=True)
versions = st.from_regex(r"([0-9]:)?[0-9][A-Za-z0-9.+~-]{0,10}", fullmatch=True)


pockets = st.from_regex(r"[a-z][a-z0-9-]{0,12}", fullmatch=True)
files = st.from_regex(r"pool/[A-Za-z0-9+~%= :_-]{1,12}/x_1%3a2\.deb", fullmatch=True)


@st.composite
def packages(draw: st.DrawFn) -> Package:
    arch = draw(st.sampled_from(["amd64", "all"]))
    size, sha256 = draw(st.integers(0, 10**9)), draw(st.from_regex(r"[0-9a-f]{64}", fullmatch=True))
    return Package(draw(names), draw(versions), arch, size, sha256, draw(pockets), draw(files))


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    each = st.lists(packages(), unique_by=lambda each: (each.name, each.architecture), max_size=5)
    return Plan(in_order(draw(each)), tuple(draw(st.lists(names, max_size=3))))


@st.composite
def locks(draw: st.DrawFn) -> Lock:
    roles = draw(st.lists(names, unique=True, min_size=1, max_size=3))
    source = st.builds(
        Source,
        st.from_regex(r"https?://[a-z.]{1,12}/[A-Za-z0-9%=+~ -]{0,9}", fullmatch=True),
        pockets, st.just(("main", "contrib")), st.sampled_from(["", "/etc/a key.gpg"]),
    )  # fmt: skip
    account = st.builds(
        Account, st.sampled_from(Kind), st.sampled_from(["mail", "_apt"]), st.integers(0, 10**9 - 1)
    )
    parts = tuple(LockedRole(role, tuple(draw(st.lists(names))), draw(plans())) for role in roles)
    return Lock(
        roles[-1], draw(st.sampled_from(Family)), draw(pockets), "amd64",
        tuple(draw(st.lists(source, max_size=3))),
        tuple(draw(st.lists(account, max_size=3))), parts,
    )  # fmt: skip


@given(plans())
def test_plans(plan: Plan) -> None:
    assert parse_plan(plan.text()) == plan


@given(locks())
def test_locks(lock: Lock) -> None:
    assert parse_lock(lock.text(), "role.lock") == lock
    assert list(changes(lock, lock)) == []


@given(locks(), st.data())
def test_a_damaged_lock_is_refused_or_means_something(lock: Lock, data: st.DataObject) -> None:
    text = lock.text()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 60)))
    damaged = text[:start] + data.draw(st.text(max_size=4)) + text[end:]
    try:
        found = parse_lock(damaged, "role.lock")
    except BadLock as error:
        assert error.message.startswith("role.lock")
    else:
        # Whatever it says is safe to use in paths.
        assert all("/" not in package.pool_name for package in found.packages)
        assert parse_lock(found.text(), "role.lock") == found


values = st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), min_size=1)


@given(st.dictionaries(values, values), st.dictionaries(values, values))
def test_ingredients(one: dict[str, str], other: dict[str, str]) -> None:
    assert parse_ingredients(ingredients_text(one)) == one
    assert (key_of(one) == key_of(other)) == (one == other)
