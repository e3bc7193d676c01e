"""The statistics, against published figures and what their definition says."""

import math

import numpy as np
import pytest

from edeploy.health import robust


def test_median_leaves_out_what_is_missing() -> None:
    values = np.array([[3.0, np.nan, 1.0, 2.0], [np.nan] * 4, [5.0, 1.0, np.nan, np.nan]])
    found = robust.median(values, 1)
    assert found[[0, 2]].tolist() == [2.0, 3.0]
    assert math.isnan(found[1])


@pytest.mark.parametrize("count", [2, 3, 5, 9, 10, 30, 100])
def test_the_scale_of_normal_noise_is_its_standard_deviation(count: int) -> None:
    noise = np.random.default_rng(count).normal(0, 1, (count, 20_000))
    deviations = noise - np.median(noise, axis=0)
    found = float(robust.scale(deviations, 0).mean())
    # The factors are published for a median that is known; one taken from few values is nearer.
    assert found == pytest.approx(1.0, rel=0.25 if count < 10 else 0.04)


def test_one_bad_value_does_not_move_the_scale() -> None:
    good = np.linspace(-1, 1, 21)
    bad = good.copy()
    bad[0] = -1000.0
    scales = robust.scale(np.stack([good, bad], axis=1), 0)
    assert scales[0] == pytest.approx(scales[1], rel=0.11)


def test_p_values_of_the_normal_distribution() -> None:
    # From printed tables: the lower tail.
    z = np.array([0.0, -1.0, -1.96, -3.0, -3.5, -6.0, np.nan])
    p = robust.p_values(z)
    expected = [0.5, 0.158655, 0.0249979, 0.00134990, 2.32629e-4, 9.86588e-10]
    assert p[:6].tolist() == pytest.approx(expected, rel=1e-4)
    assert math.isnan(p[6])


def test_q_values_of_benjamini_and_hochberg() -> None:
    # The example of their paper (1995, section 3.2): at q = 0.05 the first four are significant.
    p = [
        *(0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344),
        *(0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000),
    ]
    q = robust.q_values(np.array([*p, np.nan]))
    assert int((q <= 0.05).sum()) == 4
    assert q[3] == pytest.approx(0.0095 * 15 / 4)
    assert math.isnan(q[15])
    assert (np.diff(q[:15]) >= 0).all()
