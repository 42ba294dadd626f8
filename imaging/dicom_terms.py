"""The DICOM elements that leave this package, and the terms that their text may consist of.

An allow-list by element and by value: a free text, a name in the wrong field or an instruction to a language model
cannot pass, because no element here holds text outside a closed set.
"""

from __future__ import annotations

from pydicom.datadict import tag_for_keyword


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MODALITIES = _words(
    "AS BI BMD CR CT DG DMS DX ECG ES GM IO IVOCT IVUS LEN LS MG MR NM OCT OP OPM OPT OPTBSV OPTENF OT PT PX RF RG "
    "RTIMAGE SM TG US VA XA XC"
)
"""Modality (0008,0060) of objects that hold pictures, PS3.3 C.7.3.1.1.1."""

NOT_PICTURES = _words("SEG RTDOSE RTSTRUCT RTPLAN RTRECORD SR PR KO REG FID DOC PLAN M3D STAIN")
"""Modalities of objects that may hold pixel data or none, and that are not pictures of a patient."""

BODY_PARTS = _words(
    "ABDOMEN ABDOMENPELVIS ADRENAL ANKLE AORTA ARM AXILLA BACK BLADDER BRAIN BREAST BRONCHUS BUTTOCK CALCANEUS CALF "
    "CAROTID CEREBELLUM CERVIX CHEEK CHEST CHESTABDOMEN CHESTABDPELVIS CIRCLEOFWILLIS CLAVICLE COCCYX COLON CORNEA "
    "CORONARYARTERY CSPINE CTSPINE DUODENUM EAR ELBOW ESOPHAGUS EXTREMITY EYE EYELID FACE FEMUR FINGER FOOT FOREARM "
    "GALLBLADDER HAND HEAD HEADNECK HEART HIP HUMERUS ILEUM ILIUM IAC JAW JEJUNUM KIDNEY KNEE LARYNX LEG LIVER "
    "LSPINE LSSPINE LUNG MANDIBLE MAXILLA MEDIASTINUM MOUTH NECK NECKCHEST NECKCHESTABDOMEN NECKCHESTABDPELV NOSE "
    "ORBIT OVARY PANCREAS PAROTID PATELLA PELVIS PENIS PHARYNX PROSTATE RECTUM RETINA RIB SCALP SCAPULA SCLERA "
    "SCROTUM SHOULDER SIJOINT SKIN SKULL SPINE SPLEEN SSPINE STERNUM STOMACH SUBMANDIBULAR TESTIS THIGH THUMB THYMUS "
    "THYROID TIBIA TIBIAFIBULA TLSPINE TOE TONGUE TRACHEA TSPINE URETER URETHRA UTERUS VAGINA "
    "WHOLEBODY WRIST ZYGOMA"
)
"""Body Part Examined (0018,0015): the common terms of PS3.16 Annex L, and spellings that scanners write."""

_YES_NO = frozenset({"YES", "NO"})
_SIDES = frozenset({"R", "L", "U", "B"})

TERMS: dict[str, frozenset[str]] = {
    "Modality": MODALITIES,
    "BodyPartExamined": BODY_PARTS,
    "Laterality": _SIDES,
    "ImageLaterality": _SIDES,
    "FrameLaterality": _SIDES,
    "BurnedInAnnotation": _YES_NO,
    "LossyImageCompression": frozenset({"00", "01"}),
    "PhotometricInterpretation": frozenset(
        {"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"}
    ),
    "PixelSpacingCalibrationType": frozenset({"GEOMETRY", "FIDUCIAL"}),
    "PresentationLUTShape": frozenset({"IDENTITY", "INVERSE"}),
    "RescaleType": frozenset({"HU", "HU_MOD", "OD", "US", "PCT", "MGML", "Z_EFF", "ED", "EDW", "BQML", "SUV"}),
    "VOILUTFunction": frozenset({"LINEAR", "LINEAR_EXACT", "SIGMOID"}),
}
"""Elements that hold text, each with every value that it may have."""

NUMBERS: frozenset[str] = _words(
    "SamplesPerPixel PlanarConfiguration NumberOfFrames Rows Columns BitsAllocated BitsStored HighBit "
    "PixelRepresentation PixelPaddingValue PixelPaddingRangeLimit PixelAspectRatio "
    "RedPaletteColorLookupTableDescriptor GreenPaletteColorLookupTableDescriptor "
    "BluePaletteColorLookupTableDescriptor RedPaletteColorLookupTableData GreenPaletteColorLookupTableData "
    "BluePaletteColorLookupTableData SegmentedRedPaletteColorLookupTableData "
    "SegmentedGreenPaletteColorLookupTableData SegmentedBluePaletteColorLookupTableData RescaleIntercept "
    "RescaleSlope LUTDescriptor LUTData WindowCenter WindowWidth PixelSpacing ImagerPixelSpacing "
    "NominalScannedPixelSpacing EstimatedRadiographicMagnificationFactor SliceThickness SpacingBetweenSlices "
    "ImageOrientationPatient ImagePositionPatient ExtendedOffsetTable ExtendedOffsetTableLengths PixelData"
)
"""Elements that hold numbers or pixels."""

SEQUENCES: frozenset[str] = _words(
    "ModalityLUTSequence VOILUTSequence SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence "
    "PixelMeasuresSequence PixelValueTransformationSequence FrameVOILUTSequence FrameAnatomySequence "
    "PlaneOrientationSequence PlanePositionSequence"
)
"""Sequences whose items are filtered by the same lists."""


def allowed_tags() -> list[int]:
    """Tags of every element on the lists, and of the SOP class."""
    keywords = [*TERMS, *NUMBERS, *SEQUENCES, "SOPClassUID"]
    return [tag for keyword in keywords if (tag := tag_for_keyword(keyword)) is not None]
