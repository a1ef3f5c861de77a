from __future__ import annotations

import contextlib
import gc
import os
import threading
import weakref
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import pytest

from storage.media import open_source
from storage.pictures import describe_image, read_image
from storage.planes import widened
from storage.sources import Frame, InputError, Patch, SourceInfo
from storage.stills import delivery_suffix, patch_image, write_image
from storage.urls import PlaceError, plain_errors

HEIGHT, WIDTH = 29, 43
KINDS = [
    (".png", "uint8", 8),
    (".png", "uint16", 16),
    (".tif", "uint8", 8),
    (".tif", "uint16", 16),
    (".tif", "float16", 16),
    (".tif", "float32", 32),
    (".exr", "float16", 16),
    (".exr", "float32", 32),
    (".dpx", "uint8", 8),
    (".dpx", "uint16", 10),
    (".dpx", "uint16", 12),
    (".dpx", "uint16", 16),
]


def noise(dtype: str, depth: int = 0, channels: int = 3, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shape = (HEIGHT, WIDTH, channels)
    if dtype.startswith("float"):
        values = rng.normal(0, 8, shape).astype(dtype)
        values[0, :4, 0] = [np.nan, np.inf, -np.inf, -0.0]
        return values
    return widened(rng.integers(0, 2**depth, shape).astype(dtype), depth)


def like(dtype: str, depth: int, suffix: str = "png") -> SourceInfo:
    return SourceInfo("sequence", "a", HEIGHT, WIDTH, 3, dtype, depth, pixel_format=suffix)


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def a_hole() -> np.ndarray:
    hole = np.zeros((HEIGHT, WIDTH), bool)
    hole[5:17, 9:30] = True
    return hole


def write_exr(
    path: Path, names: str, *, origin: tuple[int, int] = (0, 0), shown: tuple[int, int] = (43, 29)
) -> np.ndarray:
    """A half EXR with these one-letter channels and a data window at `origin` (x, y)."""
    pixels = noise("float16", channels=len(names))
    spec = oiio.ImageSpec(WIDTH, HEIGHT, len(names), "half")
    spec.channelnames = tuple(names)
    spec.x, spec.y = origin
    spec.full_width, spec.full_height = shown
    spec.attribute("shotName", "s010")
    image = oiio.ImageOutput.create(str(path))
    assert image.open(str(path), spec)
    assert image.write_image(pixels)
    image.close()
    return pixels


@pytest.mark.parametrize(("suffix", "dtype", "depth"), KINDS)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_an_image_written_is_read_back_bit_for_bit(
    tmp_path: Path, suffix: str, dtype: str, depth: int, channels: int
) -> None:
    if (suffix, depth, channels) == (".dpx", 10, 4):
        pytest.skip("refused, see below")
    pixels = noise(dtype, depth, channels)
    write_image(tmp_path / f"a{suffix}", pixels, like=like(dtype, depth))
    still, read = read_image(tmp_path / f"a{suffix}")
    assert still.bit_depth == depth
    assert same_bits(read, pixels)


@pytest.mark.parametrize(("suffix", "dtype", "depth"), KINDS)
def test_a_patched_image_changes_in_its_hole_alone(
    tmp_path: Path, suffix: str, dtype: str, depth: int
) -> None:
    old, new = noise(dtype, depth), noise(dtype, depth, seed=1)
    source, target = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    write_image(source, old, like=like(dtype, depth))
    patch_image(source, target, Patch(new, a_hole()))
    still, read = read_image(target)
    assert still == describe_image(source)
    assert same_bits(read, np.where(a_hole()[..., None], new, old))


def test_an_unpatched_image_is_the_same_file(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", noise("uint16", 16))
    patch_image(tmp_path / "a.png", tmp_path / "b.png", None)
    assert (tmp_path / "b.png").read_bytes() == (tmp_path / "a.png").read_bytes()


def test_colours_under_low_alpha_are_not_multiplied_by_it(tmp_path: Path) -> None:
    pixels = noise("uint8", 8, channels=4)
    pixels[..., 3] = 3
    for suffix in (".png", ".tif"):
        write_image(tmp_path / f"a{suffix}", pixels)
        patch = Patch(np.zeros_like(pixels), np.zeros((HEIGHT, WIDTH), bool))
        patch_image(tmp_path / f"a{suffix}", tmp_path / f"b{suffix}", patch)
        assert same_bits(read_image(tmp_path / f"b{suffix}")[1], pixels)


def test_further_channels_and_metadata_pass_through(tmp_path: Path) -> None:
    stored = write_exr(tmp_path / "a.exr", "RGBAZ")
    pixels = read_image(tmp_path / "a.exr")[1]
    assert same_bits(pixels, stored[..., :4])
    patch_image(tmp_path / "a.exr", tmp_path / "b.exr", Patch(np.ones_like(pixels), a_hole()))
    copy = oiio.ImageInput.open(str(tmp_path / "b.exr"))
    after = copy.read_image(0, 0, 0, 5, "half")
    assert copy.spec().getattribute("shotName") == "s010"
    assert same_bits(after[..., 4], stored[..., 4])
    assert (after[a_hole()][:, :4] == 1).all()


def test_an_exr_is_seen_through_its_display_window(tmp_path: Path) -> None:
    stored = write_exr(tmp_path / "a.exr", "RGB", origin=(10, -4), shown=(60, 40))
    pixels = read_image(tmp_path / "a.exr")[1]
    assert pixels.shape == (40, 60, 3)
    assert same_bits(pixels[:25, 10:53], np.ascontiguousarray(stored[4:]))
    assert not pixels[25:].any()
    assert not pixels[:, :10].any()


def test_a_hole_beyond_the_data_window_enlarges_it(tmp_path: Path) -> None:
    stored = write_exr(tmp_path / "a.exr", "RGB", origin=(10, -4), shown=(60, 40))
    before = read_image(tmp_path / "a.exr")[1]
    hole = np.zeros((40, 60), bool)
    hole[20:39, 2:20] = True
    patch_image(tmp_path / "a.exr", tmp_path / "b.exr", Patch(np.full_like(before, 2), hole))
    after = read_image(tmp_path / "b.exr")[1]
    assert same_bits(after, np.where(hole[..., None], np.float16(2), before))
    copy = oiio.ImageInput.open(str(tmp_path / "b.exr"))
    assert (copy.spec().x, copy.spec().y) == (2, -4)
    overscan = copy.read_image(0, 0, 0, 3, "half")[:4, 8 : 8 + WIDTH]
    assert same_bits(np.ascontiguousarray(overscan), np.ascontiguousarray(stored[:4]))


def test_lossy_compression_inside_a_format_becomes_lossless(tmp_path: Path) -> None:
    spec = oiio.ImageSpec(WIDTH, HEIGHT, 3, "half")
    spec.attribute("compression", "dwaa:45")
    image = oiio.ImageOutput.create(str(tmp_path / "a.exr"))
    assert image.open(str(tmp_path / "a.exr"), spec)
    assert image.write_image(np.abs(np.nan_to_num(noise("float16"), posinf=1, neginf=1)))
    image.close()
    old = read_image(tmp_path / "a.exr")[1]
    patch_image(tmp_path / "a.exr", tmp_path / "b.exr", Patch(np.zeros_like(old), a_hole()))
    assert same_bits(read_image(tmp_path / "b.exr")[1][~a_hole()], old[~a_hole()])


def test_a_jpeg_is_delivered_as_png_with_its_decoded_pixels(tmp_path: Path) -> None:
    write_image(tmp_path / "a.jpg", noise("uint8", 8))
    source = open_source(str(tmp_path / "a.jpg"))
    (frame,) = source.frames()
    assert delivery_suffix(source.info) == ".png"
    patch_image(tmp_path / "a.jpg", tmp_path / "b.png", None)
    assert same_bits(read_image(tmp_path / "b.png")[1], frame.pixels)


@pytest.mark.parametrize(
    ("name", "dtype", "channels"),
    [("a.png", "float16", 3), ("a.exr", "uint8", 3), ("a.jpg", "uint16", 3), ("a.xyz", "uint8", 3)],
)
def test_a_format_that_cannot_hold_the_samples_is_refused_naming_others(
    tmp_path: Path, name: str, dtype: str, channels: int
) -> None:
    pixels = np.zeros((HEIGHT, WIDTH, channels), dtype)
    with pytest.raises(InputError, match=rf"cannot hold {dtype}: choose one of .*\.tif"):
        write_image(tmp_path / name, pixels)


@pytest.mark.parametrize(("stated", "rate"), [(23.976, Fraction(24000, 1001)), (24, 24), (0, None)])
def test_the_rate_that_a_dpx_states_is_taken_exactly(
    tmp_path: Path, stated: float, rate: Fraction | None
) -> None:
    spec = oiio.ImageSpec(WIDTH, HEIGHT, 3, "uint8")
    spec.attribute("dpx:FrameRate", float(stated))
    writer = oiio.ImageOutput.create("dpx")
    assert writer.open(str(tmp_path / "a.dpx"), spec)
    assert writer.write_image(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    writer.close()
    assert describe_image(tmp_path / "a.dpx").fps == rate


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no disk that is always full")
@pytest.mark.parametrize("suffix", [".png", ".tif", ".exr", ".dpx"])
def test_a_disk_that_is_full_is_told_of(tmp_path: Path, suffix: str) -> None:
    pixels = np.zeros((20, 30, 3), np.float16 if suffix == ".exr" else np.uint8)
    (tmp_path / f"full{suffix}").symlink_to("/dev/full")
    write_image(tmp_path / f"a{suffix}", pixels)
    for write in (
        lambda target: write_image(target, pixels),
        lambda target: patch_image(tmp_path / f"a{suffix}", target, None),
    ):
        with (
            pytest.raises(PlaceError, match=r"^/the/delivery: the disk is full"),
            plain_errors("/the/delivery"),
        ):
            write(tmp_path / f"full{suffix}")


def test_a_dpx_file_states_its_own_name(tmp_path: Path) -> None:
    write_image(tmp_path / "a.0001.dpx", np.zeros((20, 30, 3), np.uint16))
    assert (tmp_path / "a.0001.dpx").read_bytes()[36:136].rstrip(b"\0") == b"a.0001.dpx"


def test_10_bit_dpx_with_alpha_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="10-bit DPX with alpha"):
        write_image(tmp_path / "a.dpx", noise("uint16", 10, 4), like=like("uint16", 10))


def write_frames(folder: Path, numbers: list[int], name: str = "plate.{:04d}.png") -> Path:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        write_image(folder / name.format(number), np.full((6, 8, 3), number % 256, np.uint8))
    return folder


def test_a_sequence_is_found_by_folder_pattern_or_glob(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "in", [998, 999, 1000, 1001, 1002])
    (folder / ".hidden.0001.png").write_bytes(b"")
    (folder / "notes.txt").write_text("shot 12")
    for name in ("", "plate.####.png", "plate.%04d.png", "plate.%d.png", "*.png"):
        source = open_source(str(folder / name), fps=Fraction(24))
        frames = list(source.frames())
        assert [frame.number for frame in frames] == [998, 999, 1000, 1001, 1002]
        assert [frame.pixels[0, 0, 0] for frame in frames] == [n % 256 for n in range(998, 1003)]
        assert (source.info.first_number, source.info.count, source.info.fps) == (998, 5, 24)


def test_frames_are_ordered_by_number_not_by_name(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "in", [8, 9, 10, 11], "f{}.png")
    assert [frame.number for frame in open_source(str(folder)).frames()] == [8, 9, 10, 11]


def test_a_pattern_says_which_digits_count(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "in", [1, 2], "plate_{:03d}_v12.png")
    source = open_source(str(folder / "plate_###_v12.png"))
    assert [frame.number for frame in source.frames()] == [1, 2]


def test_one_image_is_a_sequence_of_one_frame_with_its_number(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "in", [41, 42, 43])
    (frame,) = open_source(str(folder / "plate.0042.png")).frames()
    assert (frame.number, frame.pixels[0, 0, 0]) == (42, 42)


def test_a_range_of_a_sequence_is_read(tmp_path: Path) -> None:
    source = open_source(str(write_frames(tmp_path / "in", list(range(10, 20)))))
    assert [frame.number for frame in source.frames(12, 14)] == [12, 13, 14]
    with pytest.raises(InputError, match="has frames 10 to 19, frames 12 to 20 were asked for"):
        list(source.frames(12, 20))


def test_a_gap_in_the_numbers_is_refused_naming_the_frame(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "in", [1, 2, 4])
    with pytest.raises(InputError, match="frame 3 is missing after"):
        open_source(str(folder))


def test_two_sequences_in_a_folder_are_refused_naming_both(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "in", [1, 2])
    write_frames(folder, [1, 2], "matte.{:04d}.png")
    with pytest.raises(InputError, match=r"2 sequences \(matte\.####\.png, plate\.####\.png\)"):
        open_source(str(folder))


@pytest.mark.parametrize("name", ["", "plate.####.png", "plate.%d.png", "*.png"])
def test_two_files_of_one_number_are_refused(tmp_path: Path, name: str) -> None:
    folder = write_frames(tmp_path / "in", [1, 2])
    write_frames(folder, [2], "plate.{:05d}.png")
    with pytest.raises(InputError, match="have the same number"):
        open_source(str(folder / name))


def test_a_folder_that_is_there_is_no_part_of_a_glob(tmp_path: Path) -> None:
    write_frames(tmp_path / "show 1", [7, 8])
    folder = write_frames(tmp_path / "show [1]", [1, 2, 3])
    for name, count in (("*.png", 3), ("plate.000[12].png", 2)):
        assert open_source(str(folder / name)).count() == count
    assert open_source(str(tmp_path / "show ?" / "*.png")).count() == 2
    with pytest.raises(InputError, match=r"show \[1\]/a\.mov: no such file"):
        open_source(str(folder / "a.mov"))


def test_a_frame_that_is_a_link_to_nowhere_is_named(tmp_path: Path) -> None:
    source = open_source(str(write_frames(tmp_path / "in", [1, 2, 3])))
    (tmp_path / "in" / "plate.0002.png").unlink()
    (tmp_path / "in" / "plate.0002.png").symlink_to("/nowhere/x.png")
    for look in (source.fingerprint, lambda: list(source.frames())):
        with pytest.raises(InputError, match=r"plate\.0002\.png: .*[Nn]o such file"):
            look()


@pytest.mark.parametrize("name", ["nothing", "in", "in/plate.####.png", "in/*.png", "no/a.##.png"])
def test_nothing_to_read_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(InputError) as refusal:
        open_source(str(tmp_path / name))
    assert str(tmp_path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "odd",
    [
        np.zeros((6, 9, 3), np.uint8),
        np.zeros((6, 8, 1), np.uint8),
        np.zeros((6, 8, 3), np.uint16),
    ],
)
def test_a_frame_unlike_the_first_is_refused_by_name(tmp_path: Path, odd: np.ndarray) -> None:
    folder = write_frames(tmp_path / "in", [1, 2, 3])
    write_image(folder / "plate.0003.png", odd)
    with pytest.raises(InputError, match=r"plate\.0003\.png: frame 3 is .* the first is 8×6"):
        list(open_source(str(folder)).frames())


def test_a_frame_of_another_bit_depth_is_refused_saying_both(tmp_path: Path) -> None:
    for number, depth in enumerate((10, 16)):
        pixels = noise("uint16", depth)
        write_image(tmp_path / f"a.{number}.dpx", pixels, like=like("uint16", depth, "dpx"))
    with pytest.raises(InputError, match=r"uint16 of 16 bits, the first is .* of 10 bits"):
        list(open_source(str(tmp_path)).frames())


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".exr", ".dpx"])
def test_an_image_cut_short_is_refused_by_name(tmp_path: Path, suffix: str) -> None:
    pixels = noise("float16") if suffix == ".exr" else noise("uint8", 8)
    path = tmp_path / f"plate.0001{suffix}"
    write_image(path, pixels)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    with pytest.raises(InputError, match=r"plate\.0001\.\w+ (is damaged|cannot be read)"):
        list(open_source(str(path)).frames())


