import numpy as np
import pytest
from storage_fakes import drawn, noise, square

from storage.__main__ import main
from storage.archive import Archive
from storage.media import open_source
from storage.stills import write_image


@pytest.fixture
def clip(tmp_path):
    """A sequence of three frames and its masks, in folders `plate` and `mask`."""
    for name, pictures in (
        ("plate", noise(3, 20, 30, 3)),
        ("mask", 255 * square(3, 20, 30)[..., None].astype(np.uint8)),
    ):
        (tmp_path / name).mkdir()
        for t, picture in enumerate(pictures):
            write_image(tmp_path / name / f"{name}.{t + 1:03d}.png", picture)
    return tmp_path


@pytest.fixture
def run(clip, monkeypatch, capsys):
    """Return a function that runs a command line in the clip's folder: status, output, errors."""
    monkeypatch.chdir(clip)

    def command(line):
        status = main(line.split())
        return status, *capsys.readouterr()

    return command


def fill(clip):
    shot = Archive.open(str(clip / "work"), "a").shot("one")
    version = shot.create_version("first", {"status": "done"})
    for t in range(len(shot)):
        version.write(t, noise(20, 30, 3, seed=4))


def test_a_clip_goes_in_is_listed_and_comes_out(clip, run):
    status, out, _ = run("ingest work one plate --mask mask")
    assert (status, out) == (0, "one: stored 3 frames\n")
    fill(clip)
    _, out, _ = run("ls work")
    assert out == "one: 3 frames 30×20×3 uint8\n  first: 3 of 3 frames done\n"
    assert run("export work one out")[:2] == (0, "out: first written 3 frames\n")
    assert run("export work one original --original")[0] == 0
    original, result = (
        np.stack([frame.pixels for frame in open_source(str(clip / name)).frames()])
        for name in ("plate", "out")
    )
    hole = square(3, 20, 30)
    np.testing.assert_array_equal(result[~hole], original[~hole])
    assert (result[hole] != original[hole]).any()


def test_a_range_a_mask_setting_and_a_rate_are_taken(clip, run):
    assert run("ingest work one plate --mask mask --invert --range 2-3 --fps 24000/1001")[0] == 0
    shot = Archive.open(str(clip / "work")).shot("one")
    assert shot.numbers.tolist() == [2, 3]
    np.testing.assert_array_equal(shot.hole[:], ~square(3, 20, 30)[1:])
    assert (shot.info.fps.numerator, shot.info.fps.denominator) == (24000, 1001)


def test_a_mask_of_one_frame_is_taken_and_its_versions_come_out(clip, run):
    assert run("ingest work one plate --mask mask/mask.002.png --few")[0] == 0
    shot = Archive.open(str(clip / "work"), "a").shot("one")
    np.testing.assert_array_equal(shot.hole[1], square(3, 20, 30)[1])
    assert not shot.hole[2].any()
    drawn(shot, holes=square(3, 20, 30))
    _, out, _ = run("ls work")
    line = "one: 3 frames 30×20×3 uint8, mask for frame 2 only\n"
    assert out == line + "  masks drawn: 3 of 3 frames\n"
    assert run("export work one roto --masks drawn")[:2] == (0, "roto: written 3 frames\n")
    assert run("export work one own --what mask --original")[0] == 0
    for name, holes in (("roto", square(3, 20, 30)), ("own", shot.hole[:])):
        pixels = [frame.pixels[..., 0] for frame in open_source(str(clip / name)).frames()]
        np.testing.assert_array_equal(pixels, 255 * holes)
    assert run("rm work one --masks drawn")[0] == 0
    assert run("ls work")[1] == line


def test_the_newest_finished_result_comes_out_and_no_scale_of_one_to_come(clip, run):
    run("ingest work one plate --mask mask")
    fill(clip)
    shot = Archive.open(str(clip / "work"), "a").shot("one")
    scale = shot.create_version("second.10x10", {"status": "done", "part_of": "second"})
    for t in range(len(shot)):
        scale.write(t, noise(20, 30, 3, seed=5))
    shot.create_version("second")
    assert run("export work one out")[:2] == (0, "out: first written 3 frames\n")


def test_shots_and_versions_are_removed_by_name(clip, run):
    run("ingest work one plate --mask mask")
    fill(clip)
    assert run("rm work one --version first")[0] == 0
    assert run("ls work")[1] == "one: 3 frames 30×20×3 uint8\n"
    assert run("rm work one")[0] == 0
    assert run("ls work")[1] == ""


@pytest.mark.parametrize(
    "line",
    [
        "ls nowhere",
        "ingest work one missing",
        "ingest work one plate --mask missing",
        "ingest work a/b plate",
        "ingest plate one plate",
        "ingest work one plate --range 7-9",
        "ingest work one plate --mask alpha --few",
    ],
)
def test_a_users_mistake_is_one_line_and_status_2(run, line):
    status, out, errors = run(line)
    assert (status, out) == (2, "")
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1


def test_an_export_before_there_is_a_version_says_so(run):
    run("ingest work one plate")
    status, _, errors = run("export work one out")
    assert status == 2
    assert "no version yet that is done" in errors
    assert "--original" in errors
    assert run("export work one own --what mask")[0] == 0


@pytest.mark.parametrize("line", ["", "paint work", "ingest work", "ingest a b c --range x-y"])
def test_a_wrong_command_line_is_status_2(run, line):
    with pytest.raises(SystemExit) as ended:
        run(line)
    assert ended.value.code == 2
