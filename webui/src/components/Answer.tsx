import { useMemo, type MouseEvent } from "react";
import { renderMarkdown } from "../view/markdown";
import { callElementId } from "./CallCard";

export function Answer({ text, turnId, calls }: { text: string; turnId: string; calls: number }) {
  const html = useMemo(() => renderMarkdown(text, calls), [text, calls]);
  const follow = (event: MouseEvent): void => {
    const link = event.target instanceof Element ? event.target.closest<HTMLElement>("a[data-call]") : null;
    if (link === null) return;
    event.preventDefault();
    const card = document.getElementById(callElementId(turnId, Number(link.dataset["call"])));
    card?.scrollIntoView({ block: "nearest", behavior: "smooth" });
    card?.focus({ preventScroll: true });
  };
  return <div className="answer" onClick={follow} dangerouslySetInnerHTML={{ __html: html }} />;
}
