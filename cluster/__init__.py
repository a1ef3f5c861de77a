"""Machines: runs a backlog of shots, in one process or on a Ray cluster.

Read in this order: `launch` (the main job), `config` and `backlog` (what is asked), `plan` (what is
to be done), `jobs` and `inpainting` (doing it), `serial` and `on_ray` (where), `failures` (what if
not), `progress`, `status`, `report` (what a person sees).
"""

__version__ = "0.1.0"
