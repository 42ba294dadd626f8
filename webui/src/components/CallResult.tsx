import { Fragment } from "react";
import type { JsonObject } from "../api/types";
import { boxText } from "../state/boxes";
import { maskId, type Overlay } from "../state/overlays";
import {
  readConsultation,
  readFound,
  readMasks,
  readPassages,
  readReport,
  readShares,
  type Report,
} from "../state/results";
import { area, percent, whole } from "../state/words";
import { Bars } from "./Bars";
import { PanelResult } from "./PanelResult";
import { Passages } from "./Passages";

interface Drawn {
  callId: string;
  overlays: readonly Overlay[];
}

/** A result as a person reads it. What an unknown tool gives is listed field by field. */
export function CallResult({ data, ...drawn }: Drawn & { data: JsonObject }) {
  const passages = readPassages(data);
  const report = readReport(data);
  const consultation = readConsultation(data);
  const shares = readShares(data);
  if (passages !== null) return passages.length === 0 ? <Nothing /> : <Passages passages={passages} />;
  if (report !== null) return <ReportText report={report} />;
  if (consultation !== null) return <PanelResult consultation={consultation} />;
  if (shares !== null) return shares.length === 0 ? <Nothing /> : <Bars shares={shares} />;
  return <Regions data={data} {...drawn} />;
}

const Nothing = () => <p className="nothing">Nothing found.</p>;

function Regions({ data, callId, overlays }: Drawn & { data: JsonObject }) {
  const masks = readMasks(data);
  const found = readFound(data);
  if (masks === null && found === null) return <Fields data={data} />;
  const count = Math.max(masks?.length ?? 0, found?.length ?? 0);
  if (count === 0) return <Nothing />;
  const source = typeof data["spacing_source"] === "string" ? data["spacing_source"] : null;
  return (
    <>
      <ul className="regions">
        {Array.from({ length: count }, (_, index) => {
          const [mask, thing] = [masks?.[index], found?.[index]];
          const overlay = overlays.find((each) => each.id === maskId(callId, index));
          return (
            <li key={maskId(callId, index)}>
              <Swatch color={overlay?.color} />
              <span className="region-name">
                {thing?.phrase || `${mask === undefined ? "Box" : "Mask"} ${index + 1}`}
              </span>
              {mask !== undefined && <MaskSize px={mask.areaPx} mm2={mask.areaMm2} />}
              {mask !== undefined && <span className="score">estimated overlap {percent(mask.score)}</span>}
              {mask === undefined && thing !== undefined && (
                <span className="score">
                  score {percent(thing.score)} · {boxText(thing.box)}
                </span>
              )}
            </li>
          );
        })}
      </ul>
      {source !== null && <p className="source-note">Millimetres from {source}.</p>}
    </>
  );
}

/** Plain values only; lists and objects are in the raw details. */
function Fields({ data }: { data: JsonObject }) {
  const plain = Object.entries(data).filter(([, value]) => value !== null && typeof value !== "object");
  return (
    <dl className="fields">
      {plain.map(([name, value]) => (
        <Fragment key={name}>
          <dt>{name.replaceAll("_", " ")}</dt>
          <dd>{String(value)}</dd>
        </Fragment>
      ))}
    </dl>
  );
}

function Swatch({ color }: { color: string | undefined }) {
  return <span className="swatch" style={color === undefined ? undefined : { backgroundColor: color }} />;
}

function MaskSize({ px, mm2 }: { px: number; mm2: number | null }) {
  if (px === 0) return <span className="region-size">empty</span>;
  return (
    <span className="region-size">
      {mm2 !== null && <strong>{area(mm2)}</strong>} {whole(px)} px{mm2 === null && ", pixel spacing unknown"}
    </span>
  );
}

function ReportText({ report }: { report: Report }) {
  return (
    <div className="report">
      <h4>Findings</h4>
      <p>{report.findings}</p>
      <h4>Impression</h4>
      <p>{report.impression}</p>
      {report.shares.length > 0 && <Bars shares={report.shares} />}
    </div>
  );
}
