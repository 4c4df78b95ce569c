"""Where rows come from and how they become tensors."""

from isthmus.sources.series import on_time_axis, step_scores, windows
from isthmus.sources.timeline import TimeSeries, time_series

__all__ = ["TimeSeries", "on_time_axis", "step_scores", "time_series", "windows"]
