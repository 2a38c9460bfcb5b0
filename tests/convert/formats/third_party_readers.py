"""Classify pictures with MediaPipe or TensorFlow's Task Library, using only the metadata of the model file.

tests/convert/formats/test_third_party_readers.py runs this in temporary environments:
`python third_party_readers.py READER MODEL PIXELS.npy` prints JSON, the categories' names and scores of each picture.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

Answers = list[dict[str, float]]


def mediapipe(model: str, pictures: Any) -> Answers:
    import mediapipe as mp
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=model))
    with vision.ImageClassifier.create_from_options(options) as classifier:
        images = [mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(pixels)) for pixels in pictures]
        results = [classifier.classify(image).classifications[0].categories for image in images]
    return [{category.category_name: category.score for category in result} for result in results]


def task_library(model: str, pictures: Any) -> Answers:
    from tflite_support.task import vision

    classifier = vision.ImageClassifier.create_from_file(model)
    results = [classifier.classify(vision.TensorImage.create_from_array(pixels)) for pixels in pictures]
    return [{item.category_name: item.score for item in result.classifications[0].categories} for result in results]


def metadata(model: str, _pictures: Any) -> Any:
    from tflite_support import metadata as reader

    displayer = reader.MetadataDisplayer.with_model_file(model)
    document = json.loads(displayer.get_metadata_json())
    labels = displayer.get_associated_file_buffer("labels.txt").decode()
    return {"document": document, "files": displayer.get_packed_associated_file_list(), "labels": labels}


if __name__ == "__main__":
    reader, model, pixels = sys.argv[1:]
    answers = {"mediapipe": mediapipe, "task_library": task_library, "metadata": metadata}[reader](
        model, np.load(Path(pixels))
    )
    sys.stdout.write("\nANSWERS" + json.dumps(answers))
