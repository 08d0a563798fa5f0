"""The settings are in setup.cfg; this file lets old pip and `python setup.py` find them."""

from setuptools import setup

setup()
