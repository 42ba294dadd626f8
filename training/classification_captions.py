"""The words that the classifier learns: labels, the many ways in which people say them, and captions made of both.

The first phrasings of a label (`PROMPTS` of them) become its prompts in the shipped configuration; training draws from
all. A label stands for one or more names that phantoms use.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from mmedagent.training.pool import Row

PROMPTS = 6
NO_FINDING = "no finding"


@dataclass(frozen=True)
class Label:
    """A label, the phantoms' names that it stands for, and its phrasings."""

    name: str
    sources: frozenset[str]
    phrasings: tuple[str, ...]


def _label(name: str, sources: str, phrasings: str) -> Label:
    return Label(name, frozenset(sources.split("|")), tuple(phrasings.split("|")))


MODALITIES = (
    _label(
        "CT",
        "CT",
        "CT|a CT image|CT scan|computed tomography|a computed tomography slice|an axial CT slice"
        "|CAT scan|contrast-enhanced CT|non-contrast CT|a CT in a bone window|a CT in a soft tissue window|x-ray CT"
        "|a cross-sectional computed tomography scan|a tomogram in Hounsfield units",
    ),
    _label(
        "MRI",
        "MR",
        "MRI|an MRI|MR|MR image|magnetic resonance imaging|a magnetic resonance image"
        "|MRI scan|an MR slice|a T1-weighted MRI|a T2-weighted image|FLAIR MRI|diffusion-weighted MRI|an MR scan"
        "|a magnetic resonance scan|magnetic resonance tomography|NMR tomogram",
    ),
    _label(
        "X-ray",
        "X-ray",
        "X-ray|an X-ray image|radiograph|a plain radiograph|plain film|an x-ray projection"
        "|xray|a digital radiograph|conventional radiography|a roentgenogram|CR image|DX image",
    ),
    _label(
        "ultrasound",
        "ultrasound",
        "ultrasound|an ultrasound image|ultrasonography|sonogram|a B-mode ultrasound|a sonographic image"
        "|US image|sonography|an ultrasound scan|a Doppler ultrasound|echography"
        "|an echo image|a colour Doppler sonogram",
    ),
    _label(
        "fundus photograph",
        "fundus",
        "fundus photograph|a fundus photograph|retinal photograph|an image of the retina|colour fundus photography"
        "|an ocular fundus image|retina|a photograph of the eye fundus|ophthalmoscopy|a fundoscopy image|retinal image"
        "|fundus|a red-free fundus image",
    ),
    _label(
        "histology",
        "histology",
        "histology|a histology image|histopathology|a microscopy image of stained tissue|a histological slide"
        "|a pathology slide|microscope slide|tissue section under the microscope|a photomicrograph|light microscopy"
        "|H&E histology|immunohistochemistry|a biopsy under the microscope|whole slide image patch",
    ),
    _label(
        "clinical photograph",
        "photograph",
        "clinical photograph|a clinical photograph|a photograph of a specimen|gross photograph|a photograph of skin"
        "|macroscopic photograph|gross pathology|dermatology photograph|a picture of a resected specimen|skin photo",
    ),
)

