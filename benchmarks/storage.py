"""How fast frames come in, go out and are read, beside the plainest way to do each.

    python -m benchmarks.storage [CLIP] [--frames N]

Prints Markdown tables. Without a clip it makes one: H.264, 1280×720, a panning texture with grain.
Every figure of a table comes from the same run, so ratios hold where seconds do not. Files are in
the operating system's cache when they are read: what is compared is the work, not the disk.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import av
import cv2
import numpy as np
import zarr
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from storage.archive import Archive
from storage.arrays import create_array, open_array, write_every_chunk
from storage.chunks import Layout, frame_layout, round_up
from storage.codecs import best_shuffle
from storage.export import export
from storage.ingest import ingest
from storage.masks import open_mask
from storage.media import open_source
from storage.planes import ACCURATE
from storage.shots import Shot, Version
from storage.stills import write_image

WINDOW_PX = 256
REPEATS = 60
LAYOUT_HEAD = (
    "layout",
    "files a frame",
    "ratio",
    "write MB/s",
    "frame ms",
    f"window {WINDOW_PX}² ms",
    f"window {2 * WINDOW_PX}² ms",
)
Place = tuple[int, slice, slice]


def main() -> None:
    parser = argparse.ArgumentParser(description="Throughput and latency of the storage package.")
    parser.add_argument("clip", nargs="?", help="a movie; one is made where none is given")
    parser.add_argument("--frames", type=int, default=96, help="of the clip that is made")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clip = options.clip or make_clip(Path(folder, "clip.mp4"), options.frames)
        shot = throughput(clip, Path(folder))
        patch_latency(shot, Path(folder))
        for height, width in ((540, 960), (1080, 1920), (2160, 3840)):
            layouts(height, width, Path(folder, f"{height}"))
        mask_layouts(2160, 3840, Path(folder, "masks"))


def throughput(clip: str, folder: Path) -> Shot:
    """Compare ingest and export with plain decoding and encoding of the same clip."""
    info = open_source(clip).info
    frames, plain_decode = timed(lambda: sum(1 for _ in decode(clip)))
    archive = Archive.open(str(folder / "archive"), "a")
    _, stored = timed(lambda: drain(ingest(archive, "clip", open_source(clip), None)))
    shot = archive.shot("clip")
    _, all_read = timed(lambda: [shot.frames[t] for t in range(frames)])
    size_mib = frames * info.height * info.width * info.channels / 2**20
    print(f"\n{Path(clip).name}: {frames} frames {info.width}×{info.height}, {size_mib:.0f} MiB\n")
    rows = [
        ("decode with PyAV to RGB", plain_decode, plain_decode),
        ("ingest (decode, pack, checksum, write, sha256)", stored, plain_decode),
        ("read every frame back from the archive", all_read, plain_decode),
    ]
    version = with_hole(archive, clip, folder)
    encoders: tuple[tuple[str, str, dict[str, str]], ...] = (
        (".mkv", "ffv1", {}),
        (".mp4", "libx264", {"crf": "12"}),
    )
    for suffix, codec, extra in encoders:
        _, plain = timed(partial(recode, clip, folder / f"plain{suffix}", codec, extra))
        _, ours = timed(partial(drain, export(version.shot, "one", folder / f"out{suffix}")))
        rows.append((f"decode and encode {codec} with PyAV, YUV untouched", plain, plain))
        rows.append((f"export {suffix} ({codec}), hole replaced in YUV", ours, plain))
    table(
        ("work", "frames/s", "against PyAV"),
        ((what, f"{frames / s:.0f}", f"{base / s:.2f}") for what, s, base in rows),
    )
    return shot


def with_hole(archive: Archive, clip: str, folder: Path) -> Version:
    """Store the clip again with a hole of a sixteenth of the frame, filled with grey."""
    source = open_source(clip)
    height, width = source.info.height, source.info.width
    hole = np.zeros((height, width), bool)
    hole[height // 4 : height // 2, width // 4 : width // 2] = True
    write_image(folder / "hole.png", hole[..., None].astype(np.uint8))
    mask = open_mask(str(folder / "hole.png"), source)
    drain(ingest(archive, "holed", source, mask))
    shot = archive.shot("holed")
    version = shot.create_version("one")
    grey = np.full(shot.frames.shape[1:], 128, shot.info.dtype)
    for t in range(len(shot)):
        version.write(t, grey)
    return version


def patch_latency(shot: Shot, folder: Path) -> None:
    """Compare reading a window of one frame from the archive and from a raw memory map."""
    count, height, width, channels = shot.frames.shape
    raw = np.memmap(folder / "raw", np.dtype(shot.info.dtype), "w+", shape=shot.frames.shape)
    for t in range(count):
        raw[t] = shot.frames[t]
    raw.flush()
    windows = random_windows(count, height, width)
    rows = []
    sources: dict[str, Any] = {"archive": shot.frames, "numpy memory map": raw}
    for what, array in sources.items():
        one = median_ms(partial(read_window, array, windows))
        frame = median_ms(partial(read_frame, array, windows), 20)
        rows.append((what, f"{one:.2f}", f"{frame:.2f}"))
    print(f"\nReading {width}×{height}×{channels} {shot.info.dtype}, median ms\n")
    table(("from", f"window of {WINDOW_PX}²", "whole frame"), rows)


def layouts(height: int, width: int, folder: Path) -> None:
    """Compare ways to cut frames of this size into chunks and shards."""
    frames = np.stack(list(textured(6, height, width)))
    side = WINDOW_PX
    whole = (1, round_up(height, side), round_up(width, side), 3)
    wide = (1, round_up(height, 2 * side), round_up(width, 2 * side), 3)
    candidates = {
        "whole frame": Layout((1, height, width, 3)),
        "chunks of 512²": Layout((1, 2 * side, 2 * side, 3)),
        "shard of chunks 256²": Layout((1, side, side, 3), whole),
        "shard of chunks 512²": Layout((1, 2 * side, 2 * side, 3), wide),
    }
    chosen = frame_layout(height, width, 3)
    rows = []
    for number, (name, layout) in enumerate(candidates.items()):
        mark = " (ours)" if layout == chosen else ""
        rows.append((name + mark, *measure(frames, layout, folder / str(number))))
    print(f"\nLayouts, {width}×{height}×3 uint8\n")
    table(LAYOUT_HEAD, rows)


def mask_layouts(height: int, width: int, folder: Path) -> None:
    """Compare ways to cut holes into chunks."""
    holes = np.zeros((6, height, width), bool)
    holes[:, height // 3 : height // 2, width // 3 : width // 2] = True
    side = WINDOW_PX
    shard = (1, round_up(height, side), round_up(width, side))
    rows = []
    for name, layout in (
        ("whole frame (ours)", Layout((1, height, width))),
        ("shard of chunks 256²", Layout((1, side, side), shard)),
    ):
        rows.append((name, *measure(holes, layout, folder / name[:5])))
    print(f"\nLayouts, {width}×{height} bool\n")
    table(LAYOUT_HEAD, rows)


def measure(values: np.ndarray, layout: Layout, folder: Path) -> tuple[str, ...]:
    """Write the frames one by one, read frames and windows back, look at the size."""
    shuffle = "noshuffle" if values.dtype == bool else best_shuffle(values[0])
    create_array(str(folder), "a", values.shape, values.dtype.name, layout, shuffle)
    array = open_array(str(folder), "a", "a")
    _, written = timed(partial(write_frames, array, values))
    count, height, width = values.shape[:3]
    small = random_windows(count, height, width)
    large = random_windows(count, height, width, 2 * WINDOW_PX)
    frame = median_ms(partial(read_frame, array, small), 20)
    near, wide = (median_ms(partial(read_window, array, where)) for where in (small, large))
    files = [f for f in (folder / "a" / "c").rglob("*") if f.is_file()]
    ratio = values.nbytes / sum(f.stat().st_size for f in files)
    speed = values.nbytes / 1e6 / written
    per_frame = f"{len(files) / len(values):.0f}"
    return (
        per_frame,
        f"{ratio:.2f}",
        f"{speed:.0f}",
        f"{frame:.1f}",
        f"{near:.2f}",
        f"{wide:.2f}",
    )


def write_frames(array: zarr.Array, values: np.ndarray) -> None:
    for t in range(len(values)):
        write_every_chunk(array, slice(t, t + 1), values[t : t + 1])


def read_frame(array: Any, places: Iterator[Place]) -> np.ndarray:
    return np.array(array[next(places)[0]])


def read_window(array: Any, places: Iterator[Place]) -> np.ndarray:
    return np.array(array[next(places)])


def decode(clip: str) -> Iterator[np.ndarray]:
    """Decode to RGB the plain way, with one shared converter and exact rounding."""
    convert = VideoReformatter()
    with av.open(clip) as container:
        container.streams.video[0].thread_type = "AUTO"
        for frame in container.decode(video=0):
            yield convert.reformat(frame, format="rgb24", interpolation=ACCURATE).to_ndarray()


def recode(clip: str, target: Path, codec: str, options: dict[str, str]) -> None:
    with av.open(clip) as container, av.open(str(target), "w") as out:
        source = container.streams.video[0]
        source.thread_type = "AUTO"
        stream = out.add_stream(codec, rate=source.average_rate, options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = source.width, source.height
        stream.pix_fmt = source.pix_fmt
        for frame in container.decode(source):
            frame.pict_type = PictureType.NONE
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def make_clip(path: Path, count: int) -> str:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "18", "preset": "veryfast"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for pixels in textured(count, 720, 1280):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        out.mux(stream.encode(None))
    return str(path)


def textured(count: int, height: int, width: int) -> Iterator[np.ndarray]:
    """Yield frames `(H, W, 3)` uint8 of a panning soft texture with grain."""
    random = np.random.default_rng(0)
    coarse = random.integers(40, 215, (height // 16 + 8, width // 16 + 8, 3)).astype(np.uint8)
    plate = cv2.resize(coarse, (width + 128, height + 128), interpolation=cv2.INTER_CUBIC)
    grain = random.normal(0, 1.5, (height + 8, width + 8, 3)).round().astype(np.int16)
    for t in range(count):
        shift, jitter = 2 * t % 128, t % 8
        seen = plate[:height, shift : shift + width].astype(np.int16)
        yield (seen + grain[jitter:, jitter:][:height, :width]).clip(0, 255).astype(np.uint8)


def random_windows(count: int, height: int, width: int, side: int = WINDOW_PX) -> Iterator[Place]:
    """Yield places of windows for ever; as (frame, rows, columns)."""
    random = np.random.default_rng(0)
    while True:
        t = int(random.integers(count))
        y = int(random.integers(max(1, height - side)))
        x = int(random.integers(max(1, width - side)))
        yield t, slice(y, y + side), slice(x, x + side)


Result = TypeVar("Result")


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """Return what the work returns, and the seconds it took."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def median_ms(work: Callable[[], object], repeats: int = REPEATS) -> float:
    work()
    return 1000 * statistics.median(timed(work)[1] for _ in range(repeats))


def drain(steps: Iterable[object]) -> None:
    for _ in steps:
        pass


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    print("| " + " | ".join(head) + " |")
    print("|" + " --- |" * len(list(head)))
    for row in rows:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
