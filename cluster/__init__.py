"""Machines: runs a backlog of shots, in one process or on a Ray cluster.

Read in this order: `launch` (the main job); `config`, `strict` and `backlog` (what is asked);
`prepare` and `plan` (what is to be done); `jobs`, `propagating` and `inpainting` (doing it) with
`fitting`, `footage` and `plates`; `running`, `serial` and `on_ray` (where); `failures` (what if
not); `progress`, `status` and `report` (what a person sees). `evaluate` and what it imports make
tables.
"""

__version__ = "0.1.0"
