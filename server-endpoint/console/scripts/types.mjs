// Types of the answers, from the server's schema and the console's own questions: `src/api/generated.ts`.
// With `--check` it changes nothing and fails where that file is not what would be written, so that a
// change of the schema that the console has not followed is found by `make lint`.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import {
  buildSchema,
  getNamedType,
  isEnumType,
  isListType,
  isNonNullType,
  isObjectType,
  Kind,
  parse,
  print,
  TypeInfo,
  typeFromAST,
  validate,
  visit,
  visitWithTypeInfo,
} from "graphql";

const place = (path) => fileURLToPath(new URL(path, import.meta.url));
const SCHEMA = place("../../api/schema.graphql");
const QUESTIONS = place("../src/api/questions.graphql");
const RESULT = place("../src/api/generated.ts");

const SCALARS = {
  ID: "string",
  String: "string",
  Int: "number",
  Float: "number",
  Boolean: "boolean",
  Time: "string",
};

const schema = buildSchema(readFileSync(SCHEMA, "utf8"));
const questions = parse(readFileSync(QUESTIONS, "utf8"));
const faults = validate(schema, questions);
if (faults.length > 0) {
  for (const fault of faults) console.error(`questions.graphql: ${fault.message}`);
  console.error("The console asks what the server's schema does not have.");
  process.exit(3);
}

const fragments = new Map(
  questions.definitions.filter((d) => d.kind === Kind.FRAGMENT_DEFINITION).map((d) => [d.name.value, d]),
);
const used = new Set();

function named(type) {
  if (isEnumType(type)) {
    used.add(type);
    return type.name;
  }
  const known = SCALARS[type.name];
  if (!known) throw new Error(`no TypeScript type for ${type.name}`);
  return known;
}

function wrapped(type, inner) {
  if (isNonNullType(type)) return present(type.ofType, inner);
  return `${present(type, inner)} | null`;
}

function present(type, inner) {
  if (!isListType(type)) return inner;
  const item = wrapped(type.ofType, inner);
  return item.includes("|") || item.includes("{") ? `Array<${item}>` : `${item}[]`;
}

/** The fields that a selection asks for, as the members of a type. */
function members(selections, parent, indent) {
  const lines = [];
  for (const selection of selections) {
    if (selection.kind === Kind.FRAGMENT_SPREAD) continue;
    if (selection.kind !== Kind.FIELD) throw new Error("inline fragments are not used here");
    const field = parent.getFields()[selection.name.value];
    const key = selection.alias?.value ?? selection.name.value;
    lines.push(
      `${indent}${key}: ${wrapped(field.type, answer(selection.selectionSet, getNamedType(field.type), indent))};`,
    );
  }
  return lines;
}

function answer(set, type, indent) {
  if (!isObjectType(type)) return named(type);
  const spreads = set.selections.filter((s) => s.kind === Kind.FRAGMENT_SPREAD).map((s) => s.name.value);
  const own = members(set.selections, type, `${indent}  `);
  const block = own.length > 0 ? [`{\n${own.join("\n")}\n${indent}}`] : [];
  return [...spreads, ...block].join(" & ");
}

function input(type) {
  return wrapped(type, named(getNamedType(type)));
}

/** A question with the fragments that it uses. */
function text(operation) {
  const wanted = new Set();
  const collect = (node) =>
    visit(node, {
      FragmentSpread(spread) {
        const name = spread.name.value;
        if (wanted.has(name)) return;
        wanted.add(name);
        collect(fragments.get(name));
      },
    });
  collect(operation);
  return [operation, ...[...wanted].map((name) => fragments.get(name))]
    .map(print)
    .join("\n")
    .replace(/\s+/g, " ")
    .trim();
}

const bodies = [];
for (const [name, fragment] of fragments) {
  const type = typeFromAST(schema, fragment.typeCondition);
  bodies.push(`export type ${name} = ${answer(fragment.selectionSet, type, "")};`);
}
const operations = questions.definitions.filter((d) => d.kind === Kind.OPERATION_DEFINITION);
const info = new TypeInfo(schema);
visit(questions, visitWithTypeInfo(info, {}));
for (const operation of operations) {
  const name = operation.name.value;
  const root = operation.operation === "query" ? schema.getQueryType() : schema.getSubscriptionType();
  bodies.push(`export type ${name}Answer = ${answer(operation.selectionSet, root, "")};`);
  const variables = (operation.variableDefinitions ?? []).map((definition) => {
    const type = typeFromAST(schema, definition.type);
    const optional = isNonNullType(type) ? "" : "?";
    return `  ${definition.variable.name.value}${optional}: ${input(type)};`;
  });
  bodies.push(
    variables.length > 0
      ? `export type ${name}Variables = {\n${variables.join("\n")}\n};`
      : `export type ${name}Variables = Record<string, never>;`,
  );
}
const enums = [...used]
  .sort((a, b) => a.name.localeCompare(b.name))
  .map(
    (type) =>
      `export type ${type.name} = ${type
        .getValues()
        .map((value) => `"${value.name}"`)
        .join(" | ")};`,
  );

const map = operations.map(
  (o) => `  ${o.name.value}: { answer: ${o.name.value}Answer; variables: ${o.name.value}Variables };`,
);
const documents = operations.map((o) => `  ${o.name.value}: ${JSON.stringify(text(o))},`);
const written = `// Written by scripts/types.mjs from the server's schema and questions.graphql. Do not edit.

${enums.join("\n\n")}

${bodies.join("\n\n")}

export interface Questions {
${map.join("\n")}
}

export const documents: Record<keyof Questions, string> = {
${documents.join("\n")}
};
`;

if (process.argv.includes("--check")) {
  if (!existsSync(RESULT) || readFileSync(RESULT, "utf8") !== written) {
    console.error(
      "src/api/generated.ts is not of this schema: run `npm run types` in server-endpoint/console",
    );
    process.exit(3);
  }
} else {
  writeFileSync(RESULT, written);
}
