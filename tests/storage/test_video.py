from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from storage.companions import advanced_timecode
from storage.media import open_source
from storage.movie_copy import patch_movie
from storage.movie_writer import MovieWriter
from storage.planes import component_views, footprint, narrowed, widened
from storage.sources import InputError, Patch, SourceInfo
from storage.video import Movie

RATE = Fraction(24000, 1001)
TICK = Fraction(1, 24000)


def planes_of(movie: Movie) -> Iterator[list[np.ndarray]]:
    planes = movie.planes()
    for _, frame in movie.decoded():
        yield [view.copy() for view in component_views(planes.planar(frame))]


def make_movie(
    path: Path,
    *,
    pixel_format: str = "yuv420p",
    size: tuple[int, int] = (64, 48),
    times: list[int] | None = None,
    codec: str = "libx264",
    rotation: int = 0,
    sound: bool = False,
    tags: int = 1,
    options: dict[str, str] | None = None,
) -> Path:
    """A short noisy movie; `times` are presentation times in ticks of 1/24000 s."""
    rng = np.random.default_rng(7)
    times = times or [1001 * t for t in range(8)]
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=RATE, options={"crf": "20", **(options or {})})
        video.width, video.height, video.pix_fmt = *size, pixel_format
        video.codec_context.time_base = video.time_base = TICK
        video.codec_context.colorspace = video.codec_context.color_primaries = tags
        video.codec_context.color_trc, video.codec_context.color_range = tags, 1
        if rotation:
            video.set_display_rotation(rotation)
        audio = container.add_stream("aac", rate=48000, layout="mono") if sound else None
        for pts in times:
            frame = av.VideoFrame(*size, pixel_format)
            for view in component_views(frame):
                smooth = np.linspace(60, 180, view.size).reshape(view.shape)
                noisy = smooth + rng.integers(0, 40, view.shape)
                view[:] = noisy * (4 if view.dtype == np.uint16 else 1)
            frame.pts, frame.time_base = pts, TICK
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            for t in range(20):
                wave = rng.normal(0, 0.1, (1, 1024)).astype(np.float32)
                chunk = av.AudioFrame.from_ndarray(wave, "fltp", "mono")
                chunk.sample_rate, chunk.pts = 48000, 1024 * t
                container.mux(audio.encode(chunk))
            container.mux(audio.encode(None))
    return path


def scramble(path: Path, numbers: range) -> None:
    """Overwrite 20 bytes of some of a movie's packets."""
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(container.streams.video[0]) if p.size]
    data, rng = bytearray(path.read_bytes()), np.random.default_rng(0)
    for packet in packets[numbers.start : numbers.stop]:
        assert packet.pos is not None
        part = packet.pos + packet.size // 3
        data[part : part + 20] = rng.bytes(20)
    path.write_bytes(data)


def packets_of(path: Path, kind: str) -> list[tuple[Fraction, bytes]]:
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[0]
        packets = [p for p in container.demux(stream) if p.size and p.pts is not None]
        return [(p.pts * p.time_base, bytes(p)) for p in packets]


def delivered(movie: Movie, target: Path, hole: np.ndarray, value: int, **options: object) -> Movie:
    """The movie with `value` in every hole, written to `target`."""

    def patches() -> Iterator[Patch]:
        for frame in movie.frames(options.get("first"), options.get("last")):  # type: ignore[arg-type]
            yield Patch(np.full_like(frame.pixels, value), hole)

    assert list(patch_movie(movie, target, patches(), **options))  # type: ignore[arg-type]
    return Movie(target)


