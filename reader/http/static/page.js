// Looks up a record and shows its changes live; shows the reader's status. Sends requests to this reader only.

const POLL_MS = 1000;
const RETRY_MS = 1000;

const at = (id) => document.getElementById(id);
const numbers = new Intl.NumberFormat("en");

// The record

let watched = null;
let source = null;
let retryTimer = null;
let shown = null;
let changes = 0;
let resource = "users";
let noun = "user";

const pathOf = (userId) => `${resource}/${encodeURIComponent(userId)}`;

// What is served here under which path, the reader's own description says.
async function describe() {
  const { paths } = await fetch("openapi.json").then((response) => response.json());
  resource = Object.keys(paths).find((path) => path.endsWith("/{userId}")).split("/")[1];
  noun = resource === "users" ? "user" : "record";
}

function watch(userId) {
  source?.close();
  clearTimeout(retryTimer);
  watched = userId;
  shown = null;
  changes = 0;
  at("user").hidden = false;
  at("record").hidden = true;
  say("waiting", `Asking for ${userId} …`);
  listen(userId);
}

function listen(userId) {
  const stream = new EventSource(`${pathOf(userId)}/events`);
  source = stream;
  stream.addEventListener("record", (event) => show(event));
  stream.addEventListener("absent", () => showAbsence(userId));
  stream.addEventListener("error", () => {
    if (source !== stream) return;
    if (stream.readyState === EventSource.CLOSED) explain(userId);
    else say("lost", "Connection lost; reconnecting …");
  });
}

