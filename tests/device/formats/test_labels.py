"""Files of labels in the forms that users have."""

from pathlib import Path

import pytest

from device.errors import EdgeproofError
from device.formats.labels import read_labels, twice_text


@pytest.mark.parametrize(
    ("name", "text", "labels"),
    [
        ("labels.txt", "cat\ndog\n", ["cat", "dog"]),
        ("labels.txt", "\ufeffcat\r\ndog\r\n\r\n\r\n", ["cat", "dog"]),
        ("labels.txt", "0 cat\n1 dog big\n", ["cat", "dog big"]),
        ("labels.txt", "1: dog\n0: cat\n2: emu", ["cat", "dog", "emu"]),
        ("labels.txt", "1 cat\n2 dog", ["cat", "dog"]),
        ("labels.txt", "1 cent\n2 cent", ["1 cent", "2 cent"]),
        ("labels.txt", "5 cents\n10 cents", ["5 cents", "10 cents"]),
        ("labels.txt", "0\n1\n2", ["0", "1", "2"]),
        ("labels.txt", "dog 1\ncat: 0\nemu 2", ["cat", "dog", "emu"]),
        ("labels.txt", "Class 0\nClass 1", ["Class 0", "Class 1"]),
        ("labels.txt", "Boeing 1\nAirbus 2", ["Boeing 1", "Airbus 2"]),
        ("labels.txt", "cat 0\ndog", ["cat 0", "dog"]),
        ("labels.txt", "0 0\n1 1", ["0", "1"]),
        ("labels.csv", "cat\ndog\n", ["cat", "dog"]),
        ("labels.csv", "label\ncat\ndog\n", ["cat", "dog"]),
        ("labels.csv", "index,label\n1,dog\n0,cat\n", ["cat", "dog"]),
        ("labels.csv", "0,cat\n1,dog\n", ["cat", "dog"]),
        ("labels.csv", 'nr;was\n0;"cat; tabby"\n1;dog\n', ["cat; tabby", "dog"]),
        ("map.csv", "index,mid,display_name\n0,/m/1,Cat\n1,/m/2,Dog\n", ["Cat", "Dog"]),
        ("labels.csv", "label,name\n1,dog\n0,cat\n", ["cat", "dog"]),
        ("labels.csv", "name,label\ndog,2\ncat,1\n", ["cat", "dog"]),
        ("labels.csv", "category,description\n1,dog\n0,cat\n", ["cat", "dog"]),
        ("labels.txt", "0 stars\n1 star\n2 stars", ["0 stars", "1 star", "2 stars"]),
        ("gaps.csv", "category,description\n7,green\n2,blue\n", ["green", "blue"]),
        ("labels.tsv", "0\tcat\n1\tdog\n", ["cat", "dog"]),
        ("labels.json", '["cat", "dog"]', ["cat", "dog"]),
        ("labels.json", '{"1": "dog", "0": "cat"}', ["cat", "dog"]),
        ("class_indices.json", '{"dog": 1, "cat": 0}', ["cat", "dog"]),
        ("config.json", '{"model_type": "vit", "id2label": {"0": "cat", "1": "dog"}}', ["cat", "dog"]),
        ("imagenet.json", '{"0": ["n01", "tench"], "1": ["n02", "goldfish"]}', ["tench", "goldfish"]),
        ("labels.json", '[{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}]', ["cat", "dog"]),
        ("coco.json", '{"categories": [{"id": 2, "name": "dog"}, {"id": 1, "name": "cat"}]}', ["cat", "dog"]),
        ("labels.json", '[{"index": 1, "label": "dog"}, {"index": 0, "label": "cat"}]', ["cat", "dog"]),
        ("labels.json", '[{"id": "n02", "name": "dog"}, {"id": "n01", "name": "cat"}]', ["dog", "cat"]),
    ],
)
def test_labels_come_in_the_order_of_the_outputs(tmp_path: Path, name: str, text: str, labels: list[str]) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    assert read_labels(tmp_path / name) == labels


def test_a_text_of_notepad_is_read_by_its_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes("Katze\r\nHündin\r\n".encode("utf-16"))
    assert read_labels(tmp_path / "labels.txt") == ["Katze", "Hündin"]


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("labels.txt", b"", "no labels"),
        ("labels.txt", b"\r\n \r\n", "no labels"),
        ("labels.txt", b"cat\0\n", "label 0 'cat\\x00' holds control characters"),
        ("labels.txt", b"cat\nd\x14g\n", "label 1 'd\\x14g' holds control characters"),
        ("labels.txt", b"\xff\xfa\x00", "byte 0 is 0xff, which is no UTF-8: save it as UTF-8"),
        ("latin1.txt", "Hündin\n".encode("latin-1"), "byte 1 is 0xfc, which is no UTF-8: save it as UTF-8"),
        ("map.pbtxt", b'# cats\nitem {\n id: 1\n name: "cat"\n}\n', "it is a label map (.pbtxt): give the names in it"),
        ("data.yaml", b"names:\n  0: cat\n  1: dog\n", "it is YAML: give the names in it"),
        ("labels.txt", b"# set\nnames:\n  - cat\n  - dog\n", "it is YAML: give the names in it"),
        ("labels.txt", b"cat\n\ndog\n", "line 2 is empty, which would move the labels after it"),
        ("labels.json", b'{"cat": 0, "dog": 2}', "numbers 0, 2, ... are not 0 to 1"),
        ("coco.json", b'[{"id": 1, "name": "cat"}, {"id": 3, "name": "dog"}]', "numbers 1, 3, ... are not 0 to 1"),
        ("labels.json", b'{"cat": "dog"}', "its keys are cat"),
        ("labels.json", b'["cat", null]', "None in place of a label"),
        ("labels.json", b'["cat", ""]', "label 1 is empty"),
        ("labels.json", b'["cat"', "cannot be read as labels"),
        ("labels.csv", b"0,cat\n1\n", "different numbers of columns"),
    ],
)
def test_what_holds_no_labels_is_said_with_what_is_expected(tmp_path: Path, name: str, content: bytes, found: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(EdgeproofError, match="expected one label a line") as error:
        read_labels(tmp_path / name)
    assert found in str(error.value)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["blue", "red", "green"], ""),
        (["blue", "red", "red"], "'red' is label 1 and 2: answers do not tell them apart"),
        (list("abcdeabcde"), "'a' is label 0 and 5, 'b' is label 1 and 6, 'c' is label 2 and 7 and 2 more: answers do not"),
    ],
)
def test_labels_that_are_not_unique_are_named_by_their_numbers(labels: list[str], said: str) -> None:
    assert twice_text(labels).startswith(said)
    assert bool(twice_text(labels)) is bool(said)


def test_a_folder_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(EdgeproofError, match="is a folder, and no file of labels: expected one label a line"):
        read_labels(tmp_path)


def test_a_label_that_begins_as_a_map_does_is_a_label(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("item\nitem frame\n")
    assert read_labels(tmp_path / "labels.txt") == ["item", "item frame"]
