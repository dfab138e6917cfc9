"""Pictures of groundings: heatmaps over the frame, with point and box."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from videogem.structures import PROMPT_NAMES, Box, Grounding, Point

POINT_COLOR = (255, 64, 129)
BOX_COLOR = (255, 235, 59)
TEXT_COLOR = (33, 33, 33)
PANEL_WIDTH = 480  # pixels
CAPTION_HEIGHT = 26  # pixels


def grounding_picture(
    frame: UInt8[np.ndarray, "H W 3"], grounding: Grounding
) -> UInt8[np.ndarray, "H2 W2 3"]:
    """Four panels: the three heatmaps with their peaks, and the frame with point and box."""
    panels = [
        _panel(
            overlay_heatmap(frame, heatmap),
            f"{name}: {prompt}",
            point=grounding.points[name],
        )
        for name, prompt, heatmap in zip(
            PROMPT_NAMES, grounding.prompts.texts, grounding.heatmaps, strict=True
        )
    ]
    title = f"point and box, score {grounding.score:.2f}: {grounding.narration}"
    panels.append(_panel(frame, title, point=grounding.point, box=grounding.box))
    return np.vstack([np.hstack(panels[:2]), np.hstack(panels[2:])])


def overlay_heatmap(
    frame: UInt8[np.ndarray, "H W 3"], heatmap: Float[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "H W 3"]:
    """The frame, darkened and coloured where the heatmap is high."""
    height, width = frame.shape[:2]
    resized = cv2.resize(heatmap.astype(np.float32), (width, height))
    colors = cv2.applyColorMap((255 * resized).astype(np.uint8), cv2.COLORMAP_INFERNO)
    weight = (0.25 + 0.5 * resized)[..., None]
    blended = frame * (1 - weight) + cv2.cvtColor(colors, cv2.COLOR_BGR2RGB) * weight
    return blended.astype(np.uint8)


def draw_marks(
    image: Image.Image, *, point: Point | None = None, boxes: Sequence[Box] = ()
) -> Image.Image:
    """Draw a point and boxes into a copy of the image."""
    image = image.copy()
    draw = ImageDraw.Draw(image)
    width, height = image.size
    line = max(2, width // 160)
    for x1, y1, x2, y2 in boxes:
        corners = (x1 * width, y1 * height, x2 * width - 1, y2 * height - 1)
        draw.rectangle(corners, outline=BOX_COLOR, width=line)
    if point is not None:
        x, y, radius = point[0] * width, point[1] * height, 2.5 * line
        circle = (x - radius, y - radius, x + radius, y + radius)
        draw.ellipse(circle, fill=POINT_COLOR, outline="white", width=max(1, line // 2))
    return image


def _panel(
    frame: UInt8[np.ndarray, "H W 3"],
    caption: str,
    *,
    point: Point,
    box: Box | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    height = round(PANEL_WIDTH * frame.shape[0] / frame.shape[1])
    image = Image.fromarray(frame).resize((PANEL_WIDTH, height), Image.Resampling.LANCZOS)
    image = draw_marks(image, point=point, boxes=[] if box is None else [box])
    panel = Image.new("RGB", (PANEL_WIDTH, height + CAPTION_HEIGHT), "white")
    panel.paste(image, (0, CAPTION_HEIGHT))
    font = ImageFont.load_default(14)
    ImageDraw.Draw(panel).text((6, 4), _fit(caption, font), fill=TEXT_COLOR, font=font)
    return np.asarray(panel)


def _fit(caption: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The caption, cut to the panel's width."""
    if font.getlength(caption) <= PANEL_WIDTH - 12:
        return caption
    while font.getlength(f"{caption}…") > PANEL_WIDTH - 12:
        caption = caption[:-1]
    return f"{caption}…"
