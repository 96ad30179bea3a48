"""Intervals of replicates whose percentiles are known."""

import pytest

from oarpipe.metrics.percentiles import interval


def test_an_interval_is_the_middle_of_the_replicates_freed_of_their_bias() -> None:
    values = [float(v) for v in range(201)]  # mean 100; 2.5 % and 97.5 % at 5 and 195
    assert interval(values, estimate=100.0) == pytest.approx((5, 195))
    assert interval(values, estimate=3.0) == pytest.approx((-92, 98))