@pytest.mark.parametrize(
    ("pixel_format", "codec", "size"),
    [
        ("yuv420p", "libx264", (64, 48)),
        ("yuv422p10le", "libx264", (64, 48)),
        ("yuv420p10le", "libx265", (64, 64)),
        ("yuv444p", "libx264", (43, 29)),
        ("gray10le", "ffv1", (64, 48)),
        ("yuv420p", "ffv1", (43, 29)),
        ("yuva444p10le", "prores_ks", (64, 48)),
        ("gbrp10le", "ffv1", (43, 29)),
        ("nv12", "rawvideo", (64, 48)),
    ],
)
def test_a_lossless_copy_changes_no_sample_outside_the_holes_footprint(
    tmp_path: Path, pixel_format: str, codec: str, size: tuple[int, int]
) -> None:
    suffix = "mov" if codec in ("libx264", "prores_ks", "libx265") else "mkv"
    source = make_movie(tmp_path / f"a.{suffix}", pixel_format=pixel_format, codec=codec, size=size)
    movie = Movie(source)
    hole = np.zeros((movie.info.height, movie.info.width), bool)
    hole[11:20, 7:24] = True
    copy = delivered(movie, tmp_path / "b.mkv", hole, 200)
    assert (copy.info.bit_depth, copy.info.channels) == (movie.info.bit_depth, movie.info.channels)
    pairs = list(zip(planes_of(movie), planes_of(copy), strict=True))
    assert len(pairs) == 8
    for before, after in pairs:
        for old, new in zip(before, after, strict=True):
            touched = footprint(hole, old.shape)
            assert np.array_equal(old[~touched], new[~touched])
        assert not np.array_equal(before[0][hole], after[0][hole])


def test_a_movie_copied_without_patches_is_the_same_movie(tmp_path: Path) -> None:
    movie = Movie(make_movie(tmp_path / "a.mp4"))
    assert list(patch_movie(movie, tmp_path / "b.mkv", [None] * 8)) == list(range(1, 9))
    copy = Movie(tmp_path / "b.mkv")
    assert (copy.info.fps, copy.info.colour) == (movie.info.fps, movie.info.colour)
    for old, new in zip(planes_of(movie), planes_of(copy), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(old, new, strict=True))


def test_what_is_painted_into_a_hole_is_shown_there(tmp_path: Path) -> None:
    movie = Movie(make_movie(tmp_path / "a.mp4", pixel_format="yuv420p10le"))
    hole = np.zeros((48, 64), bool)
    hole[8:24, 8:40] = True
    colour = np.array([50000, 20000, 9000], np.uint16)
    patches = [Patch(np.broadcast_to(colour, (48, 64, 3)), hole)] * 8
    list(patch_movie(movie, tmp_path / "b.mkv", patches))
    shown = next(Movie(tmp_path / "b.mkv").frames()).pixels[12:20, 12:36].astype(int)
    assert np.abs(shown - colour).mean(axis=(0, 1)).max() <= 2 * 64  # two codes of 10 bits


@pytest.mark.parametrize("place", ["left", "topleft", "center"])
def test_chroma_samples_stay_in_their_place(tmp_path: Path, place: str) -> None:
    source = make_movie(tmp_path / "a.mp4", options={"chroma_sample_location": place})
    list(patch_movie(Movie(source), tmp_path / "b.mkv", [None] * 8))
    movies = Movie(source), Movie(tmp_path / "b.mkv")
    assert [movie.probe.chroma_place for movie in movies] == [place, place]
    for before, after in zip(*(movie.frames() for movie in movies), strict=True):
        assert np.array_equal(before.pixels, after.pixels)


def test_a_movie_made_of_rgb_says_where_its_chroma_sits(tmp_path: Path) -> None:
    info = SourceInfo("sequence", "a", 48, 64, 3, "uint8", 8, fps=RATE)
    with MovieWriter(tmp_path / "a.mp4", info) as writer:
        writer.write(np.zeros((48, 64, 3), np.uint8))
    assert Movie(tmp_path / "a.mp4").probe.chroma_place == "center"


