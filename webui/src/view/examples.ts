/** Studies to try at once: the drawn images of the repository's `examples/`, built into the page. */

import abdomenCt from "../../../examples/abdomen-ct.dcm?url";
import abdomenCt2 from "../../../examples/abdomen-ct-2.dcm?url";
import brainMr from "../../../examples/brain-mr.png?url";
import chestXray from "../../../examples/chest-xray.png?url";
import eyeFundus from "../../../examples/eye-fundus.png?url";
import heartUltrasound from "../../../examples/heart-ultrasound.png?url";
import tissueHistology from "../../../examples/tissue-histology.png?url";

/** `tool` is the one that the question needs. */
export interface ExampleStudy {
  title: string;
  modality: string;
  file: string;
  url: string;
  question: string;
  tool: string;
}

export const EXAMPLE_STUDIES: readonly ExampleStudy[] = [
  {
    title: "Abdomen",
    modality: "CT",
    file: "abdomen-ct.dcm",
    url: abdomenCt,
    question: "Outline the left kidney and give me its area.",
    tool: "grounded_segmentation",
  },
  {
    title: "Abdomen, second patient",
    modality: "CT",
    file: "abdomen-ct-2.dcm",
    url: abdomenCt2,
    question: "Where is the liver, and what modality is this?",
    tool: "grounding",
  },
  {
    title: "Chest",
    modality: "X-ray",
    file: "chest-xray.png",
    url: chestXray,
    question: "Write a report of this chest X-ray.",
    tool: "report_generation",
  },
  {
    title: "Brain",
    modality: "MR",
    file: "brain-mr.png",
    url: brainMr,
    question: "Segment the tumor.",
    tool: "grounded_segmentation",
  },
  {
    title: "Heart",
    modality: "Ultrasound",
    file: "heart-ultrasound.png",
    url: heartUltrasound,
    question: "Find the left ventricle.",
    tool: "grounding",
  },
  {
    title: "Eye",
    modality: "Fundus",
    file: "eye-fundus.png",
    url: eyeFundus,
    question: "What modality is this, and where is the optic disc?",
    tool: "grounding",
  },
  {
    title: "Tissue",
    modality: "Histology",
    file: "tissue-histology.png",
    url: tissueHistology,
    question: "Which kind of tissue is this?",
    tool: "classification",
  },
];

export async function fetchExample({ url, file }: ExampleStudy): Promise<File> {
  return new File([await (await fetch(url)).blob()], file);
}
