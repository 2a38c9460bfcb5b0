"""The conversion room: from a trained Keras model to artifacts that carry their card and prove what their name says."""
