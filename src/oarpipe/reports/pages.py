"""The report page: all sections gathered, and set by the templates with every name escaped."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from oarpipe.base.receipts import Receipt
from oarpipe.base.templating import templates
from oarpipe.config.outputs import ReportConfig
from oarpipe.reports.agreements import cheaper_extractions
from oarpipe.reports.arms import colours, goes_raster_only
from oarpipe.reports.benchmarks import speeds
from oarpipe.reports.claims import PLAIN, Claim, against, capital, number, signed
from oarpipe.reports.extractions import extractions, order_figures
from oarpipe.reports.figures import Dot, dots
from oarpipe.reports.health import health
from oarpipe.reports.intervals import SEEDS_NEEDED, Interval, Series, spread
from oarpipe.reports.leaks import leak_note, taught_by_leaks
from oarpipe.reports.learning import reconstructions, training_curves
from oarpipe.reports.likelihoods import likelihood_series
from oarpipe.reports.paper import paper_claims
from oarpipe.reports.pictures import pictures
from oarpipe.reports.provenance import anchor, duration, everything_made, machines
from oarpipe.reports.published import reached
from oarpipe.reports.results import Results
from oarpipe.reports.side_by_side import side_by_side
from oarpipe.reports.skills import RULE
from oarpipe.reports.strips import Strips
from oarpipe.reports.summary import summary
from oarpipe.reports.tables import main_table, search_tables
from oarpipe.reports.tradeoffs import tradeoffs


def render(config: ReportConfig, receipts: Mapping[str, Sequence[Receipt]]) -> str:
    """The whole page as HTML that asks for nothing outside itself; `receipts` by table, over all seeds."""
    results = Results(receipts)
    likelihoods = likelihood_series(results)
    random_order = _random_order(results)
    by_random = {model: series for (model, order), series in likelihoods.items() if order == random_order}
    claims = claims_by_base(results, by_random)
    made = everything_made(results)
    table = main_table(results)
    shown = pictures(results, config)
    environment = templates("reports")
    environment.filters.update(signed=signed, number=number, duration=duration, capital=capital)
    environment.globals.update(anchor=anchor)
    arm_colours = colours(results.arms)
    return environment.get_template("report.html.j2").render(
        config=config,
        reached=reached(results, config.published) if config.published else None,
        summary=summary(results),
        results=results,
        facts=results.evaluations[results.seed],
        colours=arm_colours,
        table=table,
        table_note=leak_note(taught_by_leaks(results)),
        headline_numbers={arm.name: headline_number(results, arm.name) for arm in results.arms},
        chart=distance_chart(results, arm_colours),
        claims=claims,
        against=[sentence for _, group in claims for sentence in against(group)],
        strips=Strips(
            [comparison for _, group in claims for claim in group for comparison in claim.comparisons]
        ),
        enough_seeds=len(results.seeds) >= SEEDS_NEEDED,
        health=health(results, likelihoods),
        health_rule=RULE,
        searches=search_tables(results),
        pictures=shown,
        side_by_side=side_by_side(results, shown, table.columns),
        orders=order_figures(extractions(results)),
        cheaper=cheaper_extractions(results),
        curves=training_curves(results, arm_colours),
        speeds=speeds(results),
        tradeoffs=tradeoffs(results),
        tokenizers=reconstructions(results),
        made=made,
        machines=machines(made),
        total=sum(one.seconds for one in made),
        plain=PLAIN,
    )


def claims_by_base(results: Results, by_random: Mapping[str, Series]) -> list[tuple[str, list[Claim]]]:
    """The paper's claims, asked anew for every any-order base whose arms can be compared."""
    distances = {
        (arm.name, setting): results.series(arm.name, setting, results.distance)
        for arm in results.arms
        for setting in results.settings
    }
    found = []
    models = results.recipes("models")
    for base in dict.fromkeys(arm.base for arm in results.arms):
        if goes_raster_only(models[base]):
            continue
        arms = [arm for arm in results.arms if arm.base == base]
        claims = paper_claims(arms, distances, by_random, results.settings, results.distance)
        found.append((base, claims))
    told = [(base, claims) for base, claims in found if any(map(_is_made, claims))]
    return told or found


def _is_made(claim: Claim) -> bool:
    return any(comparison.difference is not None for comparison in claim.comparisons)


def _random_order(results: Results) -> str | None:
    """What the information recipe calls its random order."""
    for recipe in results.recipes("information").values():
        for name, source in recipe["orders"].items():
            if source["kind"] == "random":
                return str(name)
    return None


def headline_number(results: Results, arm: str) -> str:
    """The Fréchet distance of the pictures shown: of the first seed, in the plain setting."""
    value = results.series(arm, PLAIN, results.distance).get(results.seed)
    return f"{results.distance} {number(value.point, 2)}" if value else ""


def distance_chart(results: Results, arm_colours: Mapping[str, str]) -> Markup:
    """The Fréchet distance of every arm, filled dots plain, hollow ones at the best setting of a search."""
    rows = []
    for i, arm in enumerate(results.arms):
        for setting in results.settings:
            series = results.series(arm.name, setting, results.distance)
            if series:
                mean, deviation, interval = spread(series)
                shown = Interval(mean - deviation, mean + deviation) if deviation is not None else interval
                low, high = (shown.low, shown.high) if shown else (mean, mean)
                hint = f"{arm.short}: {number(mean, 2)} ({number(low, 2)} – {number(high, 2)})"
                colour = arm_colours[arm.tuning.on]
                rows.append(Dot(i, mean, low, high, colour, hollow=setting != PLAIN, hint=hint))
    floors = [e["floor"].get(results.distance) for e in results.evaluations.values()]
    known = [floor for floor in floors if floor is not None]
    return dots(
        {arm.name: arm.short for arm in results.arms},
        rows,
        x=f"{results.distance}, lower is better",
        floor=sum(known) / len(known) if known else None,
        alt=f"{results.distance} of every arm with its interval; the numbers are in the table.",
    )
