// Lets the model call a tool of this client's, answers, and reads what the model makes of it.
import { connect, given, report } from './client.mjs';

const client = connect();

async function roundTrip(ask) {
  const messages = [...given.messages];
  const first = (await ask({ model: 'openfang:coder', messages, tools: given.tools })).choices[0];
  messages.push(first.message);
  for (const call of first.message.tool_calls) {
    const { city } = JSON.parse(call.function.arguments);
    messages.push({ role: 'tool', tool_call_id: call.id, content: `Sunny in ${city}.` });
  }
  const second = (await ask({ model: 'openfang:coder', messages, tools: given.tools })).choices[0];
  return { first, second };
}

report({
  whole: await roundTrip((request) => client.chat.completions.create(request)),
  streamed: await roundTrip((request) => client.chat.completions.stream(request).finalChatCompletion()),
});
