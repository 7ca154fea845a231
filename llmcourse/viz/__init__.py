"""Figures, tables and widgets for the chapters."""
