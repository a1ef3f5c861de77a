"""Machines: runs a backlog of shots, in one process or on a Ray cluster.

Read in this order: `launch` (the main job, one at a time by its `lease`); `config`, `strict` and
`backlog` with `spreadsheet` (what is asked); `prepare` and `plan` (what is to be done); `agenda`
and `room` (what is next); `jobs`, `propagating` and `inpainting` (doing it) with `fitting`,
`footage`, `shot_frames`, `plates`, `carrying`, `feedforward` and `regrain`; `running`, `serial`,
and `on_ray` with `address`, `crew`, `actor` and `cores` (where); `failures` (what if not);
`progress`, `scalars`, `gauges`, `status` with `seen`, `pace` and `watch`, `report` (what a person
sees). `evaluate` and what it imports make tables; `retarget` gives a finished shot another size.
`sweep` is read with `space`, `budget`, `trial`, `on_tune`, `outcome`; `train` with `train_config`,
`order`, `library`, `scenes`, `training`, `on_train`, and `initial`, by which `launch` takes what it
made.
"""

__version__ = "0.1.0"
