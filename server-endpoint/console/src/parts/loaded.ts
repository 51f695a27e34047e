// Something that is asked for when a page opens, and now and then again.
import { useCallback, useEffect, useRef, useState } from "react";
import { asFault, type Fault } from "../api/fault.ts";

export interface Loaded<T> {
  value: T | null;
  fault: Fault | null;
  reload(): Promise<void>;
}

/** What is there stays while it is asked again, also where that fails. `get` must be stable. */
export function useLoaded<T>(get: () => Promise<T>, everyMs?: number): Loaded<T> {
  const [value, setValue] = useState<T | null>(null);
  const [fault, setFault] = useState<Fault | null>(null);
  const asked = useRef(0);
  const reload = useCallback(async () => {
    asked.current += 1;
    const mine = asked.current;
    try {
      const got = await get();
      if (mine !== asked.current) return;
      setValue(got);
      setFault(null);
    } catch (thrown) {
      if (mine === asked.current) setFault(asFault(thrown));
    }
  }, [get]);
  useEffect(() => {
    void reload();
    const timer = everyMs === undefined ? undefined : setInterval(() => void reload(), everyMs);
    return () => {
      clearInterval(timer);
      asked.current += 1;
    };
  }, [reload, everyMs]);
  return { value, fault, reload };
}
