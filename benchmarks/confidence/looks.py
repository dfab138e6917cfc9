"""Looks that the fit sees and the model was not trained on, so that it also learns to doubt.

None of them is the held-out style, which is art by other hands.
"""

import cv2
import numpy as np
from jaxtyping import UInt8

Image = UInt8[np.ndarray, "H W 3"]
LOOKS = ("plain", "hue", "grey", "blurred", "posterised", "sketched", "noisy", "smoothed")


def with_look(image: Image, look: str, rng: np.random.Generator) -> Image:
    """The image in another look."""
    wide = image.astype(np.float32)
    if look == "hue":
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV).astype(int)
        hsv[..., 0] = (hsv[..., 0] + rng.integers(20, 160)) % 180
        return cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)
    if look == "grey":
        return np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    if look == "blurred":
        side = int(rng.integers(40, 90))
        small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
        return cv2.resize(small, image.shape[1::-1])
    if look == "posterised":
        levels = int(rng.integers(2, 5))
        return (np.round(wide / 255 * levels) / levels * 255).astype(np.uint8)
    if look == "sketched":
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        edges = np.abs(cv2.Laplacian(grey, cv2.CV_32F, ksize=3))
        return np.clip(wide / 2 + 127 - edges[..., None], 0, 255).astype(np.uint8)
    if look == "noisy":
        noise = rng.normal(0, rng.uniform(25, 70), image.shape)
        return np.clip(wide + noise, 0, 255).astype(np.uint8)
    if look == "smoothed":
        return cv2.bilateralFilter(cv2.medianBlur(image, 5), 9, 80, 9)
    return image