def test_channels_without_colour_names_are_refused_listing_them(tmp_path: Path) -> None:
    write_exr(tmp_path / "a.exr", "UVW")
    with pytest.raises(InputError, match="has the channels U, V, W"):
        open_source(str(tmp_path / "a.exr"))


def test_a_changed_file_changes_the_fingerprint_and_the_digest(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "in", [1, 2])
    before = open_source(str(folder))
    kept = (before.fingerprint(), before.sha256())
    assert kept == (open_source(str(folder)).fingerprint(), open_source(str(folder)).sha256())
    write_image(folder / "plate.0002.png", noise("uint8", 8))
    assert open_source(str(folder)).fingerprint() != kept[0]
    assert open_source(str(folder)).sha256() != kept[1]


def test_real_stills_come_back_bit_for_bit_outside_the_hole(clips: Path, tmp_path: Path) -> None:
    for path in sorted((clips / "io").iterdir()):
        if path.suffix not in (".exr", ".dpx", ".cin", ".tif", ".png") or "32.tif" in path.name:
            continue
        source = open_source(str(path))
        (frame,) = source.frames()
        hole = np.zeros(frame.pixels.shape[:2], bool)
        hole[3:20, 5:41] = True
        target = tmp_path / f"out{delivery_suffix(source.info)}"
        patch_image(path, target, Patch(frame.pixels[::-1, ::-1], hole))
        wanted = np.where(hole[..., None], frame.pixels[::-1, ::-1], frame.pixels)
        assert same_bits(read_image(target)[1], wanted)


