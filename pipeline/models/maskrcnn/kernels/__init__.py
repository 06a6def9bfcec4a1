"""Triton kernels for what PyTorch does in many passes over memory. Each has a plain counterpart outside this folder."""
