// The `openai` package's own loop over tools of the client: given JSON as its argument, prints JSON.
import OpenAI from 'openai';

const given = JSON.parse(process.argv[2]);
const client = new OpenAI({ baseURL: given.baseURL, apiKey: 'dummy', maxRetries: 0 });
const asked = [];
const weather = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'Tells the weather.',
    parameters: { type: 'object', properties: { city: { type: 'string' } } },
    parse: JSON.parse,
    function: ({ city }) => {
      asked.push(city);
      return `Sunny in ${city}.`;
    },
  },
};
const runner = client.chat.completions.runTools({
  model: given.model,
  messages: [{ role: 'user', content: 'How is the weather?' }],
  tools: [weather],
  stream: given.stream,
});
process.stdout.write(JSON.stringify({ said: await runner.finalContent(), asked }));
