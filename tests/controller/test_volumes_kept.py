"""What is not a volume, what is kept of studies and for whom, and what goes with them."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from nibabel.nifti1 import Nifti1Image
from PIL import Image
from pydicom.pixels.utils import pixel_array
from sqlalchemy.orm import Session

from mmedagent.controller.store import repository
from mmedagent.controller.store.database import Database
from mmedagent.controller.store.models import ArtifactRow, FileRow
from mmedagent.protocol.errors import NotFoundError
from support.images import CT_FILE, ct_bytes, png_bytes
from support.problems import assert_problem
from support.script import told
from support.series import brain, dicom_bytes, nifti_bytes, series_datasets, series_files, zip_bytes
from support.studies import BOX, BoxMaskTool, send
from support.system import System, running_system

CINE_FILE = CT_FILE.with_name("examples_ybr_color.dcm")
OWNER, OTHER = "local", "somebody else"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running_system(tmp_path_factory.mktemp("kept"), [told("")], [BoxMaskTool()]) as running:
        yield running


def uploaded(system: System, *files: bytes) -> dict[str, Any]:
    answer = send(system, *files)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def mask_of(system: System, file_id: str, index: int) -> str:
    body = {"file_id": file_id, "parameters": {"boxes": [BOX], "slice": index}}
    answer = system.http.post("/v1/tools/boxmask/invoke", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["artifacts"][0]["sha256"])


def test_one_ct_slice_in_hounsfield_units(system: System) -> None:
    study = uploaded(system, ct_bytes())
    assert (study["frame_count"], study["volume"]) == (1, None)
    url = f"/v1/files/{study['id']}"
    info = system.http.get(f"{url}/frames").json()
    assert (info["unit"], info["dtype"], info["spacing_source"]) == ("HU", "int16", "PixelSpacing")
    assert info["orientation"] == {"left": "R", "right": "L", "top": "A", "bottom": "P"}
    pixels = np.frombuffer(system.http.get(f"{url}/frames/0/pixels").content, "<i2").reshape(128, 128)
    np.testing.assert_array_equal(pixels * info["slope"] + info["intercept"], pixel_array(CT_FILE) - 1024.0)
    frame = system.http.get(f"/v1/artifacts/{study['frame']['sha256']}").content
    assert system.http.get(f"{url}/frames/0").content == frame
    detail = assert_problem(system.http.get(f"{url}/volume.nii.gz"), 409, "conflict")
    assert "one slice" in detail


def test_a_mask_of_one_slice_lies_where_the_slice_does(system: System) -> None:
    """The first pixel of the file, in the patient: DICOM's own numbers against the mask's affine."""
    study = uploaded(system, ct_bytes())
    sha256 = mask_of(system, study["id"], 0)
    content = system.http.get(f"/v1/files/{study['id']}/masks/{sha256}.nii.gz").content
    mask = Nifti1Image.from_bytes(gzip.decompress(content))
    assert mask.shape == (128, 128, 1)
    header = pydicom.dcmread(CT_FILE)
    # The box begins at row 64 and column 32 of the picture.
    corner = np.array(header.ImagePositionPatient) + np.array([32, 64, 0]) * header.PixelSpacing[0]
    inside = np.argwhere(np.asarray(mask.dataobj)[..., 0])
    i, j = inside[:, 0].min(), inside[:, 1].max()
    np.testing.assert_allclose((mask.affine @ [i, j, 0, 1])[:3], corner * [-1, -1, 1], atol=1e-3)
    assert len(inside) == 32 * 32


def test_a_picture_has_one_frame_and_no_place(system: System) -> None:
    study = uploaded(system, png_bytes(24, 16))
    url = f"/v1/files/{study['id']}"
    info = system.http.get(f"{url}/frames").json()
    assert (info["count"], info["samples"], info["orientation"], info["spacing_mm"]) == (1, 3, None, None)
    pixels = system.http.get(f"{url}/frames/0/pixels").content
    np.testing.assert_array_equal(
        np.frombuffer(pixels, np.uint8).reshape(16, 24, 3), np.asarray(Image.open(io.BytesIO(png_bytes(24, 16))))
    )
    sha256 = mask_of(system, study["id"], 0)
    for path in ("volume.nii.gz", f"masks/{sha256}.nii.gz"):
        detail = assert_problem(system.http.get(f"{url}/{path}"), 409, "conflict")
        assert "does not say where" in detail


def test_frames_of_a_cine_loop(system: System) -> None:
    study = uploaded(system, CINE_FILE.read_bytes())
    assert (study["frame_count"], study["volume"], study["frame"]["slice"]) == (30, None, 0)
    url = f"/v1/files/{study['id']}/frames"
    for index in (0, 17, 29):
        expected = pixel_array(CINE_FILE, index=index)
        pixels = np.frombuffer(system.http.get(f"{url}/{index}/pixels").content, np.uint8)
        np.testing.assert_array_equal(pixels.reshape(240, 320, 3), expected)
        shown = system.http.get(f"{url}/{index}").content
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(shown))), expected)
    assert_problem(system.http.get(f"{url}/30"), 404, "not_found")


def test_a_stack_says_why_it_is_no_volume(system: System) -> None:
    datasets = series_datasets(*brain(16, 16, 6))
    study = uploaded(system, *(dicom_bytes(one) for number, one in enumerate(datasets) if number != 2))
    volume = study["volume"]
    assert (study["frame_count"], volume["regular"], volume["affine"]) == (5, False, None)
    sha256 = mask_of(system, study["id"], 3)
    for path in ("volume.nii.gz", f"masks/{sha256}.nii.gz"):
        detail = assert_problem(system.http.get(f"/v1/files/{study['id']}/{path}"), 409, "conflict")
        assert "not equally spaced" in detail


def test_several_series_are_told_apart(system: System) -> None:
    files = [*series_files(*brain(8, 8, 3)), *series_files(*brain(8, 8, 3))]
    for sent in (files, [zip_bytes(files)]):
        assert "2 DICOM series" in assert_problem(send(system, *sent), 415, "unsupported_image")
    assert list((system.settings.blob_folder / "incoming").iterdir()) == []


def test_an_upload_has_a_number_of_files(system: System) -> None:
    assert_problem(system.http.post("/v1/files", files=[]), 422, "invalid_request")
    too_many = [b"x"] * 1_001
    assert send(system, *too_many).status_code in (400, 422)


def test_what_was_made_from_a_study_goes_with_it(tmp_path: Path) -> None:
    """Frames and masks of every slice; a blank slice that two studies share stays until both are gone."""
    values = np.zeros((16, 12, 4), np.int16)
    studies = [values.copy(), values.copy()]
    studies[0][2:9, 3:7, 2], studies[1][4:9, 5:9, 2] = 90, 70
    with running_system(tmp_path, [told("")], [BoxMaskTool()]) as system:
        first, second = (uploaded(system, nifti_bytes(one, np.eye(4), cal_max=100)) for one in studies)
        made = {study["id"]: [mask_of(system, study["id"], index) for index in range(4)] for study in (first, second)}
        with Session(sa.create_engine(system.settings.database)) as session:
            rows = session.scalars(sa.select(ArtifactRow)).all()
        frames = {
            study["id"]: [row.sha256 for row in rows if row.source_sha256 == study["frame"]["source_sha256"]]
            for study in (first, second)
        }
        shared = set(frames[first["id"]]) & set(frames[second["id"]])
        assert len(shared) == 2, "the blank frame, and the mask that is the same in all"
        assert system.http.delete(f"/v1/files/{first['id']}").status_code == 200
        own = set(frames[first["id"]]) - shared
        assert len(own) == 1
        assert {system.http.get(f"/v1/artifacts/{one}").status_code for one in own} == {404}
        assert {system.http.get(f"/v1/artifacts/{one}").status_code for one in frames[second["id"]]} == {200}
        mask = system.http.get(f"/v1/files/{second['id']}/masks/{made[second['id']][0]}.nii.gz")
        assert mask.status_code == 200
        gone = system.http.get(f"/v1/files/{first['id']}/frames/1")
        assert_problem(gone, 404, "not_found")
        assert system.http.delete(f"/v1/files/{second['id']}").status_code == 200
        assert [path for path in system.settings.blob_folder.rglob("*") if path.is_file()] == []


def test_the_name_of_a_patient_is_not_kept(tmp_path: Path) -> None:
    identity = {"PatientName": "Doe^Jane", "PatientID": "Doe-1"}
    values, affine = brain(16, 16, 3)
    image = Nifti1Image(values, affine)
    image.header["descrip"] = b"Doe^Jane"
    with running_system(tmp_path, [told("")]) as system:
        files = series_files(values, affine, **identity)
        assert all(b"Doe" in one for one in files)
        uploaded(system, zip_bytes(files, [f"Doe/{number}" for number in range(3)]))
        uploaded(system, *files)
        uploaded(system, image.to_bytes())
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert len(kept) > 3 * values.nbytes
    assert b"Doe" not in kept


def test_older_rows_stay_readable(tmp_path: Path) -> None:
    """A database of the first version: its file and its artifact are there, its frames want a new upload."""
    url = f"sqlite:///{tmp_path / 'old.sqlite'}"
    engine = sa.create_engine(url)
    config = Config()
    folder = Path(repository.__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder))
    config.attributes["engine"] = engine
    command.upgrade(config, "0001")
    sha256, image = "0" * 64, '{"sha256": "", "source_sha256": ""}'
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO files VALUES ('file-1', 'local', 1.0, 'a', 'image/png', 1, ?, ?, ?)", (sha256, sha256, image)
        )
        connection.exec_driver_sql(
            "INSERT INTO artifacts VALUES ('local', ?, 'image/png', 1.0, ?), ('local', ?, 'image/png', 1.0, NULL)",
            (sha256, sha256, "1" * 64),
        )
    Database(url).migrate()
    with Session(engine) as session:
        assert session.get_one(FileRow, "file-1").facts is None
        assert repository.artifact_of(session, OWNER, sha256).source_sha256 == sha256
        assert repository.artifact_of(session, OWNER, "1" * 64).source_sha256 == ""
        for query in (
            lambda: repository.artifact_of(session, OTHER, sha256),
            lambda: repository.file_with_source(session, OTHER, sha256),
            lambda: repository.slice_of_artifact(session, OTHER, sha256, sha256),
        ):
            with pytest.raises(NotFoundError):
                query()
    command.downgrade(config, "0001")
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT source_sha256 FROM artifacts ORDER BY sha256").scalars().all()
    assert list(rows) == [sha256, None]
    engine.dispose()


def test_the_example_brain_is_refused_with_a_reason(system: System) -> None:
    """It has two time points."""
    content = (Path(nibabel.__file__).parent / "tests" / "data" / "example4d.nii.gz").read_bytes()
    assert "2 volumes" in assert_problem(send(system, content), 415, "unsupported_image")
