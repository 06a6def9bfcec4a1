"""The public Python API. Import its names from `pipeline`, which imports what is behind them when it is used."""
