"""Tensors: fitting a network to a clip and filling its holes with it. No storage, no ray.

Read in this order: `internal` (the fit), `clip`, `holes` and `losses` (what it learns from),
`network` and `gated` (what learns), `fill` and `windows` (the result), `checkpoint`, `tone`,
`precision`; `metrics` and `classical` judge.
"""
