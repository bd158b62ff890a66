// A conversation as a curl line.

import { requestBody } from "./completions.js";

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

export function curl(url, model, messages, needsKey) {
  const parts = [`curl ${quoted(url)}`, `-H 'Content-Type: application/json'`];
  if (needsKey) parts.push(`-H "Authorization: Bearer $OPENFANG_API_KEY"`);
  parts.push("--no-buffer", `-d ${quoted(JSON.stringify(requestBody(model, messages), null, 2))}`);
  return parts.join(" \\\n  ");
}
