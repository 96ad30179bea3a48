"""How much arithmetic a walk asks for, by the policy and the guidance of a recipe."""

from collections.abc import Sequence
from functools import lru_cache

from oarpipe.base.schedules import places_asked, places_per_step, places_predicted
from oarpipe.config.orders import (
    IN_GIVEN_ORDER,
    FollowConfig,
    LazyConfig,
    NearConfig,
    OrdersConfig,
    PerStepConfig,
    PolicyConfig,
    PredictedConfig,
)
from oarpipe.config.samples import GuidanceConfig
from oarpipe.data.transforms import mirrored_views
from oarpipe.models.flops import ModelSize, first_projections_flops, outlook_flops, walk_flops


@lru_cache(maxsize=1024)
def walk_cost(
    size: ModelSize, policy: PolicyConfig, guidance: GuidanceConfig | None = None, *, head: int = 0
) -> int:
    """FLOP of one sample; guidance adds a second walk, asked about the chosen places or about all.

    `head` is the width of the order head, if places are predicted.
    """
    everywhere, chosen = asked(size, policy), filled(size, policy)
    cost = walk_flops(size, everywhere, chosen)
    if isinstance(policy, PredictedConfig):
        cost += sum(outlook_flops(size, head, traces) for traces in _traces_of_outlooks(size, policy))
    if guidance is not None and guidance.scale != 1.0:
        if guidance.places == "guided" or isinstance(policy, FollowConfig):  # one decoder for both
            cost += walk_flops(size, everywhere, chosen) - first_projections_flops(size, everywhere)
        else:
            cost += walk_flops(size, chosen, chosen)
    return cost


def extraction_cost(size: ModelSize, entry: OrdersConfig, views: int, *, head: int = 0) -> int:
    """FLOP of one image with so many views, of which mirrored ones are only walked in a given order."""
    mirrored = mirrored_views(views) if entry.mirror else 0
    guidance = GuidanceConfig(scale=entry.guidance, places="guided")
    walked = (views - mirrored) * walk_cost(size, entry.policy, guidance, head=head)
    return walked + mirrored * walk_cost(size, IN_GIVEN_ORDER, guidance)


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
    if isinstance(policy, PredictedConfig):
        pairs = zip(chosen, open_places, strict=True)
        return [places_predicted(policy, filling, left) for filling, left in pairs]
    return open_places


def most_asked(size: ModelSize, policy: PolicyConfig) -> int:
    """The most places a step may ask about: all of them where a prediction may be in doubt."""
    return size.positions if isinstance(policy, PredictedConfig) else max(asked(size, policy))


def _traces_of_outlooks(size: ModelSize, policy: PredictedConfig) -> list[Sequence[int]]:
    """For each prediction of a walk, how many places the steps filled that it has to remember first."""
    chosen, queries = filled(size, policy), asked(size, policy)
    choices = [step for step, count in enumerate(queries) if count < size.positions - sum(chosen[:step])]
    every = len(queries) if policy.every == "static" else policy.every
    past = [0, *chosen]
    return [past[max(step - every + 1, 0) : step + 1] for step in choices if step % every == 0]
