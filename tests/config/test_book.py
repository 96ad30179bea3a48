"""The book of recipes: what it makes easy, and how it says what is wrong."""

import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from oarpipe.config.book import Book, load_book, validate
from oarpipe.config.recipe import read_recipe
from oarpipe.errors import ConfigError

TINY = Path(__file__).parents[2] / "config" / "tiny.yaml"


@pytest.fixture
def raw() -> dict[str, Any]:
    """The tiny book as plain data, to be spoilt."""
    content = yaml.safe_load(TINY.read_text())
    assert isinstance(content, dict)
    return content


def mistakes(raw: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        validate(deepcopy(raw), "tiny")
    return str(caught.value)


def put(raw: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The book with one dotted key set."""
    *parents, last = path.split(".")
    node = raw
    for part in parents:
        node = node.setdefault(part, {})
    node[last] = value
    return raw


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("models.any.train.stepz", 5, "models.any.train.stepz: unknown key, did you mean 'steps'?"),
        ("modles", {}, "modles: unknown table, did you mean 'models'?"),
        ("models.any.train.steps", "many", "models.any.train.steps: input should be a valid integer"),
        (
            "models.any.train.steps",
            0,
            "models.any.train.steps: input should be greater than or equal to 1, got 0",
        ),
        ("models.any.train.steps", True, "models.any.train.steps"),
        (
            "models.greedy.order.to.kind",
            "tabel",
            "models.greedy.order.to.kind: got 'tabel', did you mean 'table'?",
        ),
        ("samples.any_random.policy.select", "greddy", "did you mean 'greedy'?"),
        ("models.any.tokens", "digit", "models.any.tokens: no entry tokens.digit, did you mean 'digits'?"),
        ("models.greedy.like", "anny", "models.greedy.like: no entry models.anny, did you mean 'any'?"),
        ("models.any.like", "greedy", "goes in a circle"),
        ("models.any.like", "any", "models.any.like: goes in a circle (any -> any)"),
        (
            "models.any.init",
            "greedy",
            "needs itself (models.any -> models.greedy -> orders.greedy -> models.any)",
        ),
        ("models.greedy.init", None, "has no `init:` model to start from"),
        ("models.greedy.width", 32, "cannot start from models.any"),
        ("models.any.width", 18, "multiple of 4"),
        ("datasets.digits.resolution", 18, "18 pixels are no multiple of the 4 pixels a token"),
        ("searches.best.split", "train", "choose on another"),
        ("information.main.split", "train", "but orders.greedy_test has the test split's orders"),
        ("orders.greedy.split", "test", "models.greedy: trains on the train split, but orders.greedy"),
        ("samples.mean_mean.policy.order.kind", "table", "a new sample has no row in an order table"),
        ("samples.any random", {}, "a name is letters, digits"),
        (
            "samples.any_random.count",
            0,
            "samples.any_random.count: input should be greater than or equal to 1",
        ),
        ("seeds", [0, 0], "seeds: expected a list of different whole numbers"),
        ("name", "a/b", "name: expected the name of the book's folder"),
        ("datasets", [1], "datasets: expected named entries"),
    ],
)
def test_a_mistake_is_named_with_what_to_do(raw: dict[str, Any], path: str, value: Any, says: str) -> None:
    told = mistakes(put(raw, path, value))
    assert says in told
    assert told.startswith("tiny: ")


def test_a_missing_key_is_named(raw: dict[str, Any]) -> None:
    del raw["models"]["any"]["train"]["steps"]
    assert "models.any.train.steps: missing" in mistakes(raw)


def test_all_mistakes_are_told_at_once(raw: dict[str, Any]) -> None:
    put(raw, "models.any.heds", 2)
    put(raw, "samples.any_random.temperature", -1.0)
    put(raw, "tokens.digits.tokenizer", "smal")
    told = mistakes(raw)
    assert told.startswith("tiny: ")
    assert "mistakes" in told.splitlines()[0]
    for says in ("models.any.heds", "samples.any_random.temperature", "did you mean 'small'?"):
        assert says in told


def test_a_mistake_that_others_are_like_is_told_once(raw: dict[str, Any]) -> None:
    put(raw, "models.any.heds", 2)
    told = mistakes(raw)
    assert told.startswith("tiny: models.any.heds: unknown key")
    assert "\n" not in told
    put(raw, "models.random.train", {"stepz": 3})
    assert "tiny: 2 mistakes" in (told := mistakes(raw))
    assert "models.any.heds" in told
    assert "models.random.train.stepz" in told


def test_like_takes_over_options_and_a_kind_replaces_the_whole_mapping(raw: dict[str, Any]) -> None:
    book = validate(put(raw, "models.any.train.lr", 0.5))
    greedy: Any = book.entry("models", "greedy")
    mean: Any = book.entry("models", "greedy_mean")
    assert greedy.train.lr == 0.5
    assert greedy.order.kind == "anneal"
    assert mean.order.model_dump() == {"kind": "class_mean", "orders": "greedy"}


def test_the_order_source_decides_between_train_and_distill(raw: dict[str, Any]) -> None:
    models: Any = validate(raw).tables["models"]
    assert {name: model.verb for name, model in models.items()} == {
        "any": "train",
        "random": "train",
        "greedy": "distill",
        "greedy_mean": "distill",
    }


def test_an_ingredient_in_place_becomes_an_entry_named_after_the_one_it_serves(raw: dict[str, Any]) -> None:
    put(raw, "samples.new", {"like": "any_random", "model": {"like": "any", "train": {"steps": 9}}})
    book = validate(raw)
    model: Any = book.entry("models", "new")
    assert model.train.steps == 9
    assert model.train.batch == 16
    assert book.ingredients("samples", "new")["model"] == [("models", "new")]


def test_an_ingredient_in_place_must_not_hide_an_entry(raw: dict[str, Any]) -> None:
    put(raw, "samples.any", {"like": "any_random", "model": {"like": "any"}})
    assert "would become models.any, which exists already" in mistakes(raw)


def test_a_base_is_another_file_and_the_file_wins(tmp_path: Path) -> None:
    (tmp_path / "parent.yaml").write_text(TINY.read_text())
    child = tmp_path / "child.yaml"
    child.write_text("base: parent.yaml\nname: child\nmodels: {any: {train: {steps: 8}}}\n")
    book = load_book([child])
    model: Any = book.entry("models", "any")
    assert (book.name, model.train.steps, model.train.batch) == ("child", 8, 16)


def test_an_entry_of_the_base_set_to_null_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "parent.yaml").write_text(TINY.read_text())
    child = tmp_path / "child.yaml"
    child.write_text("base: parent.yaml\nreports: {tiny: null}\n")
    assert not load_book([child]).tables["reports"]


def test_an_empty_entry_of_its_own_is_a_mistake(raw: dict[str, Any]) -> None:
    put(raw, "reports.mine", None)
    assert "reports.mine: expected a mapping of options" in mistakes(raw)


def test_an_evaluation_that_reports_no_choice_may_use_the_split_it_was_made_on(raw: dict[str, Any]) -> None:
    put(raw, "searches.best.split", "train")
    put(raw, "evaluations.main.searches", [])
    assert validate(raw)


def test_later_files_and_overrides_win(tmp_path: Path) -> None:
    more = tmp_path / "more.yaml"
    more.write_text("samples: {any_random: {temperature: 0.5, count: 30}}\n")
    book = load_book([TINY, more], ["samples.any_random.temperature=0.9", "seeds=[3,4]"])
    samples: Any = book.entry("samples", "any_random")
    assert (samples.temperature, samples.count, book.seeds) == (0.9, 30, (3, 4))


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("samples.any_randon.count=3", "did you mean 'any_random'?"),
        ("samples.any_random.temprature=1.0", "did you mean 'temperature'?"),
        ("nonsense", "expected key=value"),
    ],
)
def test_an_override_of_nothing_is_an_error(override: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says.replace("?", r"\?")):
        load_book([TINY], [override])


def test_a_file_that_is_not_yaml_is_named(tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text("models: {any: [\n")
    with pytest.raises(ConfigError, match=r"broken\.yaml: not readable as YAML"):
        load_book([file])


def test_shared_tables_are_made_once_for_the_first_seed(raw: dict[str, Any]) -> None:
    book = validate(put(raw, "seeds", [4, 5]))
    assert book.folder("datasets", "digits", 5) == "results/tiny/seed-4/datasets/digits"
    assert book.folder("models", "any", 5) == "results/tiny/seed-5/models/any"
    assert sum(recipe.table == "datasets" for recipe in book.recipes()) == 1
    assert sum(recipe.table == "models" for recipe in book.recipes()) == 8


def test_a_report_needs_everything_that_its_numbers_came_from(raw: dict[str, Any]) -> None:
    needs = validate(raw).ingredients("reports", "tiny")
    assert set(needs) == {
        *("evaluation", "information", "datasets", "features", "tokenizers", "tokens", "models"),
        *("orders", "order_heads", "samples", "searches"),
    }


def test_a_recipe_survives_its_file(raw: dict[str, Any], tmp_path: Path) -> None:
    for recipe in validate(raw).recipes():
        file = tmp_path / recipe.file_name()
        file.write_text(recipe.text())
        assert read_recipe(file, recipe.table) == recipe


def test_a_changed_entry_is_another_recipe_file_and_the_others_keep_theirs(raw: dict[str, Any]) -> None:
    def files(book: Book) -> dict[tuple[str, str], str]:
        return {(r.table, r.name): r.file_name() for r in book.recipes()}

    before, after = files(validate(deepcopy(raw))), files(validate(put(raw, "orders.greedy_test.part", 32)))
    assert [key for key in before if before[key] != after[key]] == [("orders", "greedy_test")]


def test_a_recipe_of_another_table_or_format_is_refused(raw: dict[str, Any], tmp_path: Path) -> None:
    recipe = validate(raw).recipe("orders", "greedy", 0)
    file = tmp_path / "greedy.yaml"
    file.write_text(recipe.text())
    with pytest.raises(ConfigError, match="a recipe of table 'orders', expected one of 'models'"):
        read_recipe(file, "models")
    file.write_text(recipe.text().replace("format: ", "format: 9"))
    with pytest.raises(ConfigError, match="make the recipe anew"):
        read_recipe(file, "orders")


def test_a_book_of_200_recipes_is_validated_without_torch_or_numpy(
    raw: dict[str, Any], tmp_path: Path
) -> None:
    for index in range(200):
        put(raw, f"samples.arm_{index}", {"like": "any_random", "temperature": 0.5 + index / 100})
    file = tmp_path / "large.yaml"
    file.write_text(yaml.safe_dump(raw))
    code = (
        "import sys; from oarpipe.config.book import load_book; book = load_book([sys.argv[1]]);"
        "assert len(book.tables['samples']) == 204; assert not {'torch', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(file)], check=True)
