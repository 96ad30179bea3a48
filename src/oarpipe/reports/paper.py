"""The paper's claims (Table 1 and §5), and the controls it lacks, as comparisons between arms.

Which arm stands for "greedy-tuned" is fixed here beforehand, not chosen by its result: the annealed
one as in the paper, else the one with a floor, else the one not annealed. An opponent is the arm of
the same annealing, and of those the one tuned for as many steps, where it was run.
"""

from collections.abc import Callable, Mapping, Sequence

from oarpipe.reports.arms import CLASS_MEAN, GREEDY, NOTHING, PERMUTATION, RANDOM, Arm, Tuning
from oarpipe.reports.claims import PLAIN, Claim, Comparison, Side, Words, compare
from oarpipe.reports.intervals import Series

RASTER = "raster"
Pairs = Sequence[tuple[Side, Side]]


def paper_claims(
    arms: Sequence[Arm],
    distances: Mapping[tuple[str, str], Series],
    likelihoods: Mapping[str, Series],
    settings: Sequence[str],
    measure: str = "FD",
) -> list[Claim]:
    """Every claim over arms of one any-order base.

    `distances` maps (arm, setting) to Fréchet distances, `likelihoods` a model to its held-out NLL a
    token in random order; `settings` are the plain one and the searches' names.
    """
    cast = _Cast(arms)

    def each(pairs: Pairs) -> tuple[Comparison, ...]:
        return tuple(
            compare(left, right, distances, setting=setting, measure=measure)
            for setting in settings
            for left, right in pairs
        )

    return [
        *_greedy_claims(cast, each),
        *_annealing_claims(cast, each),
        *_skill_claims(cast, each, likelihoods),
    ]


def _greedy_claims(cast: "_Cast", each: Callable[[Pairs], tuple[Comparison, ...]]) -> list[Claim]:
    """What tuning on the extracted greedy orders is claimed to be better than."""
    greedy = cast.side(GREEDY, GREEDY)
    return [
        Claim(
            "base",
            "Greedy tuning beats the any-order model",
            "FID 2.17 against 2.39 sampled in random order and 3.64 sampled greedily",
            each([(greedy, cast.side(NOTHING, RANDOM)), (greedy, cast.side(NOTHING, GREEDY))]),
        ),
        Claim(
            "control",
            "Greedy tuning beats as many further steps on random orders",
            "implied, but the paper has no such arm",
            each([(greedy, cast.side(RANDOM, RANDOM, like=greedy))]),
        ),
        Claim(
            "shared",
            "Greedy tuning beats any one shared order",
            "FID 2.17 against 2.34 for raster; no other shared order was tried",
            each([(greedy, cast.side(on, on, like=greedy)) for on in (RASTER, PERMUTATION, CLASS_MEAN)]),
        ),
    ]


def _annealing_claims(cast: "_Cast", each: Callable[[Pairs], tuple[Comparison, ...]]) -> list[Claim]:
    """What annealing, and a floor that it stops at, are claimed to bring."""
    floored = cast.exactly(GREEDY, GREEDY, "annealed, with a floor")
    annealed = [(on, cast.exactly(on, on, "annealed")) for on in (GREEDY, RASTER)]
    return [
        Claim(
            "annealing",
            "Annealing helps, with equal steps",
            "FID 2.17 against 2.22 greedy and 2.34 against 2.56 raster, with three times the steps",
            each([(side, cast.exactly(on, on, "not annealed", like=side)) for on, side in annealed]),
        ),
        Claim(
            "floor",
            "A floor of random orders helps greedy sampling",
            None,
            each([(floored, cast.exactly(GREEDY, GREEDY, "annealed"))]),
        ),
    ]