// Scripts do not see why a stream is refused; a plain request for the record says so.
async function explain(userId) {
  let problem = { title: "the reader does not respond", detail: "trying again …" };
  let isFinal = false;
  try {
    const response = await fetch(pathOf(userId), { cache: "no-store" });
    isFinal = response.status === 404;
    problem = response.ok ? { title: "no stream available", detail: "this reader has reached its limit" } : await response.json();
  } catch { /* the default problem fits */ }
  if (userId !== watched) return;
  if (problem.type?.endsWith(":not-ready")) say("waiting", `Not ready: the ${noun} is shown as soon as the reader is.`);
  else say(isFinal ? "absent" : "waiting", `${sentence(problem.title)}: ${problem.detail}`);
  if (!isFinal) retryTimer = setTimeout(() => listen(userId), RETRY_MS);
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

function show(event) {
  const record = parse(event.data);
  const before = shown;
  if (before) changes += 1;
  shown = record;
  at("record").hidden = false;
  put(at("user-title"), textOf(record.name) ?? textOf(record.username) ?? watched);
  put(at("username"), textOf(record.username) ? `@${record.username}` : `id ${watched}`);
  put(at("description"), textOf(record.description) ?? "");
  at("description").hidden = !textOf(record.description);
  if (!before || String(Object.keys(before)) !== String(Object.keys(record))) layOut(record);
  for (const field of document.querySelectorAll("[data-field]")) {
    const name = field.dataset.field;
    const changed = !before || format(before[name]) !== format(record[name]);
    if (changed) fill(field, record[name]);
    if (before && changed) flash(field);
  }
  put(at("place"), placeOf(event.lastEventId));
  put(at("raw"), JSON.stringify(record, null, 2).replace(/"\\u0000([^"]*)"/g, "$1"));
  const since = changes === 0 ? "no change yet" : changes === 1 ? "1 change" : `${numbers.format(changes)} changes`;
  say("live", `Live: ${since}, last event at ${new Date().toLocaleTimeString()}`);
}

function showAbsence(userId) {
  if (shown) changes += 1;
  shown = null;
  at("record").hidden = true;
  say("absent", `There is no ${noun} ${userId}. If one appears, it is shown here.`);
}

function placeOf(eventId) {
  const [partition, offset] = eventId.split(":");
  return `partition ${partition}, offset ${numbers.format(Number(offset))}`;
}

// A number of more digits than JavaScript's is kept as text, behind a character that no text of a record has.
function parse(json) {
  const kept = (token) => (token[0] === '"' || token.length < 16 ? token : `"\\u0000${token}"`);
  return JSON.parse(json.replace(/"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g, kept));
}

const isNumber = (value) => typeof value === "number" || (typeof value === "string" && value[0] === "\0");

const textOf = (value) => (typeof value === "string" && value ? value : undefined);

// The record's keys in their order, counts and sums apart; its id and what is shown above are left out.
function layOut(record) {
  at("counts").replaceChildren();
  at("fields").replaceChildren();
  for (const name of Object.keys(record).slice(1)) {
    if (["username", "name", "description"].includes(name)) continue;
    const [box, term, field] = ["div", "dt", "dd"].map((tag) => document.createElement(tag));
    term.textContent = labelOf(name);
    field.dataset.field = name;
    box.append(term, field);
    at(isNumber(record[name]) ? "counts" : "fields").append(box);
  }
}

function labelOf(name) {
  return sentence(name.replace(/[_-]+/g, " ").replace(/([a-z0-9])([A-Z])/g, (_, end, begin) => `${end} ${begin.toLowerCase()}`));
}

function format(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number") return numbers.format(value);
  if (isNumber(value)) return /^-?\d+$/.test(value.slice(1)) ? numbers.format(BigInt(value.slice(1))) : value.slice(1);
  return typeof value === "string" ? value : JSON.stringify(value);
}

function fill(field, value) {
  const text = format(value);
  field.title = "";
  if (typeof value === "string" && /^https?:\/\/\S+$/i.test(value)) field.replaceChildren(linkTo(value));
  else if (typeof value === "string" && /^\d{4}-\d\d-\d\d(T[\d:.]+Z)?$/.test(value)) {
    put(field, dateOf(value));
    field.title = value;
  } else put(field, text);
}

function linkTo(address) {
  const link = document.createElement("a");
  link.href = address;
  link.rel = "noopener noreferrer nofollow";
  link.textContent = address.replace(/^https?:\/\//i, "").replace(/\/$/, "");
  return link;
}

function dateOf(text) {
  const moment = new Date(text);
  return Number.isNaN(moment.getTime()) ? text : moment.toLocaleDateString("en", { dateStyle: "long", timeZone: "UTC" });
}

function flash(field) {
  field.classList.remove("fresh");
  void field.offsetWidth; // restarts the animation
  field.classList.add("fresh");
}

function say(kind, text) {
  at("news").dataset.kind = kind;
  put(at("news"), text);
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// The reader

let earlier = null;

async function poll() {
  if (!document.hidden) {
    try {
      const [readiness, metrics] = await Promise.all([
        fetch("readyz", { cache: "no-store" }).then((response) => response.json()),
        fetch("metrics", { cache: "no-store" }).then((response) => (response.ok ? response.text() : "")),
      ]);
      showReadiness(readiness);
      showNumbers(samplesOf(metrics));
    } catch {
      showState("away", "does not respond");
    }
  }
  setTimeout(poll, POLL_MS);
}

function showState(state, text) {
  at("state").dataset.state = state;
  put(at("state"), text);
}

function showReadiness(readiness) {
  const serves = readiness.state === "ready" || readiness.state === "stale";
  showState(readiness.state, readiness.percent === null || serves ? readiness.state : `${readiness.state} ${readiness.percent} %`);
  at("replay").hidden = serves;
  put(at("replay-title"), readiness.state === "failed" ? "Needs attention" : "Not ready yet");
  put(at("replay-reason"), sentence(readiness.reason ?? "Reading the topic; records are served once all of it has been read."));
  at("replay-progress").hidden = readiness.percent === null;
  if (readiness.percent !== null) at("replay-progress").value = readiness.percent;
  put(at("replay-estimate"), estimateOf(readiness));
  at("reader-reason").hidden = !(serves && readiness.reason);
  put(at("reader-reason"), sentence(readiness.reason ?? ""));
}

function estimateOf({ state, applied, target, secondsLeft }) {
  if (state === "building") return secondsLeft === null ? "" : `about ${spanOf(secondsLeft)} left`;
  if (applied === null || target === null) return "";
  const done = `${numbers.format(applied)} of ${numbers.format(target)} records`;
  return secondsLeft === null ? done : `${done}, about ${spanOf(secondsLeft)} left`;
}

function spanOf(seconds) {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

// Prometheus' text format: one sample a line, a name with or without labels, and a number.
function samplesOf(text) {
  const samples = [];
  for (const line of text.split("\n")) {
    const found = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (found) samples.push({ name: found[1], labels: found[2] ?? "", value: Number(found[3]) });
  }
  return samples;
}

function showNumbers(samples) {
  const of = (name, label = "") => samples.filter((one) => one.name === name && one.labels.includes(label));
  const one = (name, label) => of(name, label)[0]?.value;
  const text = (value, how) => (value === undefined || Number.isNaN(value) ? "–" : how(value));
  const partitions = of("reader_lag_records");
  put(at("records"), text(one("reader_store_records"), numbers.format));
  put(at("partitions"), partitions.length ? numbers.format(partitions.length) : "–");
  put(at("behind"), text(one("reader_behind_seconds"), (value) => (value < 60 ? `${value.toFixed(1)} s` : spanOf(value))));
  put(at("size"), text(one("reader_store_bytes"), sizeOf));
  const counters = of("reader_answers_total");
  if (counters.length) showRequests(counters.reduce((sum, each) => sum + each.value, 0));
  const all = one("reader_answer_seconds_count");
  const fast = one("reader_answer_seconds_bucket", 'le="0.005"');
  put(at("fast"), all ? `${((100 * fast) / all).toFixed(2)} %` : "–");
}

function showRequests(total) {
  const now = performance.now();
  const pace = earlier && total >= earlier.total ? (total - earlier.total) / ((now - earlier.now) / 1000) : null;
  earlier = { total, now };
  put(at("requests"), pace === null ? numbers.format(total) : `${numbers.format(total)} (${numbers.format(Math.round(pace))}/s)`);
}

function sizeOf(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const step = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  return `${(bytes / 1024 ** step).toFixed(step ? 1 : 0)} ${units[step]}`;
}

// Start

at("look-up").addEventListener("submit", (event) => {
  event.preventDefault();
  const userId = at("user-id").value;
  const address = new URL(location.href);
  address.searchParams.set("user", userId);
  history.replaceState(null, "", address);
  watch(userId);
});

try {
  await describe();
} catch { /* the reader is away; its status says so */ }

const requested = new URL(location.href).searchParams.get("user");
if (requested) {
  at("user-id").value = requested;
  watch(requested);
}
poll();
