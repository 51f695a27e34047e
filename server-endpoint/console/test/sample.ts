// A desk with a day's work on it, for looking at the console without a server (`npm run dev`, then
// http://localhost:5173/test/dev.html).
import { agent, MockDesk } from "./mock.ts";

export function sampleDesk(): MockDesk {
  const desk = new MockDesk();
  const hours = (n: number) => new Date(Date.now() + n * 3_600_000).toISOString();
  desk.catalogue = {
    serial: 4,
    file_bytes: 104_857_600,
    categories: [
      {
        code: "till",
        name: { en: "Till and payments", fr: "Caisse et paiements", de: "Kasse und Zahlung" },
        hint: { en: "Which till, and what the receipt says" },
        priority: "high",
      },
      { code: "printing", name: { en: "Printing", fr: "Impression", de: "Drucken" } },
      { code: "network", name: { en: "Network", fr: "Réseau", de: "Netzwerk" } },
    ],
  };
  const due = (first: number, last: number) => ({
    firstAnswerDue: hours(first),
    firstAnswerDueFromFiling: hours(first - 0.5),
    firstAnsweredAt: null,
    resolutionDue: hours(last),
    resolutionDueFromFiling: hours(last - 0.5),
    resolvedAt: null,
    paused: false,
    dueAt: hours(first),
  });
  const talk = desk.addTicket(
    {
      number: "LYN-000042",
      priority: "HIGH",
      state: "OPEN",
      category: "till",
      subject: "Till 3 freezes after card payment",
      reporter: "Claire Martin",
      assignee: "paula",
      tags: ["terminal"],
      comments: 1,
      replies: 1,
      files: 3,
      service: { ...due(1, 5), firstAnsweredAt: hours(-0.5), dueAt: hours(5) },
    },
    {
      description:
        "Since this morning till 3 freezes for about a minute after each card payment. Cash works.\n\nWe restarted it twice. The receipt says “HOST TIMEOUT 91”.",
      asset: "Till 3 (IT-20931)",
      files: [
        { id: "f1", name: "receipt-till3.jpg", size: 284_113, state: "clean", detail: null, readable: true },
        {
          id: "f2",
          name: "terminal-log.zip",
          size: 5_411_002,
          state: "infected",
          detail: "Win.Trojan.Agent-797",
          readable: false,
        },
        {
          id: "f3",
          name: "video of the freeze.mp4",
          size: 812_000_113,
          state: "held",
          detail: null,
          readable: false,
        },
      ],
    },
  );
  desk.say(talk, { kind: "ASSIGNED", who: "paula", said: "paula" });
  desk.say(talk, {
    kind: "REPLY",
    who: "paula",
    said: "Good morning Claire, thank you for the receipt. Does it also happen when you pay with the old terminal?\n\nPlease leave till 3 on over lunch; we look at its network port.",
  });
  desk.say(talk, { kind: "NOTE", who: "ahmed", said: "Same switch as LYN-000031. I bet on port 14." });
  desk.say(talk, {
    kind: "COMMENT",
    who: "Claire Martin",
    said: "The old terminal works fine.",
    saidAt: hours(-0.2),
  });
  desk.addTicket({
    number: "BER-000107",
    priority: "URGENT",
    subject: "Whole branch without network since 08:40",
    category: "network",
    reporter: "J. Köhler",
    service: due(-0.4, 3),
  });
  desk.addTicket({
    number: "OSL-000019",
    subject: "Label printer prints every second label blank",
    category: "printing",
    reporter: "Ingrid",
    files: 1,
  });
  desk.addTicket({
    number: "LYN-000041",
    priority: "LOW",
    subject: "New colleague needs a badge",
    reporter: "Claire Martin",
    assignee: "ahmed",
    state: "OPEN",
  });
  desk.addTicket({
    number: "MAD-000233",
    subject: "<script>alert(1)</script> in the subject is shown as text",
    reporter: "José",
    service: due(4, 30),
  });
  for (let n = 0; n < 70; n += 1) {
    const branch = ["BER", "LYN", "OSL", "MAD", "GVA"][n % 5] ?? "BER";
    desk.addTicket({
      number: `${branch}-${String(900 + n).padStart(6, "0")}`,
      state: n % 3 === 0 ? "OPEN" : n % 4 === 0 ? "WAITING" : "NEW",
      subject:
        [
          "Scanner does not wake up",
          "Password of the time clock",
          "Screen stays black after the night",
          "Invoice template has the old address",
          "Phone at the counter is silent",
        ][n % 5] ?? "",
      reporter: ["Anna", "Luc", "Ola", "Pilar", "Urs"][n % 5] ?? "",
      category: ["printing", "network", "till", "", ""][n % 5] ?? "",
    });
  }
  desk.branches = [
    {
      code: "BER",
      name: "Berlin Alexanderplatz",
      bandwidth: "256 kbit/s",
      attention: 60,
      agents: [
        agent({
          connected: false,
          lastContact: hours(-5),
          waiting: 14,
          oldestWaiting: hours(-5.2),
          troubles: ["silent", "waiting-long"],
        }),
      ],
    },
    {
      code: "GVA",
      name: "Genève",
      bandwidth: null,
      attention: 30,
      agents: [
        agent({
          id: "a2",
          diskFree: 410_000_000,
          clockSkewMs: -2_400_000,
          troubles: ["disk-low", "clock-off"],
        }),
      ],
    },
    {
      code: "OSL",
      name: "Oslo",
      bandwidth: null,
      attention: 20,
      agents: [agent({ id: "a3", certificateUntil: hours(9 * 24), troubles: ["certificate-ends"] })],
    },
    {
      code: "LYN",
      name: "Lyon Part-Dieu",
      bandwidth: null,
      attention: 0,
      agents: [agent({ id: "a4" }), agent({ id: "a5", ordinal: 2, waiting: 2, oldestWaiting: hours(-0.01) })],
    },
    { code: "MAD", name: "Madrid", bandwidth: null, attention: 0, agents: [agent({ id: "a6" })] },
    { code: "ZRH", name: null, bandwidth: null, attention: 10, agents: [] },
  ];
  return desk;
}