ANATOMIES = (
    _label(
        "abdomen",
        "abdomen",
        "abdomen|the abdomen|an image of the abdomen|abdominal organs|liver, spleen and kidneys|the belly"
        "|abdominal|upper abdomen|an axial slice through the abdomen|the liver|the kidneys",
    ),
    _label(
        "chest",
        "chest",
        "chest|the chest|an image of the chest|thorax|the lungs|thoracic"
        "|lungs and heart|the rib cage|a frontal view of the chest|an axial slice through the thorax|lung",
    ),
    _label(
        "head and brain",
        "head|brain",
        "head and brain|the head|the brain|an image of the brain|the skull and brain|cranial"
        "|head|brain|cerebral|neuroimaging|skull|an axial slice through the head|a sagittal view of the head",
    ),
    _label(
        "spine",
        "spine",
        "spine|the spine|an image of the spine|a vertebra|the vertebral column|spinal"
        "|vertebrae|the backbone|spinal canal and vertebral body|lumbar spine|thoracic spine",
    ),
    _label(
        "limb or joint",
        "knee|limb",
        "limb or joint|a limb|a joint|the bones of an arm or leg|the knee|an extremity"
        "|long bones|knee joint|musculoskeletal|forearm|lower leg|femur and tibia",
    ),
    _label(
        "heart",
        "heart",
        "heart|the heart|the chambers of the heart|cardiac|echocardiogram|the ventricles and atria of the heart"
        "|cardiac chambers|left ventricle|myocardium",
    ),
    _label(
        "soft tissue",
        "soft tissue",
        "soft tissue|the soft tissue|superficial soft tissue|soft tissue under the skin|muscle and fascia|a lymph node"
        "|subcutaneous tissue|soft parts|an organ in soft tissue|a gland under the skin",
    ),
    _label(
        "eye",
        "eye",
        "eye|the eye|the retina|the back of the eye|ocular|the optic disc and macula"
        "|retina|eye fundus|retinal vessels|ophthalmic",
    ),
    _label(
        "tissue sample",
        "tissue",
        "tissue sample|a tissue sample|tissue under the microscope|cells and nuclei|a biopsy|a section of tissue"
        "|glands and stroma|cells|stained tissue|cell nuclei in tissue",
    ),
    _label(
        "specimen",
        "specimen",
        "specimen|a resected specimen|a gross specimen|tissue on a board|a surgical specimen|an excised organ"
        "|cut surface of a specimen",
    ),
    _label("breast", "breast", "breast|the breast|an image of the breast|mammary gland|breast tissue"),
    _label("neck", "neck", "neck|the neck|an image of the neck|cervical soft tissue|the thyroid and neck|the throat"),
    _label("pelvis", "pelvis", "pelvis|the pelvis|an image of the pelvis|pelvic organs|the lower abdomen and pelvis"),
    _label("fetus", "fetus", "fetus|a fetus|the unborn child|an obstetric image|pregnancy|fetal anatomy"),
    _label("skin", "skin", "skin|the skin|an area of skin|cutaneous|skin surface|dermatology|a patch of skin"),
)

STAINS = (
    _label(
        "H&E",
        "H&E",
        "H&E|H&E stain|haematoxylin and eosin|hematoxylin and eosin stained tissue|a pink and purple stain|H and E"
        "|HE stain|an H&E slide|eosin",
    ),
    _label(
        "immunohistochemistry (DAB)",
        "IHC",
        "immunohistochemistry (DAB)|immunohistochemistry|IHC|DAB|a brown DAB stain with blue nuclei|immunostaining"
        "|an immunohistochemical stain|IHC slide|diaminobenzidine|brown antibody staining",
    ),
    _label(
        "Masson's trichrome",
        "Masson",
        "Masson's trichrome|trichrome|Masson trichrome stain|a blue collagen stain|trichrome stained tissue"
        "|connective tissue stained blue|Masson|aniline blue",
    ),
)