def test_what_is_left_of_a_torn_sequence_needs_no_garbage_collector(tmp_path):
    for name in ("a", "b"):
        for number in range(6):
            write_image(tmp_path / f"{name}.{number}.png", np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "b.2.png").write_bytes(b"torn")

    def read() -> weakref.ref[Iterator[Frame]]:
        whole, torn = (open_source(str(tmp_path / f"{name}.%d.png")).frames() for name in "ab")
        with contextlib.suppress(InputError):
            for _ in zip(whole, torn, strict=True):
                pass
        return weakref.ref(whole)

    gc.disable()
    try:
        assert read()() is None
    finally:
        gc.enable()


def test_a_sequence_left_while_a_file_is_read_waits_for_no_file(tmp_path, monkeypatch):
    for number in range(4):
        write_image(tmp_path / f"a.{number}.png", np.zeros((8, 8, 3), np.uint8))
    frames = open_source(str(tmp_path / "a.%d.png")).frames()
    begun, let_go = threading.Event(), threading.Event()

    def slow(path):
        if not path.endswith("a.0.png"):
            begun.set()
            let_go.wait(10)
        return read_image(path)

    monkeypatch.setattr("storage.images.read_image", slow)
    next(frames)
    assert begun.wait(10)
    leaving = threading.Thread(target=frames.close)
    leaving.start()
    leaving.join(5)
    assert not leaving.is_alive()
    let_go.set()
