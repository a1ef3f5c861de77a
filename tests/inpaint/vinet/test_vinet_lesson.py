"""VINet's stages: one after the other, whatever process draws which sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import partial

import pytest
import torch
from vinet_fakes import texture, tiny

from inpaint.clip import Clip
from inpaint.learning import State, begin
from inpaint.vinet.lesson import Ahead, Lesson, LessonConfig, Scene, drawn, examined
from inpaint.vinet.training import Batch
from inpaint.windows import Window

CPU = torch.device("cpu")
SHORT = LessonConfig(
    steps=10, batch=2, shares=(0.2, 0.3, 0.5), window_px=16, frames=3, precision="off"
)


def scene(frames: int = 20, height: int = 16, width: int = 24, value: int | None = None) -> Scene:
    """A texture with a hole in its corner, where something stands that nobody may see."""
    pictures = texture(frames, height, width)
    hole = torch.zeros((frames, 1, height, width), dtype=torch.bool)
    hole[..., :4, :4] = True
    if value is not None:
        pictures = pictures.masked_fill(hole, value)
    return Scene(frames, (height, width), reading(Clip(pictures, hole, hole)))


def reading(clip: Clip) -> Callable[[Sequence[int], Window], Clip]:
    def read(times: Sequence[int], window: Window) -> Clip:
        region = (list(times), slice(None), *window.slices)
        return Clip(clip.frames[region], clip.hole[region], clip.unknown[region])

    return read


def lesson(config: LessonConfig, *scenes: Scene) -> Lesson:
    samples = Ahead(lambda step: drawn(scenes, config, step, range(config.batch)), config.steps)
    return Lesson(tiny(), samples, config, examined(scenes, config))


def test_the_stages_follow_one_another_by_their_shares() -> None:
    stages = [SHORT.stage(step) for step in range(SHORT.steps)]
    assert [stage.supports for stage in stages] == [1] * 2 + [4] * 8
    assert [stage.frames for stage in stages] == [1] * 5 + [3] * 5
    assert replace(SHORT, shares=(0, 1, 0)).stage(9).frames == 1


def test_a_sample_depends_on_seed_step_and_slot_alone() -> None:
    scenes = [scene(), scene(9, 20, 30)]
    both, second = (drawn(scenes, SHORT, 6, slots) for slots in ([0, 1], [1]))
    for part in fields(both):
        assert torch.equal(getattr(both, part.name)[1:], getattr(second, part.name))
    for other in (replace(SHORT, seed=1), SHORT):
        step = 7 if other is SHORT else 6
        assert not torch.equal(drawn(scenes, other, step, [1]).truth, second.truth)


def test_what_lies_in_a_hole_is_in_no_sample() -> None:
    unknown = 0
    for step in range(SHORT.steps):
        seen, other = (drawn([scene(value=v)], SHORT, step, [0, 1]) for v in (0, 255))
        unknown += int(seen.unknown.sum())
        for part in fields(seen):
            assert torch.equal(getattr(seen, part.name), getattr(other, part.name))
    assert unknown


def test_a_window_pans_over_its_clip_evenly() -> None:
    config = replace(SHORT, shares=(0, 1, 0), pan_px=3.0)
    # A column says where it is, and a frame when.
    where = torch.arange(96).expand(20, 1, 16, 96)
    when = torch.arange(20)[:, None, None, None].expand(20, 1, 16, 96)
    frames = torch.cat([where, when, when], dim=1).byte()
    nothing = torch.zeros((20, 1, 16, 96), dtype=torch.bool)
    still, paces = Scene(20, (16, 96), reading(Clip(frames, nothing, nothing))), set()
    for step in range(6):
        batch = drawn([still], config, step, [0])
        moved = (batch.near[0, 0] - batch.truth[0, 0]).mul(127.5).mean(dim=(2, 3))
        moved = moved[moved[:, 1] != 0]  # mirrored at the end, a neighbour may be the frame itself
        pace = moved[:, 0] / moved[:, 1]
        assert (pace - pace.mean()).abs().max() < 0.4  # whole pixels over three frames
        assert pace.abs().max() < 3.4
        paces.add(round(float(pace.mean())))
    assert len(paces) > 2


def test_a_small_clip_is_surrounded_by_the_unknown() -> None:
    batch = drawn([scene(height=8, width=12)], SHORT, 0, [0])
    assert batch.truth.shape[-2:] == (16, 16)
    assert batch.unknown[..., 8:, :].all()
    assert not batch.hole[batch.unknown].any()


@pytest.mark.parametrize("threads", [1, 3])
def test_samples_read_ahead_are_those_of_their_steps(threads: int) -> None:
    samples = Ahead(lambda step: drawn([scene()], SHORT, step, [0]), SHORT.steps, threads)
    for step in (3, 4, 9):
        assert torch.equal(samples.at(step).truth, drawn([scene()], SHORT, step, [0]).truth)
    samples.close()


def _some(scenes: Sequence[Scene], slots: Sequence[int], step: int) -> Batch:
    return drawn(scenes, SHORT, step, slots)


def _gradients(taught: Lesson, step: int) -> list[torch.Tensor]:
    state = begin(taught.network, taught.schedule, CPU)
    state.step = step
    taught.loss(state).backward()
    found = [weight.grad for weight in taught.network.parameters() if weight.grad is not None]
    assert len(found) == len(list(taught.network.parameters()))
    return found


@pytest.mark.parametrize("step", [0, 3, 8])
def test_the_parts_of_a_step_have_in_the_mean_the_gradient_of_the_whole(step: int) -> None:
    scenes, whole = [scene(), scene(9)], []
    for slots in ([0, 1], [0], [1]):
        samples = Ahead(partial(_some, scenes, slots), SHORT.steps)
        whole.append(_gradients(Lesson(tiny(), samples, SHORT), step))
        samples.close()
    for together, first, second in zip(*whole, strict=True):
        torch.testing.assert_close(together, (first + second) / 2, rtol=1e-3, atol=1e-5)


def test_it_learns_to_fill_a_hole_of_its_clip() -> None:
    config = replace(SHORT, steps=100, shares=(0, 1, 0), learning_rate=5e-3)
    taught = lesson(config, scene())
    state = begin(taught.network, config, CPU)
    before = _score(taught, state)
    while state.step < config.steps:
        state.descend(taught.loss(state), config.learning_rate)
    assert _score(taught, state) > before + 0.3


def _score(taught: Lesson, state: State) -> float:
    score = taught.judge(state)
    assert score is not None
    return score
