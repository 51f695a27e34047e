// Written by scripts/types.mjs from the server's schema and questions.graphql. Do not edit.

export type Due = "OVERDUE" | "SOON";

export type EntryKind = "COMMENT" | "WITHDRAWN" | "REPLY" | "NOTE" | "MOVED" | "ASSIGNED" | "CLASSIFIED" | "TAGGED" | "MERGED" | "FILE";

export type Priority = "LOW" | "NORMAL" | "HIGH" | "URGENT";

export type Right = "READ" | "REPLY" | "RELEASE" | "ADMINISTER";

export type TicketOrder = "NEWEST" | "DUE";

export type TicketState = "NEW" | "OPEN" | "WAITING" | "RESOLVED" | "CLOSED" | "WITHDRAWN" | "MERGED";

export type Summary = {
  number: string;
  branch: string;
  state: TicketState;
  priority: Priority;
  category: string;
  subject: string;
  reporter: string;
  assignee: string | null;
  tags: string[];
  filedAt: string;
  receivedAt: string;
  changedAt: string;
  version: number;
  comments: number;
  replies: number;
  files: number;
  service: {
    firstAnswerDue: string | null;
    firstAnswerDueFromFiling: string | null;
    firstAnsweredAt: string | null;
    resolutionDue: string | null;
    resolutionDueFromFiling: string | null;
    resolvedAt: string | null;
    paused: boolean;
    dueAt: string | null;
  } | null;
};

export type Attached = {
  id: string;
  name: string;
  size: number;
  state: string;
  detail: string | null;
  readable: boolean;
};

export type Entry = {
  position: number;
  at: string;
  saidAt: string | null;
  kind: EntryKind;
  who: string;
  said: string;
  files: Attached[];
};

export type Agent = {
  id: string;
  ordinal: number;
  version: string | null;
  lastContact: string | null;
  connected: boolean;
  clockSkewMs: number | null;
  waiting: number | null;
  oldestWaiting: string | null;
  diskFree: number | null;
  damaged: number | null;
  certificateUntil: string | null;
  revoked: boolean;
  refusedAt: string | null;
  refusedWhy: string | null;
  troubles: string[];
};

export type Branch = {
  code: string;
  name: string | null;
  bandwidth: string | null;
  attention: number;
  agents: Agent[];
};

export type StartAnswer = {
  me: {
    name: string;
    rights: Right[];
  };
  freshness: {
    position: number;
    behindSince: string | null;
  };
  tally: Array<{
    branch: string;
    state: TicketState;
    tickets: number;
  }>;
};

export type StartVariables = Record<string, never>;

export type PeopleAnswer = {
  people: string[];
};

export type PeopleVariables = Record<string, never>;

export type FreshAnswer = {
  freshness: {
    position: number;
    behindSince: string | null;
  };
};

export type FreshVariables = Record<string, never>;

export type TalliesAnswer = {
  tally: Array<{
    branch: string;
    state: TicketState;
    tickets: number;
  }>;
};

export type TalliesVariables = Record<string, never>;

export type TicketsAnswer = {
  tickets: {
    tickets: Summary[];
    next: string | null;
  };
};

export type TicketsVariables = {
  search?: string | null;
  branches?: string[] | null;
  states?: TicketState[] | null;
  priorities?: Priority[] | null;
  categories?: string[] | null;
  assignee?: string | null;
  unassigned?: boolean | null;
  tags?: string[] | null;
  due?: Due | null;
  order?: TicketOrder | null;
  after?: string | null;
  first?: number | null;
};

export type TicketAnswer = {
  ticket: {
    summary: Summary;
    description: string;
    contact: string;
    asset: string | null;
    mergedInto: string | null;
    merged: string[];
    timeline: Entry[];
    files: Attached[];
  } | null;
};

export type TicketVariables = {
  number: string;
};

export type BranchesAnswer = {
  branches: {
    asOf: string;
    branches: Branch[];
  };
};

