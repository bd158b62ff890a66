// Reads a stream until the text is there, then leaves.
import { connect, given, report } from './client.mjs';

const stream = await connect().chat.completions.create({
  model: 'openfang:coder',
  messages: given.messages,
  stream: true,
});
let text = '';
let id;
for await (const chunk of stream) {
  id = chunk.id;
  text += chunk.choices[0].delta.content ?? '';
  if (text === given.until) stream.controller.abort();
}

report({ id, text });
