"""Which shots a run means: one source, a glob or a manifest."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.backlog import ShotSpec, output, shots_of
from cluster.config import load_config
from cluster.strict import ConfigError


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    """An empty current folder, outside a submitted job."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR", raising=False)
    return tmp_path


def shots(*words: str) -> list[ShotSpec]:
    return shots_of(load_config(None, words))


def refusal(*words: str) -> str:
    """Return the text with which a backlog is refused."""
    with pytest.raises(ConfigError) as caught:
        shots(*words)
    return str(caught.value)


def test_one_shots_paths_start_where_the_command_was_typed(here):
    (shot,) = shots("source=clip.mov", "mask=m", "truth=/t.mov", "export=out/clean.mov")
    assert shot == ShotSpec(
        "clip",
        f"{here}/clip.mov",
        f"{here}/m",
        truth="/t.mov",
        export=f"{here}/out/clean.mov",
    )


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("a/clip.mov", "clip"),
        ("a/clip.####.exr", "clip"),
        ("a/plate_%04d.png", "a"),
        ("a/sh010/frames", "sh010"),
        ("a/sh010/*.png", "sh010"),
        ("a/sh010/%04d.png", "sh010"),
        ("a/it's ü.mov", "it_s ü"),
        ("a/.hidden.mov", "hidden"),
        ("a/files.mov", "a"),
        ("s3://bucket/sh020/frames", "sh020"),
    ],
)
def test_a_shot_is_named_after_its_file_or_the_folder_that_says_something(source, name):
    assert [shot.name for shot in shots(f"source={source}", "mask=m")] == [name]


def test_the_dot_in_a_folders_name_is_no_ending(here):
    (here / "sh010.v003").mkdir()
    assert shots("source=sh010.v003", "mask=m")[0].name == "sh010.v003"


def test_a_range_is_part_of_the_name_unless_a_name_is_given():
    (shot,) = shots("source=clip.mov", "mask=m", "range=10-20")
    assert (shot.name, shot.first, shot.last) == ("clip.10-20", 10, 20)
    assert shots("source=clip.mov", "mask=m", "range=10-20", "name=a")[0].name == "a"


def test_alpha_as_mask_and_urls_stay_as_they_are():
    (shot,) = shots("source=s3://b/clip.mov", "mask=alpha")
    assert (shot.source, shot.mask) == ("s3://b/clip.mov", "alpha")


def test_a_glob_names_each_shot_by_what_its_wildcards_stood_for(here):
    for name in ("b", "a", "c.v2"):
        (here / "plates" / name / "frames").mkdir(parents=True)
    found = shots("shots=plates/*/frames", "mask=m/{shot}", "export=out/{shot}.mov", "range=1-5")
    assert [shot.name for shot in found] == ["a", "b", "c.v2"]
    assert found[2] == ShotSpec(
        "c.v2",
        f"{here}/plates/c.v2/frames",
        f"{here}/m/c.v2",
        first=1,
        last=5,
        export=f"{here}/out/c.v2.mov",
    )


def test_several_wildcards_make_one_name(here):
    for name in ("ep1/sh1", "ep1/sh2", "ep2/sh1"):
        (here / name / "plate").mkdir(parents=True)
    found = shots("shots=ep?/*/plate", "mask=alpha")
    assert [shot.name for shot in found] == ["1-sh1", "1-sh2", "2-sh1"]


@pytest.mark.parametrize("typed", ["*.mov", "../show [1]/*.mov", "{here}/*.mov"])
def test_a_folder_with_brackets_in_its_name_is_no_glob(typed, here, monkeypatch):
    folder = here / "show [1]"
    folder.mkdir()
    (folder / "a.mov").touch()
    monkeypatch.chdir(folder)
    (shot,) = shots(f"shots={typed.format(here=folder)}", "mask=alpha")
    assert (shot.name, shot.source) == ("a", f"{folder}/a.mov")


