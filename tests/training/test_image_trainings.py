"""The trainings on the pool: targets follow the images, a step learns, and what is written loads again."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mmedagent.networks.clip import load_clip
from mmedagent.networks.glance import GlanceConfig, GlanceNet, load_glance
from mmedagent.networks.grounding import load_grounding, to_corners
from mmedagent.networks.sam_refine import tight_boxes
from mmedagent.training import classification, glance, grounding, trunk
from mmedagent.training.classification_captions import all_texts
from mmedagent.training.feed import Batch, Run, batches
from mmedagent.training.grounding import without_counts
from mmedagent.training.grounding_data import Maker
from mmedagent.training.grounding_names import WORDINGS, load_names
from mmedagent.training.pool import Pool
from mmedagent.training.segmentation import OVER_TRUNK, start
from mmedagent.training.segmentation_data import jitter, object_masks, sample_of
from mmedagent.training.text_bank import make, read, write
from mmedagent.training.variation import Frames, Geometry, vary
from training.small_pool import write_small_pool

CPU = torch.device("cpu")
KINDS = ("ct", "fundus", "other")
SHARES = dict.fromkeys(KINDS, 1.0)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return write_small_pool(tmp_path_factory.mktemp("pool"), KINDS)


@pytest.fixture(scope="module")
def texts(pool: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("texts") / "texts.safetensors"
    reader = Pool(pool)
    reader.refresh()
    names = load_names().structures
    phrases = [wording.format(text) for one in names for text in (one.name, *one.seen) for wording in WORDINGS]
    write(make(all_texts(reader.rows()), phrases), path)
    return path


@pytest.fixture(scope="module")
def batch(pool: Path) -> Batch:
    return next(batches(pool, SHARES, 6, seed=0))


def test_no_held_out_name_is_trained_on() -> None:
    names = load_names()
    held_out = [text.lower() for one in names.structures for text in one.held_out]
    trained = {text.lower() for text in names.training_phrases()}
    assert len(held_out) == len(set(held_out)) >= 120
    assert not trained & set(held_out)


def test_the_same_view_moves_image_and_mask() -> None:
    torch.manual_seed(0)
    mask = torch.zeros(8, 1, 64, 64)
    mask[:, :, 20:40, 10:30] = 1
    sides = torch.arange(8) % 2 == 0
    view = Frames.draw(Geometry(zoom=(0.9, 1.1)), sides, torch.zeros(8, dtype=torch.bool))

    once, twice = view.apply(mask), view.of(torch.arange(8)).apply(mask)

    torch.testing.assert_close(once, twice)
    columns = torch.arange(64.0)
    middle = (once[:, 0].sum(dim=1) * columns).sum(dim=1) / once.sum(dim=(1, 2, 3))
    assert bool(((middle > 32) == sides).all())


def test_variation_keeps_the_range_and_changes_the_image() -> None:
    torch.manual_seed(0)
    images = torch.rand(16, 3, 48, 48)
    varied = vary(images)
    assert float(varied.min()) >= 0
    assert float(varied.max()) <= 1
    assert float((varied - images).abs().mean()) > 0.01


def test_prompts_of_the_segmentation_show_their_objects(batch: Batch) -> None:
    torch.manual_seed(0)
    sample = sample_of(batch, CPU, 4)
    assert sample.images.shape == (6, 3, 256, 256)
    assert sample.masks.shape == (24, 256, 256)
    assert sample.coverage.shape == (24, 128, 128)
    real = sample.weights > 0
    assert 0 < int(real.sum()) < 24
    for mask, box, points in zip(sample.coverage[real], sample.boxes[real], sample.points[real], strict=True):
        x, y = (points[0, :2] * 128).long().tolist()
        assert mask[y, x] > 0.5
        assert bool((box[:2] < box[2:]).all())


def test_a_mask_stays_within_its_box_and_gives_it_back(batch: Batch) -> None:
    number = next(place for place, row in enumerate(batch.rows) if len(row.objects) >= 3)
    row = batch.rows[number]
    masks = object_masks(batch.bits[number : number + 1], list(row.objects[:3]), 3)
    boxes, area = tight_boxes(masks > 0)
    for one, box, pixels in zip(row.objects[:3], boxes, area, strict=True):
        assert pixels >= one.area
        assert (box * 256).tolist() == pytest.approx(one.box)
    moved = jitter(boxes)
    assert float((moved - boxes).abs().max()) <= 0.15


def test_targets_of_the_grounding_are_where_the_prompts_masks_are(batch: Batch, texts: Path) -> None:
    torch.manual_seed(0)
    sample = Maker(load_names(), read(texts), CPU)(batch)
    assert bool(sample.real.any())
    for image, which in sample.real.nonzero().tolist():
        (prompt,) = set(sample.owners[image][sample.tokens[image, which]].tolist())
        x1, y1, x2, y2 = (to_corners(sample.boxes[image, which]) * 16).tolist()
        region = sample.regions[image, prompt]
        inside = region[int(y1) : int(np.ceil(y2)), int(x1) : int(np.ceil(x2))]
        assert float(inside.sum()) > 0
    absent = [row for row in range(6) if not bool(sample.real[row].any())]
    assert all(float(sample.regions[row].sum()) == 0 for row in absent if not batch.rows[row].modality)


@pytest.mark.parametrize("decoder", [False, True])
def test_grounding_learns_and_loads_again(batch: Batch, texts: Path, tmp_path: Path, decoder: bool) -> None:
    torch.manual_seed(0)
    trainer = grounding.Trainer(texts, CPU, decoder=decoder)
    two = Batch(batch.images[:2], batch.bits[:2], batch.rows[:2])
    run = Run("grounding", tmp_path / "last.pt", trainer.parts, trainer.network, 1e-3, 0.0, seconds=1e6)
    losses = [sum(run.step(trainer.losses(two, done=0.5), warm_up=1, clip=1.0).values()) for _ in range(6)]
    grounding.export(run.average.state, tmp_path / "out")

    network = load_grounding(tmp_path / "out")

    assert min(losses[3:]) < losses[0]
    (found,) = network.detect([np.zeros((50, 70), np.uint8)], [["liver", "spleen"]], [0.0])
    assert len(found.boxes) == len(found.scores) == len(found.phrases)


def test_a_fresh_decoder_hands_on_the_proposals(batch: Batch, texts: Path) -> None:
    torch.manual_seed(0)
    trainer = grounding.Trainer(texts, CPU, decoder=True)
    sample = trainer.make(Batch(batch.images[:2], batch.bits[:2], batch.rows[:2]))

    with torch.no_grad():
        predicted = trainer.predict(sample)

    width = sample.mask.shape[1]
    cell_logits = predicted.cell_logits[..., :width].masked_fill(~sample.mask[:, None], 0)
    best = predicted.cell_logits.amax(dim=-1).topk(predicted.boxes[0].shape[1]).indices[..., None]
    boxes = predicted.cell_boxes.gather(1, best.expand(-1, -1, 4))
    logits = cell_logits.gather(1, best.expand(-1, -1, width))
    torch.testing.assert_close(predicted.boxes[-1], boxes, atol=1e-4, rtol=0)
    mine = predicted.logits[-1][..., :width].masked_fill(~sample.mask[:, None], 0)
    torch.testing.assert_close(mine, logits, atol=0.05 * float(logits.abs().max()), rtol=0)


def test_a_second_training_keeps_the_proposals_and_hands_them_on(batch: Batch, texts: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    first = grounding.Trainer(texts, CPU, decoder=True)
    with torch.no_grad():
        for parameter in first.network.parameters():
            parameter.add_(0.01)
    grounding.export(first.network.state_dict(), tmp_path)

    only_proposals = grounding.Trainer(texts, CPU, start=tmp_path).network
    both = grounding.Trainer(texts, CPU, start=tmp_path, decoder=True).network

    for one in (only_proposals, both):
        torch.testing.assert_close(
            one.model.enc_output.weight, first.network.model.enc_output.weight, atol=1e-2, rtol=0
        )
    assert not bool(only_proposals.model.decoder.layers[0].fc2.weight.any())
    assert bool(both.model.decoder.layers[0].fc2.weight.any())


def test_detectors_and_segmentation_start_from_the_pretrained_trunk(batch: Batch, texts: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    names = load_names()
    network, lesson = trunk.Pretraining(len(names.structures)).train(), trunk.Lesson(names, CPU)
    images, truth, kind = lesson(batch, 64)
    shown = [place for place, one in enumerate(names.structures) if one.places_in(batch.rows[0])]
    assert sorted(truth[0].amax(dim=(1, 2)).nonzero().flatten().tolist()) == shown
    run = Run("trunk", tmp_path / "last.pt", network, network.trunk, 1e-3, 0.0, seconds=1e6)
    losses: list[float] = []
    for _ in range(8):
        logits, modality = network(images)
        losses.append(sum(run.step(trunk.loss_of(logits, modality, truth, kind), warm_up=1, clip=1.0).values()))
    run.save()

    detector = grounding.Trainer(texts, CPU, trunk=run.path).network.model.backbone.conv_encoder.model.state_dict()
    encoder = start(OVER_TRUNK, run.path).image_encoder.trunk.state_dict()

    assert losses[-1] < losses[0]
    for name, value in without_counts(run.average.state).items():
        torch.testing.assert_close(detector[name], value)
        torch.testing.assert_close(encoder[name], value)


def test_the_classifier_learns_where_structures_are(batch: Batch, texts: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    trainer = classification.Trainer(read(texts), CPU)
    seen = classification.views(batch, CPU)
    assert seen.coverage.shape == (6, len(classification.WHERE), classification.CELLS, classification.CELLS)
    for row, covered in zip(batch.rows, seen.coverage.amax(dim=(2, 3)), strict=True):
        shown = {place for place, one in enumerate(classification.WHERE) if one.places_in(row)}
        assert set(covered.nonzero().flatten().tolist()) <= shown
    run = Run("classification", tmp_path / "last.pt", trainer.parts, trainer.network, 1e-3, 0.0, seconds=1e6)
    losses = [run.step(trainer.losses(batch), warm_up=1, clip=1.0) for _ in range(8)]
    assert sum(one["dense"] for one in losses[4:]) < sum(one["dense"] for one in losses[:4])


def test_a_run_that_was_stopped_goes_on(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layer, data = torch.nn.Linear(2, 1), torch.rand(16, 2)
    first = Run("line", tmp_path / "last.pt", layer, layer, 1e-2, 0.0, seconds=1e6)
    for _ in range(3):
        first.step({"error": layer(data).pow(2).mean()}, warm_up=1, clip=1.0)
    first.save()
    other = torch.nn.Linear(2, 1)

    second = Run("line", tmp_path / "last.pt", other, other, 1e-2, 0.0, seconds=1e6)

    assert second.count == 3
    assert second.clock.spent >= first.clock.before
    torch.testing.assert_close(other.weight, layer.weight)
    torch.testing.assert_close(second.average.state["weight"], first.average.state["weight"])
    assert second.optimizer.state_dict()["state"][0]["step"] == 3


def test_classification_learns_and_loads_again(batch: Batch, texts: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    trainer = classification.Trainer(read(texts), CPU)
    run = Run("classification", tmp_path / "last.pt", trainer.parts, trainer.network, 2e-3, 0.0, seconds=1e6)
    losses = [run.step(trainer.losses(batch), warm_up=2, clip=1.0)["words"] for _ in range(6)]
    temperatures = dict.fromkeys(("modality", "anatomy", "histology", "finding", "medical"), 1.0)
    classification.export(run.average.state, trainer.config, temperatures, tmp_path / "out")

    model = load_clip(tmp_path / "out")

    assert min(losses[3:]) < losses[0]
    assert model.encode_images([np.zeros((50, 70), np.uint8)]).shape == (1, 256)


def test_the_glance_learns_and_loads_again(pool: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    names: dict[str, tuple[str, ...]] = dict.fromkeys(("view", "technique", "findings", "sides"), ("a", "b"))
    names |= {"modality": ("CT", "fundus"), "anatomy": ("abdomen", "eye"), "structures": ("liver", "optic disc")}
    net = GlanceNet({head: len(known) for head, known in names.items()})
    data = next(batches(pool, SHARES, 6, seed=1))
    targets = glance.targets_of(data.rows, names)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    losses = []
    for _ in range(8):
        loss = glance.loss_of(net(glance.seen(data, CPU)), targets)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    one = dict.fromkeys(names, 1.0)
    glance.export(net, GlanceConfig(sha256="0" * 64, names=names, temperatures=one, accuracies=one), tmp_path)

    seen = load_glance(tmp_path).at(np.zeros((40, 60, 3), np.uint8))

    assert losses[-1] < losses[0]
    assert sum(seen.chances["modality"].values()) == pytest.approx(1)
