"""The table of accounts: names keep their ids, new ones take the next free, conflicts are told."""

from pathlib import Path

import pytest

from edeploy.errors import EdeployError
from edeploy.images.ids import Account, IdConflict, Ids, Kind


def user(name: str, number: int, place: str = "") -> Account:
    return Account(Kind.USER, name, number, place)


def settled(ids: Ids, role: str, *accounts: Account) -> dict[str, int]:
    return {each.name: number for each, number in ids.settle(accounts, role).items()}


@pytest.fixture
def ids(tmp_path: Path) -> Ids:
    return Ids(tmp_path / "store/ids")


def test_a_name_keeps_its_id_whatever_came_first(ids: Ids) -> None:
    assert settled(ids, "web", user("nginx", 100), user("sshd", 101)) == {"nginx": 100, "sshd": 101}
    # In this role the packages came in another order.
    assert settled(ids, "db", user("sshd", 100), user("mysql", 101)) == {"sshd": 101, "mysql": 102}
    assert settled(ids, "web", user("mysql", 100), user("nginx", 999)) == {
        "mysql": 102,
        "nginx": 100,
    }


def test_a_lock_says_the_numbers_first(ids: Ids) -> None:
    assert settled(ids, "web", user("nginx", 100)) == {"nginx": 100}
    ids.expect([user("mysql", 107), user("sshd", 101)], "db")
    assert settled(ids, "db", user("sshd", 100), user("mysql", 101)) == {"sshd": 101, "mysql": 107}
    before = ids.path.read_text()
    ids.expect([user("mysql", 107)], "db")
    assert ids.path.read_text() == before
    with pytest.raises(IdConflict, match="user mysql is to be 100, but it is 107"):
        ids.expect([user("mysql", 100)], "db")
    with pytest.raises(IdConflict, match="user ceph is to be 101, but sshd is 101 since role db"):
        ids.expect([user("ceph", 101)], "ceph")
    assert ids.path.read_text() == before


def test_users_and_groups_are_apart(ids: Ids) -> None:
    group = Account(Kind.GROUP, "adm", 100)
    assert list(ids.settle([user("web", 100), group], "web").values()) == [100, 100]


def test_a_free_id_that_a_package_chose_is_kept(ids: Ids) -> None:
    assert settled(ids, "a", user("systemd-network", 998)) == {"systemd-network": 998}
    assert settled(ids, "b", user("other", 998)) == {"other": 100}


def test_a_conflict_names_both_sides(ids: Ids) -> None:
    settled(ids, "web", user("nginx", 800))
    with pytest.raises(IdConflict) as error:
        settled(ids, "shop", user("shop", 800, "roles/shop/role.yaml:3:5"))
    assert str(error.value).startswith(
        "roles/shop/role.yaml:3:5: user shop is to be 800, but nginx is 800 since role web"
    )
    with pytest.raises(IdConflict, match="user nginx is to be 801, but it is 800 since role web"):
        settled(ids, "shop", user("nginx", 801, "roles/shop/role.yaml:4:5"))
    assert "shop" not in ids.path.read_text()


def test_what_debian_has_given_away_does_not_move(ids: Ids) -> None:
    assert settled(ids, "a", user("root", 0), user("nobody", 65534), user("ceph", 64045)) == {
        "root": 0,
        "nobody": 65534,
        "ceph": 64045,
    }
    with pytest.raises(IdConflict):
        settled(ids, "b", user("mine", 33, "here"), user("www-data", 33))
        settled(ids, "b", user("www-data", 33))


def test_a_damaged_table_is_told_with_its_line(ids: Ids) -> None:
    ids.path.parent.mkdir()
    ids.path.write_text("user\t0\troot\tbase\nuser x\n")
    with pytest.raises(EdeployError, match="ids:2: not"):
        settled(ids, "a", user("root", 0))


def test_when_none_is_free(ids: Ids) -> None:
    settled(ids, "a", *(user(f"u{number}", number) for number in range(100, 1000)))
    with pytest.raises(EdeployError, match="no user id between 100 and 999 is free"):
        settled(ids, "a", user("one-more", 100))
