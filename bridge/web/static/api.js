// Asks the API and follows its events. The token stays in this tab: never in a URL or a cookie.
"use strict";

const KEY = "tollbridge-token";

function takeTokenFromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem(KEY, given);
    history.replaceState(null, "", location.pathname);
  }
}

const token = {
  get: () => sessionStorage.getItem(KEY) || "",
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `answered ${status}`);
    this.status = status;
    this.code = problem.code || "";
  }
}

async function ask(method, path, body) {
  const headers = { Authorization: `Bearer ${token.get()}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(`/api/v1${path}`, {
    method, headers, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store",
  });
  if (!answer.ok) throw new Refused(answer.status, await answer.json().catch(() => ({})));
  return answer.status === 204 ? null : answer.json();
}

async function blob(path) {
  const headers = { Authorization: `Bearer ${token.get()}` };
  const answer = await fetch(`/api/v1${path}`, { headers, cache: "no-store" });
  if (!answer.ok) throw new Refused(answer.status, await answer.json().catch(() => ({})));
  return answer.blob();
}

async function send(path, file) {
  const headers = { Authorization: `Bearer ${token.get()}`, "Content-Type": "application/octet-stream" };
  const answer = await fetch(`/api/v1${path}`, { method: "POST", headers, body: file });
  if (!answer.ok) throw new Refused(answer.status, await answer.json().catch(() => ({})));
  return answer.json();
}

// Follows /events for ever: onEvent(event) for each, onLink("live" | "lost") when that changes.
async function follow(onEvent, onLink, signal) {
  let last = "";
  let pause = 500;
  while (!signal.aborted) {
    try {
      const headers = { Authorization: `Bearer ${token.get()}` };
      if (last) headers["Last-Event-ID"] = last;
      const answer = await fetch("/api/v1/events?levels=true", { headers, signal, cache: "no-store" });
      if (answer.status === 401) throw new Refused(401, {});
      if (!answer.ok) throw new Error(`answered ${answer.status}`);
      onLink("live");
      pause = 500;
      for await (const frame of frames(answer.body)) {
        if (frame.id) last = frame.id;
        if (frame.data) onEvent(JSON.parse(frame.data));
      }
    } catch (fault) {
      if (signal.aborted || fault.status === 401) return;
    }
    onLink("lost");
    await new Promise((done) => setTimeout(done, pause));
    pause = Math.min(pause * 2, 10000);
  }
}

async function* frames(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const frame = {};
      for (const line of text.slice(0, end).split("\n")) {
        const colon = line.indexOf(":");
        if (colon > 0) frame[line.slice(0, colon)] = line.slice(colon + 1).trim();
      }
      text = text.slice(end + 2);
      yield frame;
    }
  }
}
