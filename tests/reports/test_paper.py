"""Which arms stand for which claim."""

from oarpipe.reports.arms import Arm, Tuning
from oarpipe.reports.claims import PLAIN, Claim, Verdict
from oarpipe.reports.intervals import Value
from oarpipe.reports.paper import paper_claims

NOTHING = Tuning("nothing")


def greedy(annealed: bool, floor: float = 0.0) -> Tuning:
    return Tuning("greedy", annealed, floor)


def make(name: str, tuning: Tuning, sampled_in: str) -> Arm:
    return Arm(name, f"model of {name}", "any", tuning, sampled_in)


BASE = [make("any_random", NOTHING, "random"), make("any_greedy", NOTHING, "greedy")]
PLAIN_GREEDY = make("greedy_greedy", greedy(False), "greedy")
ANNEALED = make("annealed_greedy", greedy(True), "greedy")
FLOORED = make("floor_greedy", greedy(True, 0.3), "greedy")
RASTER = [
    make("raster_raster", Tuning("raster", False), "raster"),
    make("raster_annealed_raster", Tuning("raster", True), "raster"),
]


def ask(arms: list[Arm], likelihoods: dict[str, float] | None = None, **distances: float) -> dict[str, Claim]:
    values = {
        (arm.name, PLAIN): {0: Value(v := distances.get(arm.name, 5.0), (v - 0.1, v, v + 0.1))}
        for arm in arms
    }
    nll = {model: {0: Value(v, (v, v))} for model, v in (likelihoods or {}).items()}
    return {claim.key: claim for claim in paper_claims(arms, values, nll, [PLAIN])}


def sides(claim: Claim) -> list[tuple[str | None, str | None]]:
    return [(c.left.name, c.right.name) for c in claim.comparisons]


def test_the_annealed_arm_stands_for_greedy_tuning_whatever_the_others_score() -> None:
    claims = ask([*BASE, PLAIN_GREEDY, FLOORED, ANNEALED], floor_greedy=1.0, annealed_greedy=9.0)
    assert sides(claims["base"]) == [("annealed_greedy", "any_random"), ("annealed_greedy", "any_greedy")]
    assert claims["base"].verdict() is Verdict.AGAINST


def test_the_floored_arm_stands_in_and_then_the_one_not_annealed() -> None:
    assert sides(ask([*BASE, PLAIN_GREEDY, FLOORED])["base"])[0][0] == "floor_greedy"
    assert sides(ask([*BASE, PLAIN_GREEDY])["base"])[0][0] == "greedy_greedy"


def test_an_opponent_is_annealed_alike_where_it_was_run() -> None:
    assert sides(ask([*BASE, ANNEALED, *RASTER])["shared"])[0] == (
        "annealed_greedy",
        "raster_annealed_raster",
    )
    assert sides(ask([*BASE, PLAIN_GREEDY, *RASTER])["shared"])[0] == ("greedy_greedy", "raster_raster")
    assert sides(ask([*BASE, ANNEALED, RASTER[0]])["shared"])[0] == ("annealed_greedy", "raster_raster")


def test_controls_that_were_not_run_are_said_to_be_missing() -> None:
    claims = ask([*BASE, ANNEALED])
    assert claims["control"].verdict() is Verdict.NOT_RUN
    said = [c.sentence() for c in claims["shared"].comparisons]
    assert said == [
        "Not run here: “tuned on raster orders, sampled in raster order”.",
        "Not run here: “tuned on one fixed permutation, sampled in that order”.",
        "Not run here: “tuned on one order a class, sampled in that order”.",
    ]


def test_annealing_compares_equal_orders_only() -> None:
    claims = ask([*BASE, PLAIN_GREEDY, ANNEALED, FLOORED, *RASTER])
    assert sides(claims["annealing"]) == [
        ("annealed_greedy", "greedy_greedy"),
        ("raster_annealed_raster", "raster_raster"),
    ]
    assert sides(claims["floor"]) == [("floor_greedy", "annealed_greedy")]
    assert claims["floor"].paper is None


def test_skill_is_judged_by_samples_and_by_held_out_likelihood() -> None:
    tuned = make("annealed_random", greedy(True), "random")
    claims = ask(
        [*BASE, ANNEALED, tuned],
        {"model of any_random": 2.07, "model of annealed_greedy": 2.10},
        any_random=5.0,
        annealed_random=5.02,
    )
    verdicts = [(c.measure, c.verdict) for c in claims["skill"].comparisons]
    assert ("NLL", Verdict.AGAINST) in verdicts
    assert claims["skill"].chip() == "on this seed: lost"


def test_greedy_sampling_without_tuning_is_claimed_to_be_worse() -> None:
    assert ask(BASE, any_random=3.0, any_greedy=4.0)["untuned"].chip() == "on this seed: worse"
    assert ask(BASE, any_random=4.0, any_greedy=3.0)["untuned"].verdict() is Verdict.AGAINST


def test_controls_are_those_of_equal_steps_and_others_say_how_many() -> None:
    def tuned(name: str, on: str, annealed: bool | None, steps: int) -> Arm:
        return make(name, Tuning(on, annealed, steps=steps), on)

    arms = [
        *BASE,
        tuned("annealed", "greedy", True, 15),
        tuned("a_short_greedy", "greedy", False, 5),
        tuned("long_greedy", "greedy", False, 15),
        tuned("a_short_random", "random", None, 5),
    ]
    claims = ask([*arms, tuned("long_random", "random", None, 15)])
    assert sides(claims["control"]) == [("annealed", "long_random")]
    assert sides(claims["annealing"])[0] == ("annealed", "long_greedy")
    assert "not 15" not in claims["control"].comparisons[0].sentence()
    (control,) = ask(arms)["control"].comparisons
    assert control.right.name == "a_short_random"
    assert control.right.phrase == "tuned on random orders, sampled in random order (5 steps, not 15)"
