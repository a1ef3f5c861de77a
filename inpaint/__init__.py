"""Tensors: fitting a network to a clip and filling its holes with it. No storage, no ray.

Read in this order: `internal` (the fit) with `learning`, `step` and `recipes`; `clip`, `holes`,
`losses`, `warps` and `features` (what it learns from); `network` and `gated` (what learns), `muon`
(by which steps); `progressive` (scales and windows); `fill` and `windows` (the result), `prior`
(what the optical flow adds to it); `warmstart` (one network from many shots); `checkpoint`,
`tone` and `precision`. `vinet` is a network trained once, which fills any clip. `propagate`,
`segmentation`, `pasting` and `trail` make many masks of a few. `retarget` and `overlay` give a
finished shot another size, `grain` gives a fill the plate's. `classical` and `flow_propagation`
with `tracks`, `hidden_motion` and `flow` are the peers without learning; `metrics`, `temporal` and
`perceptual` judge.
"""

import os

# Threads that wait for each other sleep instead of spinning: on a machine with other work two of
# them are then twice as quick (docs/decisions.md). Read once, when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
