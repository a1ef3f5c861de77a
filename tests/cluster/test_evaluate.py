"""An evaluation from the command to its table and page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from evaluation_fakes import TINY, davis

from cluster.config import fit_config
from cluster.evaluate import main
from cluster.lease import Folder, held
from cluster.rows import EvaluateConfig, load_evaluation, rows_of
from cluster.strict import CONFIGS, ConfigError, merged
from storage import Archive

SVG = "http://www.w3.org/2000/svg"  # the name of a format, not an address
COUNTS = {"a": 3, "b": 4}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    """A current folder with a small data set in `data` and a configuration."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR", raising=False)
    davis(tmp_path / "data", COUNTS)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    return tmp_path


def evaluate(*words: str) -> int:
    return main(["tiny.yaml", "data=data", "out=out", *words])


def table() -> dict:
    return json.loads(Path("out/table.json").read_text())


def config(**values: object) -> EvaluateConfig:
    return EvaluateConfig.model_validate(merged(TINY, values))


def test_every_row_is_measured_on_every_sequence_beside_both_peers(here, capsys):
    assert evaluate() == 0
    cells = table()["cells"]
    assert len(cells) == 2 * 2 * 3
    assert all(cell["measures"]["means"]["hole_psnr"] > 0 for cell in cells)
    assert {cell["row"] for cell in cells} == {"Telea", "Flow propagation", "ours"}
    assert {cell["shot"] for cell in cells} == {"a.fixed", "b.fixed", "a.shuffle-b", "b.shuffle-a"}
    assert table()["assignment"] == {"a": "b", "b": "a"}
    said = capsys.readouterr().out
    assert "Assignment of masks (seed 0): a ← b, b ← a." in said
    assert Path("out/table.md").read_text() in said


def test_a_second_run_repeats_nothing(here):
    assert evaluate("protocols=[fixed]") == 0
    before = {p: p.stat().st_mtime_ns for p in Path("out").rglob("*") if is_work(p)}
    assert evaluate("protocols=[fixed]") == 0
    assert {p: p.stat().st_mtime_ns for p in Path("out").rglob("*") if is_work(p)} == before


def is_work(path: Path) -> bool:
    """Whether a file is a clip, a shot, a result or its measures: all but table, page, lease."""
    return path.is_file() and path.parts[1] in ("clips", "archive") and "lease" not in path.parts


def test_two_at_a_time_do_not_write_one_folder(here, capsys):
    with held(Folder(str(here / "out"))):
        assert evaluate() == 2
    assert f"{here / 'out'}: in use by" in capsys.readouterr().err
    assert not (here / "out" / "clips").exists()


def test_another_row_leaves_those_done_as_they_are(here):
    assert evaluate("protocols=[fixed]") == 0
    shot = Archive.open("out/archive/48x32").shot("a.fixed")
    before = shot.versions()
    assert evaluate("protocols=[fixed]", "rows.paper.recipe=paper") == 0
    assert set(before) < set(shot.versions())
    assert list(table()["rows"]) == ["Telea", "Flow propagation", "ours", "paper"]


def test_rows_of_one_configuration_share_the_work(here):
    assert evaluate("protocols=[fixed]", "rows.again.recipe=fast") == 0
    ours, again = (
        [cell["measures"] for cell in table()["cells"] if cell["row"] == row]
        for row in ("ours", "again")
    )
    assert ours == again
    assert len(Archive.open("out/archive/48x32").shot("a.fixed").versions()) == 3


def test_own_masks_give_what_needs_no_truth(here):
    assert evaluate("protocols=[own]") == 0
    cells = [cell for cell in table()["cells"] if cell["row"] == "ours"]
    for cell in cells:
        assert "hole_psnr" not in cell["measures"]["means"]
        assert cell["measures"]["validation_psnr"] > 0
    assert table()["agreement"] == {}


def test_a_broken_sequence_is_named_and_the_others_are_in_the_table(here, capsys):
    (here / "data" / "JPEGImages" / "480p" / "a" / "00001.jpg").write_bytes(b"torn")
    assert evaluate("protocols=[fixed]") == 1
    cells = {(cell["sequence"], cell["row"]): cell for cell in table()["cells"]}
    assert cells["b", "ours"]["measures"]["means"]["hole_psnr"] > 0
    assert "00001.jpg" in cells["a", "ours"]["reason"]
    assert re.search(r"- a.fixed, ours: .*00001.jpg", capsys.readouterr().out)


