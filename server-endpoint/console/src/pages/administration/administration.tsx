// What administrators do, in sections.
import { useDesk } from "../../desk.tsx";
import { usePageTitle } from "../../parts/page.tsx";
import { href } from "../../route.ts";
import { useSpeech } from "../../words/index.tsx";
import { NotFound } from "../not-found.tsx";
import { ApiTokens } from "./api-tokens.tsx";
import { CatalogueEditor } from "./catalogue.tsx";
import { Enrolment } from "./enrolment.tsx";
import { Operators } from "./operators.tsx";
import { Trail } from "./trail.tsx";

const SECTIONS = {
  enrolment: Enrolment,
  operators: Operators,
  "api-tokens": ApiTokens,
  catalogue: CatalogueEditor,
  trail: Trail,
};
type Section = keyof typeof SECTIONS;
const isSection = (word: string): word is Section => Object.hasOwn(SECTIONS, word);

export function Administration({ section }: { section: string }) {
  const { w } = useSpeech();
  const { may } = useDesk();
  if (!may("ADMINISTER")) return <Forbidden />;
  const wanted = section || "enrolment";
  if (!isSection(wanted)) return <NotFound />;
  const Shown = SECTIONS[wanted];
  const names: Record<Section, string> = {
    enrolment: w.administration.enrolment,
    operators: w.administration.operators,
    "api-tokens": w.administration.apiTokens,
    catalogue: w.administration.catalogue,
    trail: w.administration.trail,
  };
  return (
    <div className="administration">
      <nav className="views" aria-label={w.administration.sections}>
        <ul>
          {(Object.keys(SECTIONS) as Section[]).map((name) => (
            <li key={name}>
              <a href={href(["administration", name])} aria-current={name === wanted ? "page" : undefined}>
                {names[name]}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <Shown key={wanted} />
    </div>
  );
}

function Forbidden() {
  const { w } = useSpeech();
  const heading = usePageTitle(w.administration.title);
  return (
    <div className="empty">
      <h1 ref={heading} tabIndex={-1}>
        {w.administration.title}
      </h1>
      <p className="soft">{w.administration.forbidden}</p>
    </div>
  );
}