FINDINGS = (
    _label(
        NO_FINDING,
        NO_FINDING,
        "no finding|normal|no abnormality|a normal image|nothing abnormal|unremarkable"
        "|no abnormal finding|healthy|within normal limits|no lesion seen",
    ),
    _label(
        "liver lesion",
        "liver lesion",
        "liver lesion|a lesion in the liver|hepatic lesion|focal liver lesion|mass in the liver",
    ),
    _label(
        "kidney lesion",
        "left kidney lesion|right kidney lesion",
        "kidney lesion|renal lesion|a lesion in the kidney|a kidney mass|renal mass",
    ),
    _label(
        "spleen lesion", "spleen lesion", "spleen lesion|splenic lesion|a lesion in the spleen|lesion of the spleen"
    ),
    _label(
        "lung nodule", "lung nodule", "lung nodule|a nodule in the lung|pulmonary nodule|a solitary pulmonary nodule"
    ),
    _label(
        "pleural effusion", "pleural effusion", "pleural effusion|fluid in the pleural space|effusion|pleural fluid"
    ),
    _label("pneumothorax", "pneumothorax", "pneumothorax|collapsed lung|air in the pleural space|a pneumothorax"),
    _label("cardiomegaly", "cardiomegaly", "cardiomegaly|an enlarged heart|enlarged cardiac silhouette|a big heart"),
    _label(
        "consolidation", "consolidation", "consolidation|lung consolidation|airspace opacity|pneumonia|an infiltrate"
    ),
    _label("fracture", "fracture", "fracture|a broken bone|bone fracture|a fracture line"),
    _label("tumour", "tumour", "tumour|a tumor|cancer|neoplasm|a malignant tumour|tumor"),
    _label(
        "haemorrhage",
        "haemorrhage|haemorrhages",
        "haemorrhage|hemorrhage|bleeding|intracranial haemorrhage|retinal haemorrhages|a bleed",
    ),
    _label("infarct", "infarct", "infarct|ischaemic stroke|cerebral infarction|an infarct"),
    _label(
        "bone marrow edema",
        "bone marrow edema",
        "bone marrow edema|bone bruise|marrow oedema|oedema of the bone marrow",
    ),
    _label("herniated disc", "herniated disc", "herniated disc|disc herniation|a slipped disc|disc prolapse"),
    _label("cyst", "cyst", "cyst|a cyst|a cystic lesion|fluid-filled cyst|simple cyst"),
    _label("solid mass", "mass", "solid mass|a solid mass|a mass|hypoechoic mass"),
    _label("stone", "stone", "stone|a stone with shadow|calculus|gallstone or kidney stone"),
    _label("exudates", "exudates", "exudates|hard exudates|retinal exudates|yellow exudates"),
    _label(
        "microaneurysms",
        "microaneurysms",
        "microaneurysms|retinal microaneurysms|small red dots in the retina|a microaneurysm",
    ),
    _label(
        "large optic cup",
        "large optic cup",
        "large optic cup|optic disc cupping|glaucomatous cupping|an enlarged optic cup",
    ),
    _label("infiltration", "infiltration", "infiltration|a pulmonary infiltrate|diffuse lung infiltration|infiltrates"),
    _label("oedema", "oedema", "oedema|edema|brain oedema|vasogenic oedema|swelling of the brain"),
    _label("drusen", "drusen", "drusen|retinal drusen|drusen of the macula|yellow deposits under the retina"),
    _label(
        "adenocarcinoma",
        "adenocarcinoma",
        "adenocarcinoma|a glandular carcinoma|malignant glands|invasive adenocarcinoma",
    ),
    _label(
        "squamous cell carcinoma",
        "squamous cell carcinoma",
        "squamous cell carcinoma|squamous carcinoma|a keratinising carcinoma|malignant squamous cells",
    ),
    _label(
        "skin lesion",
        "skin lesion|pigmented lesion|naevus|melanoma",
        "skin lesion|a pigmented skin lesion|a mole|naevus|a dark spot on the skin",
    ),
    _label(
        "hydronephrosis",
        "hydronephrosis",
        "hydronephrosis|a dilated renal pelvis|dilated collecting system of the kidney",
    ),
    _label(
        "pericardial effusion", "pericardial effusion", "pericardial effusion|fluid around the heart|pericardial fluid"
    ),
    _label("plaque", "plaque", "plaque|an atherosclerotic plaque|carotid plaque|plaque in an artery"),
    _label("thyroid nodule", "thyroid nodule", "thyroid nodule|a nodule in the thyroid|a lump in the thyroid gland"),
    _label("cotton wool spots", "cotton wool spots", "cotton wool spots|soft exudates|retinal nerve fibre infarcts"),
    _label("chorioretinal scar", "chorioretinal scar", "chorioretinal scar|a retinal scar|scarring of the choroid"),
    _label("lesion", "lesion", "lesion|a focal lesion|a lesion in the specimen|an abnormal area"),
)

