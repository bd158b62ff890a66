import { collect, connect, given, report } from './client.mjs';

const client = connect();
const request = { model: 'openfang:coder', messages: given.messages };

const plain = await collect(await client.chat.completions.create({ ...request, stream: true }));
const withUsage = await collect(
  await client.chat.completions.create({ ...request, stream: true, stream_options: { include_usage: true } }),
);
const helper = client.chat.completions.stream(request);
const pieces = [];
helper.on('content', (piece) => pieces.push(piece));
const folded = await helper.finalChatCompletion();

report({ plain, withUsage, pieces, folded });
