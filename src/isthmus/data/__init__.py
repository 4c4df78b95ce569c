"""Where rows come from and how they become tensors."""

from isthmus.data.series import on_time_axis, windows

__all__ = ["on_time_axis", "windows"]