ROWS = [
    "source,mask,name,range,priority,export",
    "a.mov,a_mask,,,,",
    "b.mov,alpha,second,001-010,7,/out/b.mov",
]
LIST = """
- {source: a.mov, mask: a_mask}
- {source: b.mov, mask: alpha, name: second, range: 001-010, priority: 7, export: /out/b.mov}
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.csv", "\n".join(ROWS)),
        ("M.CSV", "\ufeff" + "\r\n".join(ROWS).replace(",", ";")),
        ("m.csv", "\n".join(ROWS).replace(",", "\t")),
        ("m.csv", ",\n\n".join([*ROWS, ",,,,,", ""])),
        ("m.csv", "\n".join(ROWS).replace(",", " , ")),
        ("m.yaml", LIST),
        ("m.YML", LIST),
    ],
    ids=["csv", "semicolons", "tabs", "empty rows and columns", "blanks", "yaml", "yml"],
)
def test_a_manifests_paths_start_where_it_lies_and_higher_priority_goes_first(name, text, here):
    (here / "show").mkdir()
    (here / "show" / name).write_bytes(text.encode())
    second, first = shots(f"shots=show/{name}", "truth=/t/{shot}", "export=out/{shot}")
    assert first == ShotSpec(
        "a",
        f"{here}/show/a.mov",
        f"{here}/show/a_mask",
        truth="/t/a",
        export=f"{here}/out/a",
    )
    assert second == ShotSpec(
        "second",
        f"{here}/show/b.mov",
        "alpha",
        first=1,
        last=10,
        truth="/t/second",
        export="/out/b.mov",
        priority=7,
    )


def test_shots_of_one_priority_keep_the_manifests_order(here):
    rows = [f"{name}.mov,alpha,{priority}" for name, priority in zip("cab", "010", strict=True)]
    (here / "m.csv").write_text("\n".join(["source,mask,priority", *rows]))
    assert [shot.name for shot in shots("shots=m.csv")] == ["a", "c", "b"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("- {mask: m}", "m.yaml: shot 1: source: missing"),
        ("- {source: ''}", "m.yaml: shot 1: source = '': is empty"),
        ("- a.mov", "m.yaml: shot 1: expected keys and values, source among them"),
        ("a: 1", "m.yaml: expected a list of shots, each with source and mask"),
        ("", "m.yaml: expected a list of shots, each with source and mask"),
        ("- {source: a}", "m.yaml: shot 1: mask: missing for shot 'a'; a folder, movie or image"),
        (
            "- {source: a, maks: m}",
            "m.yaml: shot 1: maks: is not a known key; did you mean",
        ),
        ("- {source: a, mask: [m]}", "m.yaml: shot 1: mask = ['m']: expected a valid string"),
        ("- {source: a, mask: m, range: x}", "m.yaml: shot 1: range = 'x': expected first-last"),
        ("- {source: a, mask: m, priority: x}", "m.yaml: shot 1: priority = 'x': expected a valid"),
        ("- {source: a, mask: m, priority: [1]}", "m.yaml: shot 1: priority = [1]: expected a"),
        ("- {source: a, mask: m, name: a/b}", "m.yaml: shot 1: name = 'a/b': 'a/b' cannot be a"),
        ("- {source: a, source: b}", "m.yaml: 'source' stands twice"),
        ("- [", "m.yaml: while parsing a flow node"),
    ],
)
def test_a_mistake_in_a_manifest_is_named_with_the_row(text, line, here):
    (here / "m.yaml").write_text(text)
    said = refusal("shots=m.yaml")
    assert said.startswith(f"{here}/{line}")
    assert "\n" not in said


def test_every_mistake_of_a_row_gets_its_line(here):
    (here / "m.csv").write_text("source,range,priority\na.mov,x,high\n")
    lines = refusal("shots=m.csv", "mask=alpha").splitlines()
    assert [line.split(" = ")[0] for line in lines] == [
        f"{here}/m.csv: line 2: range",
        f"{here}/m.csv: line 2: priority",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "source,mask\na.mov,m\n\nb.mov,m,what\n",
            "line 4: more values than columns ('what'); name its column, or put a value that holds "
            "a separator in quotes",
        ),
        ("source,mask,mask\na.mov,m,n\n", "line 1: the column 'mask' stands twice; remove one"),
        ("\n", "expected a list of shots, each with source and mask"),
    ],
)
def test_a_table_that_is_no_table_is_refused(text, said, here):
    (here / "m.csv").write_text(text)
    assert refusal("shots=m.csv") == f"{here}/m.csv: {said}"


@pytest.mark.parametrize("value", ["true", "TRUE", "True"])
def test_a_spreadsheets_truth_is_one(value, here):
    (here / "m.csv").write_text(f"source,mask,few_masks\na.mov,m,{value}\n")
    assert shots("shots=m.csv")[0].few


def test_what_is_not_there_is_named(here):
    (here / "bytes.csv").write_bytes(b"source\n\xff\n")
    assert refusal() == "source: nothing to inpaint; give source=… and mask=…, or shots=…"
    assert refusal("source=a.mov").startswith("mask: missing for shot 'a'")
    assert refusal("shots=x/*.mov", "mask=m") == f"shots = {here}/x/*.mov: nothing matches"
    assert refusal("shots=no.csv") == (
        f"shots = {here}/no.csv: cannot be read (No such file or directory)"
    )
    assert refusal("shots=bytes.csv").startswith(f"shots = {here}/bytes.csv: cannot be read (")


def test_two_shots_of_one_name_or_one_export_are_refused(here):
    rows = ["source,mask,name", "a.mov,alpha,x", "b.mov,alpha,x"]
    (here / "m.csv").write_text("\n".join(rows))
    assert refusal("shots=m.csv") == (
        f"two shots have the name x: {here}/a.mov and {here}/b.mov; give each a name in a manifest"
    )
    (here / "m.csv").write_text("\n".join(rows).replace("b.mov,alpha,x", "b.mov,alpha,y"))
    assert refusal("shots=m.csv", "export=out.mov") == (
        f"two shots have the export {here}/out.mov: {here}/a.mov and {here}/b.mov; "
        "write {shot} where each shot's name belongs"
    )


def test_a_submitted_job_writes_below_the_home_and_reads_only_what_it_was_given(here, monkeypatch):
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    monkeypatch.setenv("HOME", "/home/artist")
    (here / "m").mkdir()
    (shot,) = shots("source=/plates/a.mov", "mask=m", "export=a.mov")
    assert (shot.mask, shot.export) == (f"{here}/m", "/home/artist/cleanplate/a.mov")
    assert output("s3://b/archive") == "s3://b/archive"
    assert output("/abs/archive") == "/abs/archive"
    assert refusal("source=plates/a.mov", "mask=m") == (
        "plates/a.mov: a submitted job runs in a throw-away copy of the working directory, where "
        "this is not; give an absolute path"
    )
