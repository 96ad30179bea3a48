"""Activation-like test features by rule: non-negative, clustered, float32.

`make(n, seed, shift, scale)` gives the arrays on which `adm_dev.json` was computed.
"""

import numpy as np


def make(n, seed, shift=0.0, scale=1.0, clusters=200, d=2048, cluster_seed=7):
    base = np.random.default_rng(cluster_seed)
    centres = base.gamma(0.6, 0.7, (clusters, d)).astype("f4") * 0.8
    mixing = base.standard_normal((64, d)).astype("f4") * 0.12
    rng = np.random.default_rng(seed)
    centre = centres[rng.integers(0, clusters, n)]
    z = rng.standard_normal((n, 64)).astype("f4") * scale
    noise = 0.1 * rng.standard_normal((n, d)).astype("f4") * scale
    return np.maximum(centre + z @ mixing + shift + noise, 0).astype("f4")
