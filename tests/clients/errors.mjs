// Makes each request and tells which error it ended with.
import { connect, given, report } from './client.mjs';

const errors = [];
for (const request of given.requests) {
  let text = '';
  try {
    const answer = await connect().chat.completions.create(request);
    if (request.stream) {
      for await (const chunk of answer) text += chunk.choices[0].delta.content ?? '';
    }
    errors.push(null);
  } catch (error) {
    const { status, code, param, type, requestID, message } = error;
    errors.push({ class: error.constructor.name, status, code, param, type, requestID, message, text });
  }
}

report(errors);
