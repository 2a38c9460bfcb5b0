"""BatchNormalization by TensorFlow's fused kernels: the layers are those of Keras, training is faster.

Keras computes it operation by operation (mean, squared difference, ...), each over all activations, which was two fifths of
a training step of MobileNetV2.
"""

from typing import Any


def with_fused_normalization(model: Any) -> Any:
    """Return a keras.Model of the same layers and variables as `model`, a functional model, with another normalization.

    Its BatchNormalization layers over (N, H, W, C), scaled and centred, are computed by the fused kernel; others stay.
    Without any, `model` itself is returned.
    """
    import keras

    if not any(_can_be_fused(layer) for layer in model.layers):
        return model
    fused = _fused_layer_class()
    return keras.models.clone_model(model, clone_function=lambda layer: fused(layer) if _can_be_fused(layer) else layer)


def _can_be_fused(layer: Any) -> bool:
    import keras

    return (
        isinstance(layer, keras.layers.BatchNormalization)
        and len(layer.input.shape) == 4
        and layer.axis in (-1, 3)
        and layer.scale
        and layer.center
        and not layer.renorm
        and layer.compute_dtype == "float32"
    )


def _fused_layer_class() -> type:
    import keras

    class FusedNormalization(keras.layers.Layer):  # type: ignore[misc]  # keras is untyped
        """Computes what a BatchNormalization layer does, with that layer's variables."""

        def __init__(self, of: Any) -> None:
            super().__init__(name=f"{of.name}_fused")
            self.of = of

        def call(self, x: Any, training: bool | None = None, mask: Any = None) -> Any:
            import tensorflow as tf

            del mask  # pictures have none
            of, kernel = self.of, tf.compat.v1.nn.fused_batch_norm
            if not (training and of.trainable):
                moving = {"mean": of.moving_mean.value, "variance": of.moving_variance.value}
                y, _, _ = kernel(x, of.gamma.value, of.beta.value, **moving, epsilon=of.epsilon, is_training=False)
                return y
            y, mean, variance = kernel(x, of.gamma.value, of.beta.value, epsilon=of.epsilon, is_training=True)
            count = tf.cast(tf.size(x) // tf.size(mean), tf.float32)
            biased = variance * (tf.maximum(count - 1, 1) / count)  # the kernel divides by one less than Keras does
            for moved, to in ((of.moving_mean, mean), (of.moving_variance, biased)):
                moved.assign(moved * of.momentum + to * (1 - of.momentum))
            return y

    return FusedNormalization