def test_a_row_that_fails_is_named_and_the_others_go_on(here):
    assert (
        evaluate(
            "protocols=[fixed]",
            "rows.vgg.fit.ambiguity=0.1",
            "rows.vgg.fit.features=vgg19",
            "rows.vgg.fit.features_path=none.pth",
        )
        == 1
    )
    reasons = {cell["row"]: cell["reason"] for cell in table()["cells"]}
    assert "none.pth" in reasons.pop("vgg")
    assert set(reasons.values()) == {""}


def test_the_page_needs_no_network_and_shows_every_row(here):
    assert evaluate() == 0
    page = Path("out/index.html").read_text()
    assert "http" not in page.replace("http-equiv", "").replace(SVG, "")
    assert page.count("data:image/webp;base64,") == 4 * 2 * (2 + 3)
    assert page.count("<circle") == 4
    assert "rank correlation (Spearman)" in page
    assert "a ← b" in page


def test_a_peer_named_by_the_user_stays_where_and_as_it_is():
    rows = rows_of(config(rows={"mine": {"method": "flow"}}))
    assert list(rows) == ["Telea", "ours", "mine"]
    with pytest.raises(ConfigError, match=r"rows\.Telea: is the name of a peer"):
        rows_of(config(rows={"Telea": {"recipe": "paper"}}))


def test_frames_are_learnt_whole_at_the_evaluations_size_unless_a_row_says_otherwise():
    rows = rows_of(config(rows={"small": {"size": "32x32"}}))
    assert (rows["ours"].size, rows["small"].size) == ("48x32", "32x32")


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("rows.ours.fit.stepps=3", "rows.ours: fit.stepps: is not a known key; did you mean"),
        ("base.fit.steps=0", "rows.ours: fit.steps = 0: expected greater than or equal to 1"),
        ("rows.ours.archive=x", "rows.ours.archive: is decided by the evaluation; leave it out"),
        ("rows.ours.precision=fp16", "rows.ours: precision = fp16: needs a GPU"),
        ("size=big", "size = 'big': expected WIDTHxHEIGHT"),
        ("sequnces=[a]", "sequnces: is not a known key; did you mean 'sequences'?"),
        ("sequences=[z]", "{here}/data: no sequence 'z'; there are: a, b"),
        ("data=none", "{here}/none: no sequences; "),
        ("size=480x320", "a.fixed: {here}/data/JPEGImages/480p/a: frames of 96×64 cannot be"),
    ],
)  # fmt: skip
def test_what_cannot_be_begun_is_refused(word, line, here, capsys):
    assert evaluate(word) == 2
    printed = capsys.readouterr()
    assert "Traceback" not in printed.out + printed.err
    assert printed.err.startswith("error: " + line.format(here=here))


@pytest.mark.parametrize(
    "name", ["evaluate", "ablations/regularisers", "ablations/capacity", "ablations/holes"]
)
def test_the_configurations_that_come_along_load_and_their_rows_differ(name):
    rows = rows_of(load_evaluation(str(CONFIGS / f"{name}.yaml")))
    values = [row.model_dump_json() for row in rows.values()]
    assert len(set(values)) == len(values) >= 4


def test_the_recipes_are_compared_at_one_budget():
    rows = rows_of(load_evaluation(str(CONFIGS / "evaluate.yaml"))).values()
    fits = [fit_config(row) for row in rows if row.method == "internal"]
    assert [fit.steps * fit.batch for fit in fits] == [6000, 6000]


def test_words_reach_into_rows_and_base():
    found = load_evaluation("tiny.yaml", ["base.fit.steps=9", "rows.ours.recipe=paper"])
    row = rows_of(found)["ours"]
    assert (row.fit.steps, row.fit.batch, row.recipe) == (9, 1, "paper")


def test_without_words_and_with_help_it_says_what_it_is(capsys):
    assert main(["--help"]) == 0
    assert "Exit status" in capsys.readouterr().out
    assert main([]) == 2
