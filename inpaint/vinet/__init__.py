"""VINet: a network trained on many clips that fills the next one as it goes along, frame by frame.

Read in this order: `network` with `alignment` and `layers`, `correlation` and `warping`; `fill`
(the result); `lesson` (the stages), `training` with `losses` and `holes`.

Source: Kim et al., Deep Video Inpainting, CVPR 2019 ("VINet"), and the authors' code.
"""
