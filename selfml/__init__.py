"""SELF-ML: find, correct and explain wrong attribute labels in image catalogues."""

__version__ = "0.1.0"
