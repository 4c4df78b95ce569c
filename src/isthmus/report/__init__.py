"""Figures and the HTML page, self-contained: it opens offline."""

from isthmus.report.page import comparison_page, model_page, write_page

__all__ = ["comparison_page", "model_page", "write_page"]