MEDICAL = (
    _label(
        "medical image",
        "medical",
        "medical image|a medical image|a scan of a patient|a diagnostic image|a radiology or pathology image"
        "|an image from a hospital|an image for diagnosis",
    ),
    _label(
        "not a medical image",
        "other",
        "not a medical image|a photograph of everyday things|a chart or a diagram|a page of text|a landscape"
        "|a texture|random noise|a screenshot|a picture of an animal or an object",
    ),
)
"""Whether the image is one that the other tasks are about."""

TEMPLATES = ("{}", "{} image", "an image showing {}", "this is {}")
"""How the tool words labels of a user's own; training words labels in these ways too."""

_CAPTIONS = (
    "{modality} of {anatomy}",
    "{anatomy}, {modality}",
    "{modality}, {anatomy}, {finding}",
    "{modality} of {anatomy} showing {finding}",
    "{finding} on {modality}",
    "{finding} in {modality} of {anatomy}",
)
_SHORT = {
    "CT": ("CT", "a CT image", "CT scan"),
    "MRI": ("MRI", "an MR image", "magnetic resonance imaging"),
    "X-ray": ("X-ray", "radiograph", "plain film"),
    "ultrasound": ("ultrasound", "sonogram", "ultrasound image"),
    "fundus photograph": ("fundus photograph", "retinal photograph"),
    "histology": ("histology", "histopathology", "microscopy image"),
    "clinical photograph": ("clinical photograph", "gross photograph"),
}


def index_of(labels: tuple[Label, ...], source: str) -> int:
    """The place of the label that stands for a phantom's name. Raises `ValueError` when there is none."""
    for place, label in enumerate(labels):
        if source in label.sources:
            return place
    raise ValueError(f"no label stands for {source!r}")


def found(row: Row) -> tuple[int, ...]:
    """Places in `FINDINGS` of what an image shows; the place of "no finding" when it shows nothing abnormal."""
    return tuple(sorted({index_of(FINDINGS, name) for name in row.findings or (NO_FINDING,)}))


def phrasings(label: Label) -> tuple[str, ...]:
    """Everything that may be said for a label in training: its phrasings, bare and in the templates."""
    bare = label.phrasings
    worded = tuple(template.format(text) for template in TEMPLATES[1:] for text in (label.name, *bare[:3]))
    return tuple(dict.fromkeys((*bare, *worded)))


@lru_cache(maxsize=4096)
def captions(modality: int, anatomy: int, finding: int) -> tuple[str, ...]:
    """Captions of a whole image, from places in `MODALITIES`, `ANATOMIES` and `FINDINGS`."""
    texts = []
    for template in _CAPTIONS:
        for number, words in enumerate(_SHORT[MODALITIES[modality].name]):
            parts = ANATOMIES[anatomy].phrasings, FINDINGS[finding].phrasings
            place, what = (names[number % len(names)] for names in parts)
            texts.append(template.format(modality=words, anatomy=place, finding=what))
    return tuple(dict.fromkeys(texts))


def all_texts(rows: Iterable[Row]) -> tuple[str, ...]:
    """Every text of a training on such images: phrasings of all labels, and captions of what the images show."""
    labels = (label for labels in (MODALITIES, ANATOMIES, STAINS, FINDINGS, MEDICAL) for label in labels)
    scenes = sorted({scene for row in rows if row.modality for scene in scenes_of(row)})
    shown = (text for scene in scenes for text in captions(*scene))
    return tuple(dict.fromkeys((*(text for label in labels for text in phrasings(label)), *shown)))


def scenes_of(row: Row) -> tuple[tuple[int, int, int], ...]:
    """Places of an image's modality, anatomy and each of its findings."""
    return tuple((index_of(MODALITIES, row.modality), index_of(ANATOMIES, row.anatomy), place) for place in found(row))
