"""Who asks, how long, and in what manner: what a model is told so that its asks differ as those of people do."""

from __future__ import annotations

from random import Random

VOICES = (
    "a radiologist between two reports",
    "a radiology resident who is still unsure",
    "a radiographer at the scanner",
    "a pathologist at the microscope",
    "an ophthalmologist in a full clinic",
    "a surgeon who plans an operation for tomorrow",
    "an oncologist who prepares a tumour board",
    "an emergency doctor at night",
    "a general practitioner in a village",
    "an intensive care nurse",
    "a ward nurse who writes for a doctor",
    "a physiotherapist",
    "a medical student before an examination",
    "a lecturer who prepares a course",
    "a researcher who works through a series of images",
    "a data scientist who tries the programming interface",
    "an engineer who tests the software",
    "a patient who has just got the pictures",
    "a worried relative of a patient",
    "a medical writer",
    "a doctor whose first language is Spanish",
    "a doctor whose first language is German",
    "a doctor whose first language is Hindi",
    "a doctor whose first language is Chinese",
)
LENGTHS = (
    "2 to 4 words",
    "5 to 8 words",
    "5 to 8 words",
    "9 to 15 words",
    "9 to 15 words",
    "one long sentence",
    "two sentences",
    "a short clinical story of 25 to 50 words that ends in the ask",
)
MANNERS = (
    "a question",
    "an order",
    "a polite request",
    "a statement of what is needed",
    "a fragment without a verb",
    "all lower case, without punctuation",
    "with common abbreviations",
    "with one typing error, outside what is copied",
    "chatty, with a word before the point",
    "formal, as in a referral",
    "in American spelling",
    "in British spelling",
    "in everyday words instead of terms",
)


def draw_voice(random: Random) -> str:
    """One line for one ask, such as "an intensive care nurse; 5 to 8 words; an order"."""
    return "; ".join(random.choice(choices) for choices in (VOICES, LENGTHS, MANNERS))
