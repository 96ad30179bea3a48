"""How much arithmetic a walk asks for, by the policy and the guidance of a recipe."""

from collections.abc import Sequence
from functools import lru_cache

from oarpipe.base.schedules import places_asked, places_per_step
from oarpipe.config.orders import FollowConfig, LazyConfig, NearConfig, PerStepConfig, PolicyConfig
from oarpipe.config.samples import GuidanceConfig
from oarpipe.models.flops import ModelSize, walk_flops


@lru_cache(maxsize=1024)
def walk_cost(size: ModelSize, policy: PolicyConfig, guidance: GuidanceConfig | None = None) -> int:
    """FLOP of one sample; guidance adds a second walk, asked about the chosen places or about all."""
    everywhere, chosen = asked(size, policy), filled(size, policy)
    cost = walk_flops(size, everywhere, chosen)
    if guidance is not None and guidance.scale != 1.0:
        cost += walk_flops(size, everywhere if guidance.places == "guided" else chosen, chosen)
    return cost


def filled(size: ModelSize, policy: PolicyConfig) -> Sequence[int]:
    """How many places each step fills."""
    per_step = PerStepConfig() if isinstance(policy, NearConfig) else policy.per_step
    return places_per_step(per_step, size.positions)


def asked(size: ModelSize, policy: PolicyConfig) -> Sequence[int]:
    """How many places each step asks about: the next ones of the order, all that are open, or fewer."""
    chosen = filled(size, policy)
    if isinstance(policy, FollowConfig):
        return chosen
    open_places = [size.positions - sum(chosen[:step]) for step in range(len(chosen))]
    if isinstance(policy, LazyConfig):
        pairs = zip(chosen, open_places, strict=True)
        return [places_asked(policy, filling, left, size.positions) for filling, left in pairs]
    return open_places