def test_variable_frame_times_come_back_to_the_tick(tmp_path: Path) -> None:
    times = [0, 1001, 2500, 2600, 6006, 7007, 9999, 12000]
    movie = Movie(make_movie(tmp_path / "a.mp4", times=times))
    assert [frame.pts for frame in movie.frames()] == times
    copy = delivered(movie, tmp_path / "b.mp4", np.ones((48, 64), bool), 9)
    assert copy.info.time_base == movie.info.time_base
    assert [frame.pts for frame in copy.frames()] == times
    in_ms = delivered(movie, tmp_path / "c.mkv", np.ones((48, 64), bool), 9)
    assert [frame.pts for frame in in_ms.frames()] == [round(t * TICK * 1000) for t in times]


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_rotated_movie_is_shown_upright_and_delivered_rotated(
    tmp_path: Path, rotation: int
) -> None:
    upright = Movie(make_movie(tmp_path / "a.mp4"))
    movie = Movie(make_movie(tmp_path / "r.mp4", rotation=rotation))
    straight, turned = next(upright.frames()).pixels, next(movie.frames()).pixels
    assert np.array_equal(np.rot90(straight, rotation // 90), turned)
    assert turned.shape == (movie.info.height, movie.info.width, 3)
    hole = np.zeros(turned.shape[:2], bool)
    hole[3:9, 5:13] = True
    copy = delivered(movie, tmp_path / "b.mkv", hole, 255)
    assert copy.info.rotation == rotation
    for old, new in zip(next(planes_of(movie)), next(planes_of(copy)), strict=True):
        touched = footprint(np.rot90(hole, -rotation // 90), old.shape)
        assert np.array_equal(old[~touched], new[~touched])
    assert next(copy.frames()).pixels[4:8, 7:11].min() > 220


def test_sound_is_passed_through_bit_for_bit_and_in_sync(tmp_path: Path) -> None:
    movie = Movie(make_movie(tmp_path / "a.mp4", sound=True))
    assert movie.info.audio
    list(patch_movie(movie, tmp_path / "b.mp4", [None] * 8))
    assert packets_of(tmp_path / "b.mp4", "audio") == packets_of(movie_path(movie), "audio")


def movie_path(movie: Movie) -> Path:
    return Path(movie.path)


def test_a_range_is_delivered_with_its_own_stretch_of_sound(tmp_path: Path) -> None:
    movie = Movie(make_movie(tmp_path / "a.mp4", sound=True))
    list(patch_movie(movie, tmp_path / "b.mp4", [None] * 3, first=3, last=5))
    copy = Movie(tmp_path / "b.mp4")
    assert [frame.pts for frame in copy.frames()] == [0, 1001, 2002]
    start, end = 3 * 1001 * TICK, 6 * 1001 * TICK
    wanted = [data for time, data in packets_of(movie_path(movie), "audio") if start <= time < end]
    kept = packets_of(tmp_path / "b.mp4", "audio")
    assert [data for _, data in kept] == wanted
    assert 0 <= kept[0][0] < Fraction(1024, 48000)


def test_a_frame_read_alone_is_the_frame_read_in_passing(tmp_path: Path) -> None:
    movie = Movie(make_movie(tmp_path / "a.mp4", times=[1001 * t for t in range(80)]))
    whole = {frame.number: frame.pixels for frame in movie.frames()}
    for number in (0, 1, 37, 78, 79):
        (alone,) = movie.frames(number, number)
        assert alone.number == number
        assert np.array_equal(alone.pixels, whole[number])


def test_frames_that_a_movie_lacks_are_refused_by_number(tmp_path: Path) -> None:
    movie = Movie(make_movie(tmp_path / "a.mp4"))
    with pytest.raises(InputError, match=r"has frames 0 to 7, frames 5 to 8 were asked for"):
        list(movie.frames(5, 8))


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format", "last", "named"),
    [
        ("a.mp4", "libx264", "yuv420p", 19, r"1\d"),
        ("a.mov", "mjpeg", "yuvj420p", 10, "10"),
        ("a.mkv", "ffv1", "yuv420p", 10, "10"),
    ],
)
def test_a_damaged_frame_is_named(
    tmp_path: Path, name: str, codec: str, pixel_format: str, last: int, named: str
) -> None:
    path = tmp_path / name
    times = [1001 * t for t in range(30)]
    make_movie(path, codec=codec, pixel_format=pixel_format, size=(320, 256), times=times)
    scramble(path, range(10, last + 1))
    with pytest.raises(InputError, match=rf"a\.\w+: frame {named} cannot be decoded .*: repair"):
        list(Movie(path).frames())


def test_frames_after_a_damaged_one_are_read(tmp_path: Path) -> None:
    times = [1001 * t for t in range(30)]
    path = make_movie(tmp_path / "a.nut", codec="ffv1", times=times, options={"g": "1"})
    written = [frame.pixels for frame in Movie(path).frames(12, 29)]
    scramble(path, range(10, 11))
    read = [frame.pixels for frame in Movie(path).frames(12, 29)]
    assert all(np.array_equal(a, b) for a, b in zip(written, read, strict=True))


@pytest.mark.parametrize("options", [{"level": "1"}, {"level": "3", "slicecrc": "0"}])
def test_a_movie_without_checksums_is_read(tmp_path: Path, options: dict[str, str]) -> None:
    path = make_movie(tmp_path / "a.mkv", codec="ffv1", options=options)
    assert len(list(Movie(path).frames())) == 8


def test_a_movie_cut_short_is_refused(tmp_path: Path) -> None:
    whole = make_movie(tmp_path / "a.mkv", codec="ffv1", times=[1001 * t for t in range(24)])
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(InputError, match=r"cut short after frame \d+"):
        list(Movie(cut).frames())
    mp4 = make_movie(tmp_path / "a.mp4")
    (tmp_path / "cut.mp4").write_bytes(mp4.read_bytes()[:-800])
    with pytest.raises(InputError, match="cut short"):
        list(Movie(tmp_path / "cut.mp4").frames())


def test_a_movie_whose_frames_change_size_is_refused_at_the_frame(tmp_path: Path) -> None:
    streams = b"".join(
        make_movie(tmp_path / f"{width}.h264", size=(width, 48)).read_bytes() for width in (64, 80)
    )
    (tmp_path / "both.h264").write_bytes(streams)
    with pytest.raises(InputError, match=r"frame 8 is 80×48 yuv420p, the first is 64×48"):
        list(Movie(tmp_path / "both.h264").frames())


def test_a_file_that_is_no_movie_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("not a movie")
    for name in ("a.mp4", "absent.mp4"):
        with pytest.raises(InputError) as refusal:
            Movie(tmp_path / name)
        assert name in str(refusal.value)
        assert "\n" not in str(refusal.value)


def test_a_stream_that_is_not_video_is_refused_naming_those_that_are(tmp_path: Path) -> None:
    path = make_movie(tmp_path / "a.mp4", sound=True)
    with pytest.raises(InputError, match=r"stream 1 is not video; video streams are \[0\]"):
        Movie(path, stream=1)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(("dtype", "depth"), [("uint8", 8), ("uint16", 10), ("uint16", 16)])
def test_a_frame_written_to_ffv1_is_read_back_bit_for_bit(
    tmp_path: Path, channels: int, dtype: str, depth: int
) -> None:
    rng = np.random.default_rng(1)
    samples = rng.integers(0, 2**depth, (3, 29, 43, channels)).astype(dtype)
    frames = samples if depth == 8 else widened(samples, depth)
    info = SourceInfo("sequence", "a", 29, 43, channels, dtype, depth, fps=RATE)
    with MovieWriter(tmp_path / "a.mkv", info) as writer:
        for frame in frames:
            writer.write(frame)
    movie = Movie(tmp_path / "a.mkv")
    assert (movie.info.fps, movie.info.bit_depth) == (RATE, depth)
    assert np.array_equal(np.stack([frame.pixels for frame in movie.frames()]), frames)


@pytest.mark.parametrize(
    ("size", "dtype", "wanted"),
    [
        ((64, 48), "uint8", "yuv420p"),
        ((43, 29), "uint8", "yuv444p"),
        ((64, 48), "uint16", "yuv420p10le"),
    ],
)
def test_a_sequence_becomes_a_movie_every_player_shows(
    tmp_path: Path, size: tuple[int, int], dtype: str, wanted: str
) -> None:
    full = np.iinfo(dtype).max
    info = SourceInfo("sequence", "a", size[1], size[0], 3, dtype, full.bit_length(), fps=RATE)
    flat = np.full((size[1], size[0], 3), np.array([0.8, 0.3, 0.1]) * full, dtype)
    with MovieWriter(tmp_path / "a.mp4", info) as writer:
        for _ in range(5):
            writer.write(flat)
    movie = Movie(tmp_path / "a.mp4")
    assert (movie.info.pixel_format, movie.info.fps) == (wanted, RATE)
    assert movie.info.colour["matrix"] == movie.info.colour["primaries"] == "bt709"
    shown = [frame.pixels for frame in movie.frames()]
    assert len(shown) == 5
    assert np.abs(shown[2].astype(int) - flat).max() <= full / 80


def test_an_rgb_movie_delivered_as_yuv_keeps_its_colours(tmp_path: Path) -> None:
    info = SourceInfo("sequence", "a", 48, 64, 3, "uint8", 8, fps=RATE)
    flat = np.full((48, 64, 3), [200, 90, 30], np.uint8)
    with MovieWriter(tmp_path / "a.mkv", info) as writer:
        writer.write(flat)
    list(patch_movie(Movie(tmp_path / "a.mkv"), tmp_path / "b.mp4", [None]))
    (shown,) = Movie(tmp_path / "b.mp4").frames()
    assert np.abs(shown.pixels.astype(int) - flat).max() <= 3


def test_a_movie_of_floats_or_without_a_rate_is_refused(tmp_path: Path) -> None:
    floats = SourceInfo("sequence", "plates", 8, 8, 3, "float16", 16, fps=RATE)
    with pytest.raises(InputError, match="plates has float16 frames"):
        MovieWriter(tmp_path / "a.mkv", floats)
    no_rate = SourceInfo("sequence", "plates", 8, 8, 3, "uint8", 8)
    with pytest.raises(InputError, match="plates states no frame rate"):
        MovieWriter(tmp_path / "a.mkv", no_rate)


@pytest.mark.parametrize(("name", "codec"), [("a.avi", None), ("a.mp4", "ffv1"), ("a.mkv", "x")])
def test_a_container_or_codec_that_cannot_serve_is_refused(
    tmp_path: Path, name: str, codec: str | None
) -> None:
    info = SourceInfo("sequence", "plates", 8, 8, 3, "uint8", 8, fps=RATE)
    with pytest.raises(InputError):
        MovieWriter(tmp_path / name, info, codec=codec)


@pytest.mark.parametrize("bits", [9, 10, 12, 14])
def test_every_code_survives_widening_to_16_bits(bits: int) -> None:
    codes = np.arange(2**bits, dtype=np.uint16)
    wide = widened(codes, bits)
    assert (wide[0], wide[-1]) == (0, 65535)
    assert np.array_equal(narrowed(wide, bits), codes)


@pytest.mark.parametrize(
    ("code", "frames", "rate", "later"),
    [
        ("01:00:00:00", 25, Fraction(25), "01:00:01:00"),
        ("00:59:59:23", 1, RATE, "01:00:00:00"),
        ("23:59:59:24", 1, Fraction(25), "00:00:00:00"),
        ("00:00:59;29", 1, Fraction(30000, 1001), "00:01:00;02"),
        ("00:09:59;29", 1, Fraction(30000, 1001), "00:10:00;00"),
        ("00:00:00;00", 17982, Fraction(30000, 1001), "00:10:00;00"),
        ("00:00:59;59", 1, Fraction(60000, 1001), "00:01:00;04"),
    ],
)
def test_time_code_moves_on_by_frames(code: str, frames: int, rate: Fraction, later: str) -> None:
    assert advanced_timecode(code, frames, rate) == later


def test_a_stretch_begins_with_its_own_time_code(tmp_path: Path) -> None:
    info = SourceInfo("sequence", "a", 16, 16, 3, "uint8", 8, fps=RATE, timecode="10:00:00:00")
    with MovieWriter(tmp_path / "a.mov", info) as writer:
        for _ in range(6):
            writer.write(np.zeros((16, 16, 3), np.uint8))
    movie = Movie(tmp_path / "a.mov")
    list(patch_movie(movie, tmp_path / "b.mov", [None, None], first=4, last=5))
    assert (movie.info.timecode, Movie(tmp_path / "b.mov").info.timecode) == (
        "10:00:00:00",
        "10:00:00:04",
    )


REFUSED = {
    "corrupted.mp4": "frame 30 cannot be decoded",
    "flower-rgb-contig-32.tif": "has uint samples",
}


def test_every_awkward_file_is_read_whole_or_refused_with_a_reason(clips: Path) -> None:
    for path in sorted((clips / "io").iterdir()):
        if reason := REFUSED.get(path.name):
            with pytest.raises(InputError, match=reason):
                list(open_source(str(path)).frames())
            continue
        source = open_source(str(path))
        read = sum(1 for frame in source.frames() if frame.pixels.dtype == source.info.dtype)
        assert read == source.count() == (source.info.count or read)


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("video_90.mov", {"rotation": 270, "height": 568, "width": 320}),
        ("h265_10bits.mp4", {"bit_depth": 10, "dtype": "uint16", "count": 30}),
        ("nasa_13013.mp4", {"stream": 3, "fps": Fraction(30000, 1001), "count": 390}),
        ("vfr_cat_audio.mp4", {"time_base": Fraction(1, 600), "audio": True}),
    ],
)
def test_a_real_movie_says_what_it_is(clips: Path, name: str, facts: dict[str, object]) -> None:
    info = Movie(clips / "io" / name).info
    assert {key: getattr(info, key) for key in facts} == facts
