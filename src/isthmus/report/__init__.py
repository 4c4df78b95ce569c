"""Figures and the HTML page, self-contained: it opens offline."""

from isthmus.report.html import write_page
from isthmus.report.page import comparison_page, model_page
from isthmus.report.reproduction import quick_words, reproduction_page, result_cells

__all__ = ["comparison_page", "model_page", "quick_words", "reproduction_page", "result_cells", "write_page"]
