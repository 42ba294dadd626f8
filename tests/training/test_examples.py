"""The example CT slices that ship: Hounsfield units in 16 bits, and the organs that their phantoms have."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.pixels.processing import apply_rescale

from mmedagent.training.examples import CT_FILES, FIELD_OF_VIEW_MM, ORGANS, abdominal_ct, ct_as_dicom
from mmedagent.training.phantoms import generate

EXAMPLES = Path(__file__).parents[2] / "examples"
MOST_BYTES = 400_000


@pytest.mark.parametrize("name", CT_FILES)
def test_an_example_ct_is_a_small_16_bit_image_with_spacing_and_window(name: str) -> None:
    assert (EXAMPLES / name).stat().st_size <= MOST_BYTES
    dataset = dcmread(EXAMPLES / name)
    assert (dataset.Modality, dataset.BodyPartExamined, dataset.BitsAllocated) == ("CT", "ABDOMEN", 16)
    assert (float(dataset.WindowCenter), float(dataset.WindowWidth)) == (50, 400)
    assert float(dataset.PixelSpacing[0]) * dataset.Rows == pytest.approx(FIELD_OF_VIEW_MM, abs=0.01)
    assert float(apply_rescale(dataset.pixel_array, dataset).min()) == pytest.approx(-1000, abs=60)


def test_example_studies_differ_in_their_identifiers() -> None:
    studies = {dcmread(EXAMPLES / name, stop_before_pixels=True).StudyInstanceUID for name in CT_FILES}
    assert len(studies) == len(CT_FILES)


@pytest.mark.parametrize(("number", "name"), list(enumerate(CT_FILES, start=1)))
def test_an_example_ct_is_what_the_code_draws(number: int, name: str) -> None:
    phantom = abdominal_ct(CT_FILES[name], number)
    dataset = dcmread(EXAMPLES / name)
    values = apply_rescale(dataset.pixel_array, dataset)
    assert phantom.hounsfield is not None
    assert float(np.abs(values - phantom.hounsfield).mean()) < 1
    for organ in ORGANS:
        assert 0 < float(np.median(values[phantom.masks[organ]])) < 260, organ
    assert phantom.findings == (("liver lesion",) if CT_FILES[name] else ())


def test_a_phantom_without_hounsfield_units_is_no_ct() -> None:
    with pytest.raises(ValueError, match="MR phantom has no Hounsfield units"):
        ct_as_dicom(generate("mr", np.random.default_rng(0), 64), 1)
