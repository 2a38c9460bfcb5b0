"""Random changes of pictures inside the TensorFlow graph, reproducible from a seed."""

import math
from typing import Any

from train.spec import Augmentation


def augment(images: Any, bounds: Augmentation, seed: Any) -> Any:
    """Change each image at random, within bounds.

    images: (N, H, W, C), float32, 0..255. seed: int64 tensor of shape (2,); the same seed gives the same changes.
    """
    if bounds.stroke:
        images = random_stroke(images, bounds.stroke, seed)
    return random_affine(images, bounds, seed)


def random_stroke(images: Any, bound: float, seed: Any) -> Any:
    """Thicken or thin the light strokes of each image by up to `bound` of a pixel on either side."""
    import tensorflow as tf

    amount = tf.random.stateless_uniform((tf.shape(images)[0], 1, 1, 1), seed + 1, -bound, bound)
    thick = tf.nn.max_pool2d(images, 3, 1, "SAME")
    thin = -tf.nn.max_pool2d(-images, 3, 1, "SAME")
    return images + tf.maximum(amount, 0.0) * (thick - images) + tf.maximum(-amount, 0.0) * (thin - images)


def random_affine(images: Any, bounds: Augmentation, seed: Any) -> Any:
    """Map each image by its own random rotation, scale, shift and shear about its centre; outside, its edge is repeated.

    images: (N, H, W, C), float32. seed: int64 tensor of shape (2,); the same seed gives the same maps.
    """
    import tensorflow as tf

    shape = tf.shape(images)
    count = shape[0]
    center_y, center_x = (tf.cast(shape[1], tf.float32) - 1) / 2, (tf.cast(shape[2], tf.float32) - 1) / 2
    draws = tf.random.stateless_uniform((6, count), seed, -1.0, 1.0)
    angle = draws[0] * (bounds.rotation_degrees * math.pi / 180)
    scale_x, scale_y = 1 + draws[1] * bounds.scale, 1 + draws[2] * bounds.scale
    shear = draws[5] * bounds.shear
    # The map goes from output to input coordinates: x = a0 X + a1 Y + a2, y = b0 X + b1 Y + b2
    a0, a1 = tf.cos(angle) * scale_x, (shear - tf.sin(angle)) * scale_x
    b0, b1 = tf.sin(angle) * scale_y, tf.cos(angle) * scale_y
    a2 = center_x - a0 * center_x - a1 * center_y + draws[3] * bounds.shift_pixels
    b2 = center_y - b0 * center_x - b1 * center_y + draws[4] * bounds.shift_pixels
    zero = tf.zeros_like(angle)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([a0, a1, a2, b0, b1, b2, zero, zero], axis=1),
        output_shape=shape[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )
