// The live connection: it resumes behind what it has seen, repeats nothing, and notices silence.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type Change, Live } from "../src/api/live.ts";
import { MockDesk, MockSocket } from "./mock.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function follow(desk: MockDesk) {
  const sockets: MockSocket[] = [];
  const heard: number[] = [];
  const said: string[] = [];
  const live = new Live(
    {
      change: (change: Change) => heard.push(change.position),
      state: (state) => said.push(state),
      lost: () => said.push("lost"),
      denied: () => said.push("denied"),
    },
    5,
    () => {
      const socket = new MockSocket(desk);
      sockets.push(socket);
      return socket as unknown as WebSocket;
    },
  );
  live.start();
  const last = () => sockets.at(-1) as MockSocket;
  return { live, sockets, heard, said, last };
}

test("after a cut it resumes behind the last position, and what is repeated is not told twice", async () => {
  const desk = new MockDesk();
  const ticket = desk.addTicket({ number: "LYN-000001" });
  const { heard, last, said, live } = follow(desk);
  await vi.advanceTimersByTimeAsync(0);
  last().change(6, ticket);
  last().change(7, ticket);
  last().cut();
  expect(said.at(-1)).toBe("off");
  await vi.advanceTimersByTimeAsync(5_000);
  expect(desk.subscribedAfter).toEqual([5, 7]);
  last().change(7, ticket);
  last().change(8, ticket);
  expect(heard).toEqual([6, 7, 8]);
  live.stop();
});

test("a connection that is open and dead is given up", async () => {
  const desk = new MockDesk();
  const { sockets, last, said, live } = follow(desk);
  await vi.advanceTimersByTimeAsync(0);
  last().send = () => {};
  await vi.advanceTimersByTimeAsync(60_000);
  expect(sockets.length).toBeGreaterThan(1);
  expect(said).toContain("off");
  expect(said.at(-1)).toBe("on");
  live.stop();
});

test("pauses grow, have jitter, and never pass the cap by more than the jitter", async () => {
  const pauses: number[] = [];
  let before = 0;
  const live = new Live({ change() {}, state() {}, lost() {}, denied() {} }, 0, () => {
    const now = Date.now();
    if (before) pauses.push(now - before);
    before = now;
    throw new Error("refused");
  });
  live.start();
  await vi.advanceTimersByTimeAsync(300_000);
  live.stop();
  expect(pauses.length).toBeGreaterThan(10);
  expect(pauses.length).toBeLessThan(30);
  expect(Math.max(...pauses)).toBeLessThanOrEqual(23_001);
  expect(new Set(pauses.slice(-8)).size).toBeGreaterThan(1);
});

test("where central cannot continue, whatever is shown is asked for again", async () => {
  const { said, last, live } = follow(new MockDesk());
  await vi.advanceTimersByTimeAsync(0);
  last().hear({ id: "1", type: "error", payload: [{ message: "too far behind" }] });
  expect(said).toContain("lost");
  live.stop();
});
