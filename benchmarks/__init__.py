"""Measurements, each a ratio from one run: `python -m benchmarks.storage`, …"""
