/** Studies to try at once: the drawn images of the repository's `examples/`, built into the page. */

import abdomenCt from "../../../examples/abdomen-ct.dcm?url";
import brainMr from "../../../examples/brain-mr.png?url";
import chestXray from "../../../examples/chest-xray.png?url";
import eyeFundus from "../../../examples/eye-fundus.png?url";
import heartUltrasound from "../../../examples/heart-ultrasound.png?url";
import tissueHistology from "../../../examples/tissue-histology.png?url";
import type { Box } from "../state/boxes";

/** `tools` are those that the question needs; `box` is drawn on the image beforehand. */
export interface ExampleStudy {
  title: string;
  modality: string;
  file: string;
  url: string;
  question: string;
  tools: readonly string[];
  box: Box | null;
}

export const EXAMPLE_STUDIES: readonly ExampleStudy[] = [
  {
    title: "Abdomen",
    modality: "CT",
    file: "abdomen-ct.dcm",
    url: abdomenCt,
    question: "Segment the structure in the box and give me its area.",
    tools: ["segmentation"],
    box: [0.59, 0.53, 0.74, 0.68],
  },
  {
    title: "Chest",
    modality: "X-ray",
    file: "chest-xray.png",
    url: chestXray,
    question: "Write a report of this chest X-ray.",
    tools: ["report_generation"],
    box: null,
  },
  {
    title: "Chest, a panel",
    modality: "X-ray",
    file: "chest-xray.png",
    url: chestXray,
    question: "Ask the panel which finding is shown.",
    tools: ["consultation"],
    box: null,
  },
  {
    title: "Heart",
    modality: "Ultrasound",
    file: "heart-ultrasound.png",
    url: heartUltrasound,
    question: "Which part of the body is shown?",
    tools: ["classification"],
    box: null,
  },
  {
    title: "Eye",
    modality: "Fundus",
    file: "eye-fundus.png",
    url: eyeFundus,
    question: "What modality is this, and what does the handbook say about glaucoma?",
    tools: ["classification", "retrieval"],
    box: null,
  },
  {
    title: "Brain",
    modality: "MR",
    file: "brain-mr.png",
    url: brainMr,
    question: "Segment the brain.",
    tools: ["grounded_segmentation"],
    box: null,
  },
  {
    title: "Tissue",
    modality: "Histology",
    file: "tissue-histology.png",
    url: tissueHistology,
    question: "Which kind of tissue is this?",
    tools: ["classification"],
    box: null,
  },
];

export async function fetchExample({ url, file }: ExampleStudy): Promise<File> {
  return new File([await (await fetch(url)).blob()], file);
}
