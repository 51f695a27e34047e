// An address that leads nowhere.
import { usePageTitle } from "../parts/page.tsx";
import { href } from "../route.ts";
import { useSpeech } from "../words/index.tsx";

export function NotFound() {
  const { w } = useSpeech();
  const heading = usePageTitle(w.common.notFound);
  return (
    <div className="empty">
      <h1 ref={heading} tabIndex={-1}>
        {w.common.notFound}
      </h1>
      <p className="soft">{w.common.notFoundHint}</p>
      <a href={href([])}>{w.common.toInbox}</a>
    </div>
  );
}
