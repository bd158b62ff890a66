import { connect, given, report } from './client.mjs';

const { data, response, request_id } = await connect()
  .chat.completions.create({ model: 'openfang:coder', messages: given.messages, temperature: 0.7 })
  .withResponse();

report({ completion: data, headers: Object.fromEntries(response.headers), requestId: request_id });
