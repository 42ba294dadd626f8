"""A DICOM data set reduced to what is needed to display and measure its picture.

Allow-list, not block-list: only the elements of `dicom_terms` are copied, each with the value representation that the
dictionary gives it, text only from closed sets. Private elements, overlays, dates, descriptions and identities never
enter the copy. UIDs are new and random; the SOP class is kept where it is a registered one.

Not removed: text that is burned into the pixels, and comments that a compressor wrote inside a compressed frame.
"""

from __future__ import annotations

import io

from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import BytesLengthException
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from mmedagent.imaging.dicom_terms import NUMBERS, SEQUENCES, TERMS

_DEEPEST = 3


def deidentified(source: Dataset, transfer_syntax: UID) -> Dataset:
    """A copy of `source` that holds nothing else, in the given transfer syntax (PS3.15 Annex E).

    Elements whose values cannot be read are left out, as if the file did not have them.
    """
    kept = _filtered(source, _DEEPEST)
    sop_class = _registered_class(source)
    kept.SOPClassUID = sop_class
    kept.SOPInstanceUID, kept.StudyInstanceUID, kept.SeriesInstanceUID = (generate_uid(prefix=None) for _ in range(3))
    kept.PatientName = kept.PatientID = ""
    kept.PatientIdentityRemoved = "YES"
    kept.DeidentificationMethod = "Allow-list of display elements; burned-in text not removed"
    method = Dataset()
    method.CodeValue, method.CodingSchemeDesignator = "113100", "DCM"
    method.CodeMeaning = "Basic Application Confidentiality Profile"
    kept.DeidentificationMethodCodeSequence = Sequence([method])
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, kept.SOPInstanceUID
    meta.TransferSyntaxUID = transfer_syntax
    kept.file_meta = meta
    kept.preamble = bytes(128)
    return kept


def to_part10(dataset: Dataset) -> bytes:
    """The data set as a DICOM file (PS3.10), with an empty preamble."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def kept_syntax(transfer_syntax: UID) -> UID:
    """Transfer syntax of the copy: the file's own, but inflated where it is deflated."""
    return ExplicitVRLittleEndian if transfer_syntax.is_deflated else transfer_syntax


def _filtered(source: Dataset, depth: int) -> Dataset:
    kept = Dataset()
    for tag in source.keys():  # noqa: SIM118 (iterating the data set itself would convert every element)
        keyword = keyword_for_tag(tag)
        if keyword in SEQUENCES and depth > 0:
            _keep_items(kept, source, keyword, depth)
        elif keyword in TERMS or keyword in NUMBERS:
            element = _readable(source, keyword)
            if element is not None and _is_allowed(element, keyword):
                kept.add(element)
    return kept


def _keep_items(kept: Dataset, source: Dataset, keyword: str, depth: int) -> None:
    element = _readable(source, keyword)
    if element is not None and element.VR == "SQ":
        kept.add(DataElement(element.tag, "SQ", Sequence([_filtered(item, depth - 1) for item in element.value])))


def _readable(source: Dataset, keyword: str) -> DataElement | None:
    try:
        element: DataElement = source[keyword]
    except (ArithmeticError, BytesLengthException, LookupError, NotImplementedError, TypeError, ValueError):
        return None
    return element


def _is_allowed(element: DataElement, keyword: str) -> bool:
    if element.VR not in dictionary_VR(element.tag).split(" or "):
        return False
    return keyword in NUMBERS or (element.VM == 1 and element.value in TERMS[keyword])


def _registered_class(source: Dataset) -> UID:
    value = _readable(source, "SOPClassUID")
    if value is not None and value.VM == 1 and UID(value.value).type == "SOP Class":
        return UID(value.value)
    return SecondaryCaptureImageStorage
