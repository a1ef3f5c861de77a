"""What a place cannot take is refused before any work, by the name that was given."""

import errno
from pathlib import Path

import av
import numpy as np
import pytest
from storage_fakes import noise

from storage.deliverable import check_apart, check_result, files_of
from storage.media import open_source
from storage.sources import InputError
from storage.stills import write_image
from storage.targets import Target


def movie(path: Path, sound: str | None = None) -> str:
    """Write four frames of 64×48, and silence in a codec."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = sound and container.add_stream(sound, rate=48000, layout="mono")
        for pixels in noise(4, 48, 64, 3):
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(video.encode(None))
        if audio:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.int16), "s16", "mono")
            silence.rate, silence.pts = 48000, 0
            container.mux(audio.encode(silence))
            container.mux(audio.encode(None))
    return str(path)


def images(folder: Path, suffix: str, dtype: str = "uint8") -> str:
    folder.mkdir()
    for number in (1, 2):
        write_image(folder / f"plate.{number:04d}{suffix}", np.zeros((20, 30, 3), dtype))
    return str(folder)


@pytest.mark.parametrize(
    ("suffix", "dtype", "name", "codec", "message"),
    [
        (".png", "uint8", "o.webm", None, r"/o\.webm: movies are written as \.mkv, \.mp4"),
        (".png", "uint8", "o.avi", "ffv1", r"/o\.avi: movies are written as"),
        (".png", "uint8", "o.mp4", "prores", r"/o\.mp4: \.mp4 cannot hold prores, \.mkv can"),
        (".exr", "float16", "o.mov", None, "has float16 frames, a movie cannot: deliver as EXR"),
        (".exr", "float16", "e.%04d.png", None, r"/e\.%04d\.png: .* cannot hold float16: .*\.exr"),
        (".tif", "float32", "e.####.dpx", None, r"/e\.####\.dpx: this format cannot hold float32"),
    ],
)
def test_a_format_that_cannot_hold_a_result_is_refused(
    suffix, dtype, name, codec, message, tmp_path
):
    source = open_source(images(tmp_path / "plate", suffix, dtype))
    with pytest.raises(InputError, match=message):
        check_result(source, Target.of(tmp_path / name), codec)


def test_sound_that_the_container_cannot_hold_is_refused_and_nothing_is_made(tmp_path):
    source = open_source(movie(tmp_path / "plate.mov", "pcm_s16le"))
    for name in ("o.mov", "o.mkv", "o.%04d.png"):
        check_result(source, Target.of(tmp_path / name), None)
    with pytest.raises(InputError, match=r"/o\.m4v cannot hold the pcm_s16le sound of .*plate"):
        check_result(source, Target.of(tmp_path / "o.m4v"), None)
    assert [path.name for path in tmp_path.iterdir()] == ["plate.mov"]


@pytest.mark.parametrize(
    "name",
    [
        *("plate", "plate/plate.%04d.png", "plate/new.%04d.png", "movie.mov"),
        *("link", "link/plate.####.png"),
    ],
)
def test_what_is_read_is_not_written_over(name, tmp_path):
    read = [images(tmp_path / "plate", ".png"), movie(tmp_path / "movie.mov")]
    (tmp_path / "link").symlink_to("plate")
    files = [file for path in read for file in files_of(open_source(path))]
    target = Target.of(tmp_path / name)
    with pytest.raises(InputError, match="is read from there; choose another place"):
        check_apart(target, target.names([1, 2]), files)


@pytest.mark.parametrize("name", [".", "new", "plate/new.%04d.png", "plate/plate.%d.png", "o.mov"])
def test_what_is_read_may_lie_beside_what_is_written(name, tmp_path):
    images(tmp_path / "plate", ".png")
    read = [str(tmp_path / "plate" / "plate.####.png"), movie(tmp_path / "movie.mov")]
    files = [file for path in read for file in files_of(open_source(path))]
    target = Target.of(tmp_path / name)
    check_apart(target, target.names([1, 2]), files)


def test_a_refusal_of_the_hidden_folder_names_the_target(tmp_path):
    target = Target.of(tmp_path / "o.mkv")
    with pytest.raises(PermissionError) as refused, target.being_written() as folder:
        raise PermissionError(errno.EACCES, "Permission denied", str(folder / "o.mkv"))
    assert refused.value.filename == str(target.path)
    assert not list(tmp_path.iterdir())
