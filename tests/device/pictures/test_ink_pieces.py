"""The connected pieces of ink, held against scipy's."""

import numpy as np
import pytest

from device.pictures.ink_pieces import Blob, find_blobs, find_runs, gap_between, paint


class TestParts:
    MASK = np.random.default_rng(0).integers(0, 3, (40, 60)) == 0

    def test_connected_pieces_count_corners(self) -> None:
        from scipy.ndimage import find_objects, label

        labels, count = label(self.MASK, np.ones((3, 3)))
        runs = find_runs(self.MASK)
        blobs = find_blobs(runs, np.zeros(self.MASK.shape, np.int32))
        assert len(blobs) == count
        boxes = sorted((b.start, a.start, b.stop, a.stop) for a, b in find_objects(labels))
        assert sorted(blob[:4] for blob in blobs) == boxes
        assert sorted(blob.area for blob in blobs) == sorted(np.bincount(labels.ravel())[1:].tolist())
        border = np.ones_like(self.MASK)
        border[1:-1, 1:-1] = False
        assert sorted(blob.edge for blob in blobs) == sorted(np.bincount(labels[border], minlength=count + 1)[1:].tolist())

    def test_pieces_are_painted_as_they_were(self) -> None:
        from scipy.ndimage import label

        labels, count = label(self.MASK, np.ones((3, 3)))
        runs = find_runs(self.MASK)
        for number in range(count):
            painted = paint(runs, [number], self.MASK.shape)
            assert len(set(labels[painted].tolist())) == 1
            assert painted.sum() == (labels == labels[painted][0]).sum()
        assert np.array_equal(paint(runs, list(range(count)), self.MASK.shape), self.MASK)

    def test_without_corners_only_sides_connect(self) -> None:
        from scipy.ndimage import label

        _, count = label(self.MASK)
        assert len(find_blobs(find_runs(self.MASK, corners=False), np.zeros(self.MASK.shape, np.int32))) == count

    @pytest.mark.parametrize(
        ("other", "gap"),
        [((30, 0, 40, 9), 20), ((0, 25, 9, 40), 5), ((12, 50, 14, 60), 30), ((10, 20, 12, 22), 0), ((4, 4, 6, 6), 0)],
    )
    def test_the_gap_is_the_larger_distance(self, other: tuple[int, int, int, int], gap: int) -> None:
        one, two = Blob(0, 0, 10, 20, 9, 0, True), Blob(*other, 9, 0, True)
        assert (gap_between(one, two), gap_between(two, one)) == (gap, gap)
