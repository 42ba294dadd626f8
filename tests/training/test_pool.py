"""The pool of phantoms: what is stored is what was drawn, and a stopped run goes on."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mmedagent.training import pool
from mmedagent.training.pool import Object, Pool, example_of, main_pieces, objects_of, plan, write_shard


def test_pieces_of_a_structure_are_objects_of_their_own() -> None:
    left, right = np.zeros((2, 40, 60), np.bool_)
    left[5:15, 5:20] = True
    left[20:30, 30:50] = True
    right[2:4, 2:4] = True

    objects = objects_of({"cell": left, "dust": right})

    assert [one.box for one in objects] == [(30, 20, 50, 30), (5, 5, 20, 15)]
    assert {one.structure for one in objects} == {0}
    assert all(one.alone for one in objects)


def test_an_object_whose_box_holds_a_sibling_is_not_alone() -> None:
    ring = np.zeros((40, 40), np.bool_)
    ring[2:38, 2:38] = True
    ring[6:34, 6:34] = False
    ring[15:25, 15:25] = True

    outer, inner = objects_of({"ring": ring})

    assert not outer.alone
    assert inner.alone


def test_crumbs_of_a_structure_are_left_out() -> None:
    pieces = (Object(0, (0, 0, 9, 9), 100, True), Object(0, (0, 0, 3, 3), 9, True), Object(1, (0, 0, 3, 3), 9, True))
    assert main_pieces(pieces) == (pieces[0], pieces[2])


def test_a_shard_holds_what_was_drawn_and_is_drawn_once(tmp_path: Path) -> None:
    write_shard(tmp_path, "fundus", 3)
    written = (tmp_path / "fundus-00003" / "images.npy").stat().st_mtime_ns
    write_shard(tmp_path, "fundus", 3)
    reader = Pool(tmp_path)

    assert reader.refresh() == pool.SHARD
    assert (tmp_path / "fundus-00003" / "images.npy").stat().st_mtime_ns == written
    example = reader.pick(np.random.default_rng(0), "fundus")
    assert example.image.shape == (pool.SIZE, pool.SIZE, 3)
    assert example.row.modality == "fundus"
    for one in example.row.objects:
        x1, y1, x2, y2 = one.box
        inside = (np.asarray(example.bits)[y1:y2, x1:x2] >> np.uint32(one.structure)) & 1
        assert one.area <= int(inside.sum())


def test_the_bits_are_the_masks_of_the_phantom() -> None:
    phantom = pool.draw("ct", np.random.default_rng(4))
    example = example_of(phantom)
    for place, name in enumerate(example.row.names):
        np.testing.assert_array_equal((example.bits >> np.uint32(place)) & 1, phantom.masks[name])


def test_kinds_come_by_their_shares_from_the_start() -> None:
    shards = list(plan(pool.SHARD * 100))
    counts = Counter(kind for kind, _ in shards[:50])
    assert set(counts) == set(pool.SHARES)
    assert all(abs(counts[kind] - 50 * share) <= 1.5 for kind, share in pool.SHARES.items())
    assert len(set(shards)) == 100


def test_an_empty_pool_says_so(tmp_path: Path) -> None:
    reader = Pool(tmp_path / "nothing")
    assert reader.refresh() == 0
    with pytest.raises(KeyError):
        reader.pick(np.random.default_rng(0), "ct")
