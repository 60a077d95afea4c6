// How the switch is asked: with the token, where there is one, and over and over.

const TOKEN = "switch-token";
const RETRY_MS = 1000;
// The switch tells something each second: silence for so long means that it is gone.
const SILENCE_MS = 5000;

/** What the switch refused: its status, and its own words. */
export class Refused extends Error {
  constructor(status, problem) {
    super(problem);
    this.status = status;
  }
}

export function keepToken(token) {
  sessionStorage.setItem(TOKEN, token);
}

/** Ask for a path. Throws `Refused`, or what the browser throws where nobody answers. */
async function ask(path, signal) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(path, { headers, signal, cache: "no-store" });
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  throw new Refused(answer.status, told.error ?? `the switch says ${answer.status}`);
}

export const askJson = async (path) => (await ask(path)).json();

/**
 * Each second's figures, for ever; a `problem` instead for every attempt in vain, in the switch's
 * own words where it has any. `signIn` gives a promise of a token that was typed.
 */
export async function* figures(signIn) {
  for (;;) {
    let problem = "";
    try {
      yield* live();
    } catch (error) {
      if (error.status === 401) {
        await signIn();
        continue;
      }
      if (error instanceof Refused) problem = error.message;
    }
    yield { problem };
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

/** One connection's server-sent events: by fetch, for an EventSource cannot show a token. */
async function* live() {
  const ending = new AbortController();
  let silence = 0;
  const heard = () => {
    clearTimeout(silence);
    silence = setTimeout(() => ending.abort(), SILENCE_MS);
  };
  heard();
  try {
    const answer = await ask("/api/live", ending.signal);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      heard();
      const events = (text + value).split("\n\n");
      text = events.pop();
      for (const event of events) yield JSON.parse(event.slice("data: ".length));
    }
  } finally {
    clearTimeout(silence);
  }
}
