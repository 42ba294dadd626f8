"""The plain question that a section answers. People ask in such words more often than in those of a textbook."""

_QUESTIONS = {
    "overview": "What is {0}? What causes it?",
    "definition": "What is {0}?",
    "causes": "What causes {0}?",
    "risk factors": "Who is at risk of {0}?",
    "symptoms": "What are the symptoms and signs of {0}?",
    "symptoms and signs": "What are the symptoms and signs of {0}?",
    "signs and symptoms": "What are the symptoms and signs of {0}?",
    "imaging findings": "What does {0} look like on X-ray, CT, MRI or ultrasound?",
    "diagnosis": "How is {0} diagnosed? Which tests are done?",
    "treatment": "How is {0} treated?",
    "prevention": "How can {0} be prevented?",
    "prognosis": "What is the outlook with {0}?",
    "complications": "What are the complications of {0}?",
    "when it is urgent": "When is {0} an emergency?",
    "when to see a doctor": "When should someone with {0} see a doctor?",
}
"""By the usual headings of medical texts, in lower case."""


def question_of(title: str, section: str) -> str:
    """The question for a section of a document; for an unusual heading it is the heading itself, after the title.

    >>> question_of("Asthma", "Treatment")
    'How is Asthma treated?'
    >>> question_of("Asthma", "Guideline > Inhalers")
    'Asthma: Inhalers'
    """
    heading = section.rpartition(" > ")[2]
    plain = _QUESTIONS.get(heading.casefold())
    if plain:
        return plain.format(title)
    return f"{title}: {heading}" if heading else title
