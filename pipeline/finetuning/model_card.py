"""Weight files with what is known of them inside, and the model card beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from torchvision.models.detection import MaskRCNN

from pipeline import __version__
from pipeline.evaluation.mask_scores import MaskScores
from pipeline.evaluation.report import percent_text
from pipeline.files import write_text
from pipeline.finetuning.data import TrainingData
from pipeline.finetuning.new_heads import StartNetwork
from pipeline.finetuning.settings import Settings
from pipeline.finetuning.training_checkpoint import Course
from pipeline.models.maskrcnn.compact_net import INPUT_SIZE
from pipeline.models.maskrcnn.compact_weights import save_weights
from pipeline.models.maskrcnn.weight_file import save_weight_file


def save_model(
    path: Path, model: MaskRCNN, start: StartNetwork, settings: Settings, about: Mapping[str, object]
) -> None:
    """Writes weights as safetensors; `model.path` of a configuration takes the file.

    Args:
        path: the file; an existing one is replaced as a whole.
        model: the weights.
        start: which network it is.
        settings: of the training, stored in the metadata.
        about: more for the metadata.

    Raises:
        OutputError: it cannot be written.
    """
    metadata = {key: value if isinstance(value, str) else json.dumps(value) for key, value in about.items()}
    metadata["settings"] = json.dumps(asdict(settings))
    metadata["tallycam"] = __version__
    if start.compact:
        save_weights(path, model, settings.classes, metadata)
    else:
        sides = (model.transform.min_size[0], model.transform.max_size)
        save_weight_file(path, model, settings.classes, sides, metadata)


def input_text(start: StartNetwork, model: MaskRCNN) -> str:
    """The size of the network's input in words."""
    if start.compact:
        return f"{INPUT_SIZE[0]}x{INPUT_SIZE[1]} pixels"
    return (
        f"shorter side {model.transform.min_size[0]}, longer side at most {model.transform.max_size} pixels"
    )


def model_card(
    data: TrainingData, settings: Settings, course: Course, scores: MaskScores, start: str, size: str
) -> str:
    """The model card: what the model finds, how well, what it was made from, and how it is used.

    Args:
        data: that it was trained and evaluated on.
        settings: of the training.
        course: how it went.
        scores: of the best weights on the images held out.
        start: the weights that training started from.
        size: of the input, in words.
    """
    learnt, held_out = data.counts(data.train), data.counts(data.val)
    classes = _table(
        ("class", "objects to learn from", "objects held out", "AP", "AP50", "IoU", "precision", "recall"),
        [
            (one.name, str(learnt[one.name]), str(held_out[one.name]), percent_text(one.ap), percent_text(one.ap50),
             percent_text(one.iou), percent_text(one.precision_at), percent_text(one.recall_at))
            for one in scores.classes
        ],
    )  # fmt: skip
    total = scores.total
    steps = f"{course.step} steps of {settings.images_per_step} images"
    return f"""# {", ".join(data.classes)}: a Mask R-CNN

Finds {", ".join(data.classes)} in pictures and video. `best.safetensors` was made by `tallycam train` ({__version__}).

Mask AP {percent_text(total.ap)}, AP50 {percent_text(total.ap50)}, AP75 {percent_text(total.ap75)} (COCO's metric) on \
{len(data.val)} images that it did not learn from.
IoU is that of the matched masks; IoU, precision and recall are at IoU 0.5 and score {scores.score:g}, which has the
best F1 on these images.

{classes}
`evaluation.html` has the curves, the confusion matrix and the worst images; `worst/` has the pictures.

## How to use it

```yaml
model: {{path: best.safetensors, score: {scores.score:g}}}
```

```
tallycam run CONFIG
tallycam image photos/ --model best.safetensors --score {scores.score:g}
tallycam models export best.safetensors --onnx model.onnx
```

## How it was made

| | |
|---|---|
| started from | {start} |
| input | {size} |
| images | {len(data.train)} to learn from, {len(data.val)} to evaluate on |
| training | {steps}; best after step {course.best_step} |
| learning rate | {settings.learning_rate:g}, {settings.warm_up} steps of warm-up, then cosine |
| frozen | the first {settings.freeze} of 5 stages of the backbone |
| seed | {settings.seed} |

## Limits

It knows what its {len(data.train)} images show: other cameras, light, seasons and kinds of these objects may need
images of their own. The figures hold for images like those held out, and no others.
"""


def write_card(path: Path, text: str) -> None:
    """Writes the model card."""
    write_text(path, text)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
