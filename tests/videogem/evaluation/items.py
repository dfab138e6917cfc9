"""Items of one black picture, and rows of points in them."""

import numpy as np

from videogem.datasets.base import Item
from videogem.evaluation import Prediction, score


def item(id_: str = "a", boxes=((0.2, 0.2, 0.6, 0.6),), **values) -> Item:
    image = np.zeros((50, 100, 3), np.uint8)
    defaults = {"video": "v", "narration": f"cut {id_}", "label": "cut", "size_wh": (100, 50)}
    return Item(id_, boxes=boxes, image=image, **(defaults | values))


def rows_of(items, points, **values):
    predictions = {
        one.id: Prediction(one.id, point, None) for one, point in zip(items, points, strict=True)
    }
    return score(items, predictions, dataset="d", model="m", method="x", **values)
