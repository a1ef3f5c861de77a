import threading

import pytest
from job_fakes import note
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import RecordWriter

from cluster.scalars import Scalars


def records(path):
    """The events of a file: each has 12 bytes before it, whose first 8 are its length, 4 behind."""
    content, found = path.read_bytes(), []
    while content:
        end = 12 + int.from_bytes(content[:8], "little")
        found.append(Event.FromString(content[12:end]))
        content = content[end + 4 :]
    return found


def curves(folder):
    (written,) = (folder / "one" / "v001").iterdir()
    points = [(e.step, value) for e in records(written) for value in e.summary.value]
    return {(step, value.tag): round(value.simple_value, 3) for step, value in points}


def test_only_the_curves_entries_become_scalars(tmp_path):
    scalars = Scalars(str(tmp_path), print)
    scalars.show(note(entry=False))
    scalars.show(note("log", text="x"))
    assert not any(tmp_path.iterdir())
    scalars.show(note(done=50, validation_psnr=30.0))
    scalars.show(note(done=100, validation_psnr=None))
    scalars.close()
    found = curves(tmp_path)
    assert found[50, "validation_psnr"] == 30
    assert {tag for step, tag in found if step == 100} == {"loss", "learning_rate", "rate"}


def test_of_a_shot_that_is_done_nothing_stays_open(tmp_path):
    scalars, threads = Scalars(str(tmp_path), print), threading.active_count()
    for name in "abcdefghij":
        scalars.show(note(name=name))
        scalars.show(note("done", name=name))
    assert threading.active_count() <= threads
    assert not scalars._curves


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # left open by it
@pytest.mark.parametrize("call", ["write", "flush", "close"])
def test_a_full_disk_costs_the_curves_and_one_line(tmp_path, monkeypatch, call):
    def full(*_):
        raise OSError(28, "No space left on device")

    said = []
    scalars = Scalars(str(tmp_path), said.append)
    monkeypatch.setattr("cluster.scalars.FLUSHED_EVERY_S", -1)
    monkeypatch.setattr(RecordWriter, call, full)
    for name in "ab":
        scalars.show(note(name=name))
        scalars.show(note("done", name=name))
    scalars.close()
    (line,) = said
    assert "no more curves are kept" in line
    assert "No space left" in line
