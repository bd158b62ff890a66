// Talks to /v1/chat/completions as any client does.

export class Refused extends Error {
  constructor(status, error, retryAfter, requestId) {
    super(error?.message ?? `The server answered with status ${status}.`);
    Object.assign(this, { status, code: error?.code ?? "", retryAfter, requestId });
  }
}

/** Sends a conversation; resolves with the request's id and an iterator over the chunks of the answer. */
export async function complete(url, pass, messages, signal) {
  let response = await send(url, await pass.get(), messages, signal);
  if (response.status === 401) {
    pass.forget();
    response = await send(url, await pass.get(), messages, signal);
  }
  const requestId = response.headers.get("x-request-id") ?? "";
  if (!response.ok) {
    const body = await response.json().catch(() => ({}));
    throw new Refused(response.status, body.error, response.headers.get("retry-after"), requestId);
  }
  return { requestId, chunks: chunks(response.body, requestId) };
}

function send(url, { token, model }, messages, signal) {
  return fetch(url, {
    method: "POST",
    signal,
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
    body: JSON.stringify(requestBody(model, messages)),
  });
}

export function requestBody(model, messages) {
  return { model, messages, stream: true, stream_options: { include_usage: true } };
}

async function* chunks(body, requestId) {
  let rest = "";
  for await (const text of texts(body)) {
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (!line.startsWith("data: ")) continue;
      if (line === "data: [DONE]") return;
      const chunk = JSON.parse(line.slice(6));
      if (chunk.error) throw new Refused(200, chunk.error, null, requestId);
      yield chunk;
    }
  }
  throw new Error("The connection to the server broke before the answer was complete.");
}

// Safari cannot iterate over a stream.
async function* texts(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) yield read.value;
  } finally {
    reader.cancel().catch(() => {});
  }
}
