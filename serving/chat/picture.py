"""A display frame as a part of a message."""

from __future__ import annotations

import base64

import numpy as np
from PIL import Image

from mmedagent.imaging.png import encode_frame
from mmedagent.serving.chat.wire import ImagePart, ImageUrl, Message, TextPart
from mmedagent.serving.tool import PixelArray

MAX_SIDE = 1_024
"""Pixels of the longer side of a frame that is sent; vision models look at no more."""


def with_picture(message: Message, frame: PixelArray) -> Message:
    """The message, whose content is a text, with the frame in front of it."""
    picture = Image.fromarray(frame)
    picture.thumbnail((MAX_SIDE, MAX_SIDE))
    encoded = base64.b64encode(encode_frame(np.asarray(picture))).decode()
    image = ImagePart(image_url=ImageUrl(url=f"data:image/png;base64,{encoded}"))
    return Message(role=message.role, content=(image, TextPart(text=str(message.content))))
