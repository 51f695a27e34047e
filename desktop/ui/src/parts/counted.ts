// Characters as the agent counts them.
export const tooMany = (text: string, most: number): number => Math.max(0, [...text].length - most);
