"""The configuration: what is read, and the one line that each mistake is answered with."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cluster.config import Config, fit_config, load_config
from cluster.strict import ConfigError, frame_range, working_area
from inpaint.recipes import RECIPES

CONFIGS = Path(__file__).parents[2] / "configs"


def refusal(*words: str, file: Path | None = None) -> str:
    """Return the text with which a configuration is refused."""
    with pytest.raises(ConfigError) as caught:
        load_config(file and str(file), words)
    return str(caught.value)


OTHERS = {CONFIGS / f"{main}.yaml" for main in ("evaluate", "sweep", "vinet", "warmstart")}
OURS = sorted({*CONFIGS.glob("*.yaml")} - OTHERS)


@pytest.mark.parametrize("file", OURS, ids=lambda file: file.stem)
def test_every_file_of_configs_is_read_by_its_path_and_by_its_name(file):
    assert load_config(str(file)) == load_config(file.stem)


def test_internal_yaml_holds_every_key_at_its_default():
    assert load_config("internal") == Config()
    stated = yaml.safe_load((CONFIGS / "internal.yaml").read_text())
    groups = {key for key, value in Config().model_dump().items() if isinstance(value, dict)}
    assert stated.keys() == Config.model_fields.keys()
    for group in groups:
        assert stated[group].keys() == getattr(Config(), group).model_dump().keys()


def test_words_replace_what_the_file_says(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("seed: 1\nfit:\n  steps: 10\n  batch: 2\n")
    config = load_config(str(file), ["fit.steps=20", "hole.invert=true", "source=plate.mov"])
    assert (config.seed, config.fit.steps, config.fit.batch) == (1, 20, 2)
    assert (config.hole.invert, config.source) == (True, "plate.mov")


def test_an_empty_file_is_the_defaults(tmp_path):
    (tmp_path / "run.yaml").touch()
    assert load_config(str(tmp_path / "run.yaml")) == load_config(None) == Config()


@pytest.mark.parametrize("written", ["2e-4", "2E-04", ".0002", "0.0002"])
def test_a_number_is_a_number_however_it_is_written(written, tmp_path):
    (tmp_path / "run.yaml").write_text(f"fit:\n  learning_rate: {written}\n")
    assert load_config(str(tmp_path / "run.yaml")).fit.learning_rate == 2e-4
    assert load_config(None, [f"fit.learning_rate={written}"]).fit.learning_rate == 2e-4


@pytest.mark.parametrize(
    "text", ["001", "1.10", "1e3", "no", "true", "2024-01-02", "10:30", "a #1", "x: y", "*.png"]
)
def test_a_word_that_means_text_is_taken_as_it_was_typed(text):
    assert load_config(None, [f"source={text}"]).source == text


@pytest.mark.parametrize("word", ["delivery.fps=23.976", "delivery.fps=24000/1001"])
def test_a_rate_is_kept_as_an_exact_fraction(word):
    assert load_config(None, [word]).delivery.fps == "24000/1001"


def test_a_word_takes_a_value_away_with_null_or_nothing(tmp_path):
    (tmp_path / "run.yaml").write_text("export: a.mov\nmask: m\nfit:\n  steps: 3\n")
    config = load_config(str(tmp_path / "run.yaml"), ["export=null", "mask=", "fit.steps=null"])
    assert (config.export, config.mask, config.fit.steps) == (None, None, None)


def test_text_in_a_file_keeps_its_zeros_or_is_refused(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("version: 001\nrange: 12\n")
    config = load_config(str(file))
    assert (config.version, config.range) == ("001", "12")
    file.write_text("version: 1.10\n")
    assert refusal(file=file) == "version = 1.1: is read as a number; put it in quotes"


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("fitt.steps=3", "fitt: is not a known key; did you mean 'fit'?"),
        ("fit.stepps=3", "fit.stepps: is not a known key; did you mean 'steps'?"),
        ("hole.qqq=3", "hole.qqq: is not a known key; known are: threshold, invert, grow_px"),
        ("fit.steps=many", "fit.steps = 'many': expected a valid integer"),
        ("fit.steps=1.5", "fit.steps = 1.5: expected a valid integer"),
        ("fit.learning_rate='2e-4'", "fit.learning_rate = '2e-4': expected a valid number"),
        ("hole.invert=1", "hole.invert = 1: expected a valid boolean"),
        ("fit=3", "fit = 3: expected keys of its own"),
        ("fit.steps=0", "fit.steps = 0: expected greater than or equal to 1"),
        ("seed=-1", "seed = -1: expected greater than or equal to 0"),
        ("resources.memory_gb=1e999", "resources.memory_gb = inf: expected a finite number"),
        ("capacity=huge", "capacity = 'huge': expected 'auto', 'small', 'base' or 'large'"),
        ("runner=slurm", "runner = 'slurm': expected 'ray' or 'serial'"),
        ("range=9-3", "range = '9-3': the first frame lies after the last"),
        ("range=all", "range = 'all': expected first-last, such as 1001-1048"),
        ("size=8x8", "size = '8x8': expected WIDTHxHEIGHT in pixels, each 16 to 16384, "),
        ("resources.gpus=1.5", "resources.gpus = 1.5: above 1 only a whole number of GPUs "),
        ("delivery.fps=0", "delivery.fps = '0': expected frames per second as 25, "),
        ("delivery.fps=1/0", "delivery.fps = '1/0': expected frames per second as 25, "),
        ("name=../up", "name = '../up': '../up' cannot be a name: use letters, digits, "),
        ("source=''", "source = '': is empty"),
        ("fit.steps", "'fit.steps': expected key=value, such as fit.steps=1500"),
        ("=3", "'=3': expected key=value, such as fit.steps=1500"),
        ("fit.steps=[", "fit.steps=[: while parsing a flow node expected the node content"),
    ],
)
def test_a_mistake_is_answered_with_one_line_that_names_key_and_value(word, line):
    said = refusal(word)
    assert said.startswith(line)
    assert "\n" not in said


def test_several_mistakes_are_all_named_a_line_each():
    said = refusal("fit.steps=0", "sead=3", "capacity=huge").splitlines()
    assert [line.split()[0].rstrip(":") for line in said] == ["capacity", "fit.steps", "sead"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["source=a", "shots=b"], "source names one shot and shots many: give one of the two"),
        (["shots=b", "name=c"], "name is for one shot; many are named by what * stands for"),
        (["precision=fp16", "resources.gpus=0"], "precision fp16 needs a GPU; use bf16 or off"),
        (
            ["fit.patience=2", "fit.schedule=cosine"],
            "fit.patience: a cosine cannot end early; use trapezoid or constant",
        ),
    ],
)
def test_keys_that_contradict_each_other_are_refused(words, line):
    assert refusal(*words) == line


@pytest.mark.parametrize("text", ["seed: 1\nseed: 2\n", "fit:\n  steps: 1\n  steps: 2\n"])
def test_a_key_that_stands_twice_is_refused(text, tmp_path):
    (tmp_path / "run.yaml").write_text(text)
    assert "stands twice" in refusal(file=tmp_path / "run.yaml")


@pytest.mark.parametrize("text", ["- seed", "{[1]: 2}", "1: 2", "\tseed: 1", "a: [", "x: \1"])
def test_a_file_that_is_no_configuration_is_refused_in_one_line(text, tmp_path):
    (tmp_path / "run.yaml").write_text(text)
    assert len(refusal(file=tmp_path / "run.yaml").splitlines()) == 1


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    missing, binary = tmp_path / "none.yaml", tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    assert refusal(file=missing) == f"{missing}: no such configuration file"
    assert refusal(file=binary).startswith(f"{binary}: cannot be read (")
    assert refusal(file=tmp_path).startswith(f"{tmp_path}: cannot be read (")
    with pytest.raises(ConfigError, match="intrenal: no such configuration file"):
        load_config("intrenal")


@pytest.mark.parametrize("recipe", ["fast", "paper"])
def test_what_the_configuration_leaves_out_is_the_recipes(recipe):
    config = load_config(None, [f"recipe={recipe}", "fit.steps=7", "seed=3", "precision=off"])
    fitted = fit_config(config)
    assert (fitted.steps, fitted.seed, fitted.precision) == (7, 3, "off")
    assert fitted.learning_rate == RECIPES[recipe].learning_rate
    assert fitted.shifted_holes == RECIPES[recipe].shifted_holes


def test_a_zero_in_the_configuration_is_not_taken_for_nothing():
    config = load_config(None, ["recipe=fast", "fit.hole_weight=0", "fit.warmup_steps=0"])
    assert (fit_config(config).hole_weight, fit_config(config).warmup_steps) == (0, 0)


def test_a_range_is_both_ends_or_one_frame_and_a_size_is_width_by_height():
    assert frame_range("1001-1048") == (1001, 1048)
    assert frame_range("0007") == (7, 7)
    assert working_area("432x240") == (240, 432)
