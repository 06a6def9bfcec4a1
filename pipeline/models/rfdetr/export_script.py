"""Exports one model to ONNX: `python export_script.py CLASS WEIGHTS FOLDER`.

`export.py` runs it with a Python that has the package `rfdetr`, which need not be that of Tallycam: nothing of Tallycam
is imported here.
"""

from __future__ import annotations

import importlib
import sys

OPSET = 17


def main(class_name: str, weights: str, folder: str) -> None:
    """Writes the model into the folder, under a name of the package's.

    Args:
        class_name: of the model in the package.
        weights: its weights; empty: untrained ones, for tests.
        folder: an empty folder.
    """
    model = getattr(importlib.import_module("rfdetr"), class_name)(pretrain_weights=weights or None)
    model.export(output_dir=folder, opset_version=OPSET, verbose=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
