"""Tool-use data: worlds with tools that run, tasks with a checkable end, trajectories that are filtered by both."""