export type BranchesVariables = Record<string, never>;

export type TrailAnswer = {
  trail: Array<{
    position: number;
    at: string;
    actor: string;
    action: string;
    subject: string;
    detail: string;
    address: string | null;
  }>;
};

export type TrailVariables = {
  after?: number | null;
  actor?: string | null;
  action?: string | null;
  subject?: string | null;
  first?: number | null;
};

export type ChangesAnswer = {
  changes: {
    position: number;
    branch: string;
    kind: string;
    number: string | null;
    ticket: Summary | null;
  };
};

export type ChangesVariables = {
  after?: number | null;
};

export interface Questions {
  Start: { answer: StartAnswer; variables: StartVariables };
  People: { answer: PeopleAnswer; variables: PeopleVariables };
  Fresh: { answer: FreshAnswer; variables: FreshVariables };
  Tallies: { answer: TalliesAnswer; variables: TalliesVariables };
  Tickets: { answer: TicketsAnswer; variables: TicketsVariables };
  Ticket: { answer: TicketAnswer; variables: TicketVariables };
  Branches: { answer: BranchesAnswer; variables: BranchesVariables };
  Trail: { answer: TrailAnswer; variables: TrailVariables };
  Changes: { answer: ChangesAnswer; variables: ChangesVariables };
}

export const documents: Record<keyof Questions, string> = {
  Start: "query Start { me { name rights } freshness { position behindSince } tally { branch state tickets } }",
  People: "query People { people }",
  Fresh: "query Fresh { freshness { position behindSince } }",
  Tallies: "query Tallies { tally { branch state tickets } }",
  Tickets: "query Tickets($search: String, $branches: [String!], $states: [TicketState!], $priorities: [Priority!], $categories: [String!], $assignee: String, $unassigned: Boolean, $tags: [String!], $due: Due, $order: TicketOrder, $after: String, $first: Int) { tickets( search: $search branches: $branches states: $states priorities: $priorities categories: $categories assignee: $assignee unassigned: $unassigned tags: $tags due: $due order: $order after: $after first: $first ) { tickets { ...Summary } next } } fragment Summary on TicketSummary { number branch state priority category subject reporter assignee tags filedAt receivedAt changedAt version comments replies files service { firstAnswerDue firstAnswerDueFromFiling firstAnsweredAt resolutionDue resolutionDueFromFiling resolvedAt paused dueAt } }",
  Ticket: "query Ticket($number: String!) { ticket(number: $number) { summary { ...Summary } description contact asset mergedInto merged timeline { ...Entry } files { ...Attached } } } fragment Summary on TicketSummary { number branch state priority category subject reporter assignee tags filedAt receivedAt changedAt version comments replies files service { firstAnswerDue firstAnswerDueFromFiling firstAnsweredAt resolutionDue resolutionDueFromFiling resolvedAt paused dueAt } } fragment Entry on TimelineEntry { position at saidAt kind who said files { ...Attached } } fragment Attached on File { id name size state detail readable }",
  Branches: "query Branches { branches { asOf branches { ...Branch } } } fragment Branch on Branch { code name bandwidth attention agents { ...Agent } } fragment Agent on Agent { id ordinal version lastContact connected clockSkewMs waiting oldestWaiting diskFree damaged certificateUntil revoked refusedAt refusedWhy troubles }",
  Trail: "query Trail($after: Float, $actor: String, $action: String, $subject: String, $first: Int) { trail( after: $after actor: $actor action: $action subject: $subject first: $first ) { position at actor action subject detail address } }",
  Changes: "subscription Changes($after: Float) { changes(after: $after) { position branch kind number ticket { ...Summary } } } fragment Summary on TicketSummary { number branch state priority category subject reporter assignee tags filedAt receivedAt changedAt version comments replies files service { firstAnswerDue firstAnswerDueFromFiling firstAnsweredAt resolutionDue resolutionDueFromFiling resolvedAt paused dueAt } }",
};
