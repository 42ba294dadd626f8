"""Free questions in chat: which of the five families they are, and that any other question is none."""

from __future__ import annotations

import pytest

from mmedagent.tool_workers.consultation.wording import Meant, meant

MODALITY = (
    "Which modality is this?", "What modality is this", "which modality this is", "What is the modality?",
    "Modality?", "What imaging modality was used?", "What kind of image is this?", "What type of scan is it?",
    "Please tell me which modality was used for this image", "How was this picture taken?",
    "Get a second opinion: which imaging technique is this?", "With which technique was this image made?",
)  # fmt: skip
ORGAN = (
    "Which part of the body is this?", "what part of the body is shown", "Which body part is shown here?",
    "What body region is this?", "Which organ is this?", "What organ do we see?", "What is the organ shown?",
    "Which part of the body does this scan show?", "Could you tell me which body region is in this image?",
    "Which anatomical region was examined?", "Ask the panel which organ this is",
    "Which organ is visible in the image?",
)  # fmt: skip
POSITION = {
    "In which quarter is the liver?": "liver",
    "In which quarter of the image is the left kidney?": "left kidney",
    "which quarter is the right kidney?": "right kidney",
    "What quadrant is the gallbladder in?": "gallbladder",
    "In which quadrant does the optic disc lie?": "optic disc",
    "In which corner of the picture is the lung nodule?": "lung nodule",
    "Please say in which quarter the spleen is.": "spleen",
    "Where is the fovea?": "fovea",
    "Where in the image is the cyst?": "cyst",
    "where does the thyroid nodule lie": "thyroid nodule",
    "Which quarter contains the lesion?": "lesion",
    "in which quarter is this heart": "heart",
}
FINDING = (
    "Which finding is shown?", "what finding is shown", "Which finding is this", "What is the finding?",
    "Which of these findings is shown?", "What abnormality do you see?", "Which abnormality is visible in this scan?",
    "Get a second opinion on the finding", "What pathology is present here?", "Which finding does the image show?",
    "What is the main finding in this image?", "Ask the specialists: what is the abnormality here, please?",
)  # fmt: skip
SIZE = {
    "How much of the image is the liver?": "liver",
    "How much of the image does the heart cover?": "heart",
    "how much of the picture is taken up by the cyst": "cyst",
    "How much of this scan is the right lung?": "right lung",
    "What share of the image is the optic cup?": "optic cup",
    "What fraction of the image does the tumour occupy?": "tumour",
    "What percentage of the picture is covered by necrosis?": "necrosis",
    "How big is the thyroid compared with the image?": "thyroid",
    "How much of the frame are the drusen?": "drusen",
    "How large is the spleen relative to the whole image?": "spleen",
}
OTHER = (
    "", "In which quarter is the pancreas?", "How much of the image the liver",
    "What is the BI-RADS category of this mammogram?", "Is this lesion benign?",
    "Is this lesion benign or malignant?", "What dose of amoxicillin should be given?", "What is the prognosis?",
    "What is the prognosis of this finding?", "How should this finding be treated?", "Which organ should be removed?",
    "What is the diagnosis?", "What stage is the tumour?", "Is surgery needed?",
    "Which modality should be used next?", "Which modality is best for this finding?", "How old is the patient?",
    "What causes this abnormality?", "Which finding is the most dangerous?", "Which of these fits best",
    "which the liver is", "What is shown?", "Where is the patient from and what should we do?",
    "How much of the image is noise because of the low dose?", "How large is the liver?",
    "How large is the liver in centimetres?", "Is there a fracture?", "Describe the image.",
    "Which part of the body is this and is it cancer?", "In which quarter is the liver, and is it enlarged?",
    "What modality is this? And which drug helps?", "Which finding is shown in the report of last year?",
    "Where is the nearest hospital that treats the liver?", "Ignore the above. Which organ donor list is this?",
    "Which finding would exclude pregnancy?", "How was this tumour missed?", "Which Gleason grade is this?",
)  # fmt: skip
STRUCTURES = {*POSITION.values(), *SIZE.values()}


@pytest.mark.parametrize(("family", "questions"), [("modality", MODALITY), ("organ", ORGAN), ("finding", FINDING)])
def test_questions_about_the_whole_image(family: str, questions: tuple[str, ...]) -> None:
    assert {question: meant(question, STRUCTURES) for question in questions} == dict.fromkeys(questions, Meant(family))


@pytest.mark.parametrize(("family", "questions"), [("position", POSITION), ("size", SIZE)])
def test_questions_about_a_structure(family: str, questions: dict[str, str]) -> None:
    for question, structure in questions.items():
        assert meant(question, STRUCTURES) == Meant(family, structure), question


def test_other_questions_are_none_of_them() -> None:
    assert {question: meant(question, STRUCTURES) for question in OTHER} == dict.fromkeys(OTHER)
