// Numbers with their words, by the rules of a language.

const rules = new Map<string, Intl.PluralRules>();
const formats = new Map<string, Intl.NumberFormat>();

/** `#` in the chosen form becomes the number. */
export function plural(language: string, n: number, forms: { one: string; other: string }): string {
  const rule = rules.get(language) ?? new Intl.PluralRules(language);
  const format = formats.get(language) ?? new Intl.NumberFormat(language);
  rules.set(language, rule);
  formats.set(language, format);
  return (rule.select(n) === "one" ? forms.one : forms.other).replace("#", format.format(n));
}
