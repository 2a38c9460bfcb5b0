"""The card."""

import json
from typing import Any

import pytest

from device.card import Card, Step
from device.errors import CardError
from tests.support.models.model_files import card_json


class TestCard:
    def test_reads_what_it_needs(self) -> None:
        card = Card.from_json(card_json())
        assert (card.labels, card.height, card.width, card.channels) == (("a", "b"), 28, 28, 1)
        assert card.preprocess[1] == Step("resize", {"size": 28, "filter": "bilinear"})

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"schema": 2}, "schema"),
            ({"schema": "1"}, "schema"),
            ({"schema": True}, "schema"),
            ({"labels": []}, "labels"),
            ({"labels": [1, 2]}, "labels"),
            ({"model": None}, "model"),
            ({"input": {"height": 28, "width": 28, "channels": 2, "pixels": "0..255"}}, "input"),
            ({"input": {"height": 28, "width": 28, "channels": 1, "pixels": "0..1"}}, "input.pixels"),
            ({"input": {"height": -1, "width": 28, "channels": 1, "pixels": "0..255"}}, "input"),
            ({"preprocess": [["sharpen"]]}, "unknown step 'sharpen'"),
            ({"preprocess": ["gray"]}, "preprocess"),
            ({"preprocess": [["resize"]]}, "'size'"),
            ({"preprocess": [["resize", {"size": 0}]]}, "size"),
            ({"preprocess": [["resize", {"size": 28, "filter": "magic"}]]}, "filter"),
            ({"preprocess": [["gray", {"gamma": 2}]]}, "gamma"),
            ({"preprocess": [["resize", {"size": 28, "filter": ["bilinear"]}]]}, "filter"),
            ({"preprocess": [["stretch", {"size": [28]}]]}, "size"),
            ({"preprocess": [["center_crop", {"size": [28, 0]}]]}, "size"),
            ({"preprocess": [["input_values", {"scale": [0.0]}]]}, "scale"),
            ({"preprocess": [["input_values", {"offset": [float("nan")]}]]}, "offset"),
            ({"preprocess": [["input_bytes", {"layout": "CHWN"}]]}, "layout"),
            ({"output": {"activation": "relu"}}, "output.activation"),
            ({"min_score": 1.5}, "min_score"),
            ({"min_score": True}, "min_score"),
            ({"min_score": "0.5"}, "min_score"),
        ],
    )
    def test_names_the_field_that_is_wrong(self, changes: dict[str, Any], field: str) -> None:
        with pytest.raises(CardError, match="card field") as error:
            Card.from_json(card_json(**changes))
        assert field in str(error.value)

    @pytest.mark.parametrize(("said", "least"), [({}, 0.0), ({"min_score": None}, 0.0), ({"min_score": 0.75}, 0.75)])
    def test_without_a_threshold_no_answer_is_unsure(self, said: dict[str, Any], least: float) -> None:
        assert Card.from_json(card_json(**said)).min_score == least

    @pytest.mark.parametrize("said", [{}, {"provenance": None}, {"provenance": {}}])
    def test_an_unknown_origin_is_an_empty_one(self, said: dict[str, Any]) -> None:
        assert Card.from_json(card_json(**said)).provenance == {}

    @pytest.mark.parametrize("hashes", [None, {}, {"test": None}, "abc"])
    def test_without_the_hash_of_its_test_pictures_the_field_is_named(self, hashes: Any) -> None:
        card = Card.from_json(card_json(provenance={"dataset_sha256": hashes}))
        with pytest.raises(CardError, match=r"card field provenance\.dataset_sha256\.test: None, expected a hash"):
            _ = card.test_sha256
        assert Card.from_json(card_json(provenance={"dataset_sha256": {"test": "abc"}})).test_sha256 == "abc"

    def test_a_newer_schema_says_which_version_is_needed(self) -> None:
        with pytest.raises(CardError, match="schema 7"):
            Card.from_json(card_json(schema=7))

    def test_steps_survive_json(self) -> None:
        step = Step("resize", {"size": 28, "filter": "bilinear"})
        assert Step.from_json(json.loads(json.dumps(step.to_json()))) == step

    def test_reads_every_side_and_name_where_it_stands(self) -> None:
        shape = {"height": 10, "width": 20, "channels": 3, "pixels": "0..255"}
        document = card_json(model="net", variant="float32", labels=["x", "y", "z"], input=shape)
        card = Card.from_json(document)
        assert (card.model, card.variant, card.labels) == ("net", "float32", ("x", "y", "z"))
        assert (card.height, card.width, card.channels) == (10, 20, 3)
        assert card.document is document

    @pytest.mark.parametrize(
        ("height", "width", "channels", "fits"),
        [
            (1, 1, 1, True),
            (8192, 8192, 3, True),
            (8193, 1, 1, False),
            (1, 8193, 1, False),
            (0, 1, 1, False),
            (1, 0, 3, False),
            (1, 1, 0, False),
            (1, 1, 2, False),
            (1, 1, 4, False),
        ],
    )
    def test_sides_reach_from_1_to_8192_and_channels_are_1_or_3(
        self, height: int, width: int, channels: int, fits: bool
    ) -> None:
        document = card_json(input={"height": height, "width": width, "channels": channels, "pixels": "0..255"})
        if fits:
            assert Card.from_json(document).height == height
        else:
            with pytest.raises(CardError, match="card field input: impossible height, width, channels"):
                Card.from_json(document)

    @pytest.mark.parametrize("schema", [0, -1, 2])
    def test_schemas_that_there_are_not_are_refused(self, schema: int) -> None:
        with pytest.raises(CardError, match=f"up to schema 1, the card has {schema}: take a classify.py"):
            Card.from_json(card_json(schema=schema))

    @pytest.mark.parametrize("document", [None, [], "card", 3])
    def test_what_is_no_object_is_refused(self, document: object) -> None:
        with pytest.raises(CardError, match="is not a JSON object but"):
            Card.from_json(document)

    @pytest.mark.parametrize(
        ("changes", "found"),
        [
            ({"labels": ["a", "b\x1b[2J"]}, r"labels\[1\]: 'b\\x1b\[2J' holds control characters"),
            ({"labels": ["\u202ea"]}, r"labels\[0\]: "),
            ({"labels": ["a", 1]}, "labels: expected a list of at least one string"),
            ({"name": "a/b"}, "name: found 'a/b', expected a name without slashes"),
            ({"name": ".hidden"}, "name: found '.hidden'"),
            ({"name": "a\nb"}, "name: .* holds control characters"),
            ({"name": 3}, "name: found int, expected str"),
            ({"model": ""}, "model: found ''"),
            ({"model": "a\\b"}, "model: found"),
            ({"variant": "../x"}, "variant: found '../x'"),
            ({"variant": "a\x07"}, "variant: .* holds control characters"),
            ({"input": [28, 28]}, "input: found list, expected dict"),
            ({"input": {"height": 2, "width": 2, "channels": True, "pixels": "0..255"}}, "input.channels: found bool"),
            ({"input": {"height": 2, "channels": 1, "pixels": "0..255"}}, "input.width: found nothing, expected int"),
            ({"golden": {}}, "golden: found dict, expected list"),
            ({"golden": [3]}, r"golden\[0\]: expected an object with a picture"),
            ({"golden": [{"png": "AAAA"}, {"png": 3}]}, r"golden\[1\]: expected an object with a picture"),
            ({"golden": [{"png": "AA~A"}]}, r"golden\[0\]\.png: is no base64"),
            ({"golden_tolerance": []}, "golden_tolerance: found list"),
            ({"accuracy": 0.9}, "accuracy: found float"),
            ({"min_runtime": 2}, "min_runtime: found int"),
            ({"provenance": "x"}, "provenance: found str"),
            ({"session": []}, "session: found list"),
            ({"session": {"a": "b"}}, r"session.a: found 'b', expected a list of strings"),
            ({"session": {"a": ["b", 1]}}, r"session.a: found \['b', 1\]"),
            ({"preprocess": {}}, "preprocess: found dict, expected list"),
            ({"preprocess": [[]]}, r"preprocess: found \[\], expected \[name\]"),
            ({"preprocess": [["gray", {}, 1]]}, "preprocess: found .*, expected"),
            ({"preprocess": [[3]]}, "preprocess: found .*, expected"),
            ({"preprocess": [["gray", 3]]}, "preprocess: the parameters of step 'gray' are not an object: 3"),
        ],
    )
    def test_each_defect_is_named_with_what_was_found(self, changes: dict[str, Any], found: str) -> None:
        with pytest.raises(CardError, match=f"card field {found}"):
            Card.from_json(card_json(**changes))

    def test_what_may_be_left_out_may_be_null_or_right(self) -> None:
        for changes in (
            dict.fromkeys(("name", "golden", "golden_tolerance", "accuracy", "session", "min_runtime", "provenance")),
            {"name": "mine", "golden": [{"png": "AAAA"}], "session": {"a": ["b"], "c": []}, "min_runtime": "2.14"},
        ):
            assert Card.from_json(card_json(**changes)).labels == ("a", "b")

    @pytest.mark.parametrize(("output", "activation"), [(None, None), ({}, None), ({"activation": "sigmoid"}, "sigmoid")])
    def test_what_the_outputs_are_may_be_said(self, output: dict[str, str] | None, activation: str | None) -> None:
        assert Card.from_json(card_json(output=output)).activation == activation

    def test_outputs_that_there_are_not_are_refused(self) -> None:
        with pytest.raises(CardError, match=r"card field output\.activation: found 'relu', expected "):
            Card.from_json(card_json(output={"activation": "relu"}))
        with pytest.raises(CardError, match="card field output"):
            Card.from_json(card_json(output=["softmax"]))

    def test_a_step_without_parameters_is_its_name_alone(self) -> None:
        assert Step("gray").to_json() == ["gray"]
        assert Step.from_json(["gray"]) == Step.from_json(["gray", {}]) == Step("gray")
        assert Step("resize", {"size": 28}).to_json() == ["resize", {"size": 28}]
