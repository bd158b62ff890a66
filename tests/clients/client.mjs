// What the scripts share: each is given JSON as its argument and prints JSON.
import OpenAI from 'openai';

export const given = JSON.parse(process.argv[2]);

export function connect() {
  return new OpenAI({ baseURL: given.baseURL, apiKey: given.key, maxRetries: 0 });
}

export function report(result) {
  process.stdout.write(JSON.stringify(result));
}

export async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}