def _skill_claims(
    cast: "_Cast", each: Callable[[Pairs], tuple[Comparison, ...]], likelihoods: Mapping[str, Series]
) -> list[Claim]:
    """Whether the tuned models still answer random orders, by their samples and by held-out likelihood."""
    base, greedy = cast.side(NOTHING, RANDOM), cast.side(GREEDY, RANDOM)
    floored = cast.exactly(GREEDY, RANDOM, "annealed, with a floor")
    by_model = {(model, PLAIN): series for model, series in likelihoods.items()}
    tuned = [cast.model(GREEDY, how) for how in ("annealed", "annealed, with a floor")]
    by_likelihood = [
        compare(one, cast.model(NOTHING, None), by_model, measure="NLL") for one in tuned if one.name
    ]
    by_distance = [(greedy, base)] + [(floored, base)] * (floored.name not in (None, greedy.name))
    return [
        Claim(
            "skill",
            "Any-order skill is kept",
            "FID 2.44 against 2.39, both sampled in random order",
            (*each(by_distance), *by_likelihood),
            Words("kept", "lost"),
        ),
        Claim(
            "raster-skill",
            "Greedy tuning keeps more any-order skill than raster tuning",
            "FID 2.44 against 6.57, both sampled in random order",
            each([(greedy, cast.side(RASTER, RANDOM, like=greedy))]),
        ),
        Claim(
            "untuned",
            "Without tuning, greedy sampling is worse than random",
            "FID 3.64 against 2.39",
            each([(base, cast.side(NOTHING, GREEDY))]),
            Words("worse", "better"),
        ),
    ]


class _Cast:
    """Which arm plays which part."""

    def __init__(self, arms: Sequence[Arm]) -> None:
        self.arms = arms

    def side(self, on: str, sampled_in: str, like: Side | None = None) -> Side:
        """The arm of these orders, annealed and as long as `like` if there is one, else by the rule above."""
        model = self._tuning(like)
        found = sorted(
            (arm for arm in self.arms if (arm.tuning.on, arm.sampled_in) == (on, sampled_in)),
            key=lambda arm: (
                model is None or _manner(arm.tuning) != _manner(model),
                _preference(arm.tuning),
                model is None or arm.tuning.steps != model.steps,
            ),
        )
        return _side(found, Tuning(on), sampled_in, like=model)

    def exactly(self, on: str, sampled_in: str, manner: str, like: Side | None = None) -> Side:
        """The arm annealed in this very manner, of those the one tuned for as many steps as `like`."""
        model = self._tuning(like)
        arms = [arm for arm in self.arms if (arm.tuning.on, arm.sampled_in) == (on, sampled_in)]
        found = sorted(
            (arm for arm in arms if _manner(arm.tuning) == manner),
            key=lambda arm: model is None or arm.tuning.steps != model.steps,
        )
        wanted = Tuning(on, annealed=manner != "not annealed")
        return _side(found, wanted, sampled_in, manner, like=model)

    def _tuning(self, side: Side | None) -> Tuning | None:
        return next((arm.tuning for arm in self.arms if side is not None and arm.name == side.name), None)

    def model(self, on: str, manner: str | None) -> Side:
        """The model tuned so, whatever it was sampled in."""
        found = [arm for arm in self.arms if arm.tuning.on == on and manner in (None, _manner(arm.tuning))]
        if not found:
            return Side(None, Tuning(on).phrase)
        return Side(found[0].model, f"{found[0].tuning.phrase}, held-out images in random order")


def _side(
    found: Sequence[Arm], wanted: Tuning, sampled_in: str, manner: str = "", like: Tuning | None = None
) -> Side:
    """The first that was found; if it was not tuned for as many steps as its opponent, its phrase says so."""
    if found:
        steps, phrase = found[0].tuning.steps, found[0].phrase
        if like is not None and steps != like.steps:
            phrase += f" ({steps:,} steps, not {like.steps:,})"
        return Side(found[0].name, phrase)
    phrase = Arm("", "", "", wanted, sampled_in).phrase
    return Side(None, phrase.replace("annealed", manner, 1) if manner == "annealed, with a floor" else phrase)


def _manner(tuning: Tuning) -> str:
    if not tuning.annealed:
        return "not annealed"
    return "annealed, with a floor" if tuning.floor else "annealed"


def _preference(tuning: Tuning) -> int:
    return ["annealed", "annealed, with a floor", "not annealed"].index(_manner(tuning))
