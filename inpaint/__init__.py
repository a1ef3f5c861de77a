"""Tensors: fitting a network to a clip and filling its holes with it. No storage, no ray.

Read in this order: `internal` (the fit), `clip`, `holes` and `losses` (what it learns from),
`network` and `gated` (what learns), `fill` and `windows` (the result), `checkpoint`, `tone`,
`precision`; `metrics` and `classical` judge.
"""

import os

# Threads that wait for each other sleep instead of spinning: on a machine with other work two of
# them are then twice as quick (docs/decisions.md). Read once, when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
