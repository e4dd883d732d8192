// Looks a user up and shows its changes as they come; shows how the reader stands. Asks this reader and nobody else.

const LOOK_MS = 1000;
const AGAIN_MS = 1000;

const at = (id) => document.getElementById(id);
const numbers = new Intl.NumberFormat("en");

// The user

let watched = null;
let source = null;
let again = null;
let shown = null;
let changes = 0;

const pathOf = (userId) => `users/${encodeURIComponent(userId)}`;

function watch(userId) {
  source?.close();
  clearTimeout(again);
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
    else say("lost", "The connection is lost; trying again …");
  });
}

// A stream that is refused does not tell scripts why; the user's own answer does.
async function explain(userId) {
  let problem = { title: "the reader does not answer", detail: "trying again …" };
  let isFinal = false;
  try {
    const answer = await fetch(pathOf(userId), { cache: "no-store" });
    isFinal = answer.status === 404;
    problem = answer.ok ? { title: "no stream to be had", detail: "this reader has as many as it takes" } : await answer.json();
  } catch { /* what is said already fits */ }
  if (userId !== watched) return;
  if (problem.type?.endsWith(":not-ready")) say("waiting", "Not ready: the user is shown as soon as the reader is.");
  else say(isFinal ? "absent" : "waiting", `${sentence(problem.title)}: ${problem.detail}`);
  if (!isFinal) again = setTimeout(() => listen(userId), AGAIN_MS);
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

function show(event) {
  const record = JSON.parse(event.data);
  const before = shown;
  if (before) changes += 1;
  shown = record;
  at("record").hidden = false;
  put(at("user-title"), record.name ?? record.username ?? record.userId);
  put(at("username"), record.username ? `@${record.username}` : `id ${record.userId}`);
  put(at("description"), record.description ?? "");
  at("description").hidden = !record.description;
  for (const field of document.querySelectorAll("[data-field]")) {
    const name = field.dataset.field;
    if (!before || before[name] !== record[name]) fill(field, name, record[name]);
    if (before && before[name] !== record[name]) flash(field);
  }
  put(at("place"), placeOf(event.lastEventId));
  put(at("raw"), JSON.stringify(record, null, 2));
  const since = changes === 0 ? "no change yet" : changes === 1 ? "1 change" : `${numbers.format(changes)} changes`;
  say("live", `Live: ${since}, last told at ${new Date().toLocaleTimeString()}`);
}

function showAbsence(userId) {
  if (shown) changes += 1;
  shown = null;
  at("record").hidden = true;
  say("absent", `There is no user ${userId}. Should it appear, it is shown here.`);
}

function placeOf(eventId) {
  const [partition, offset] = eventId.split(":");
  return `partition ${partition}, offset ${numbers.format(Number(offset))}`;
}

function fill(field, name, value) {
  if (value === null || value === undefined) put(field, "–");
  else if (typeof value === "number") put(field, numbers.format(value));
  else if (name === "webPageUrl" && /^https?:\/\//i.test(value)) field.replaceChildren(linkTo(value));
  else if (name === "joinedDate") put(field, dateOf(value));
  else put(field, value);
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
  return Number.isNaN(moment.getTime()) ? text : moment.toLocaleDateString("en", { dateStyle: "long" });
}

function flash(field) {
  field.classList.remove("fresh");
  void field.offsetWidth; // begins the animation anew
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

async function look() {
  if (!document.hidden) {
    try {
      const [standing, metrics] = await Promise.all([
        fetch("readyz", { cache: "no-store" }).then((answer) => answer.json()),
        fetch("metrics", { cache: "no-store" }).then((answer) => (answer.ok ? answer.text() : "")),
      ]);
      showStanding(standing);
      showNumbers(samplesOf(metrics));
    } catch {
      showState("away", "does not answer");
    }
  }
  setTimeout(look, LOOK_MS);
}

function showState(state, text) {
  at("state").dataset.state = state;
  put(at("state"), text);
}

function showStanding(standing) {
  const serves = standing.state === "ready" || standing.state === "stale";
  showState(standing.state, standing.percent === null || serves ? standing.state : `${standing.state} ${standing.percent} %`);
  at("replay").hidden = serves;
  put(at("replay-title"), standing.state === "failed" ? "Needs attention" : "Not ready yet");
  put(at("replay-reason"), sentence(standing.reason ?? "Reading the topic; users are answered once all of it has been read."));
  at("replay-progress").hidden = standing.percent === null;
  if (standing.percent !== null) at("replay-progress").value = standing.percent;
  put(at("replay-estimate"), estimateOf(standing));
  at("reader-reason").hidden = !(serves && standing.reason);
  put(at("reader-reason"), sentence(standing.reason ?? ""));
}

function estimateOf({ applied, target, secondsLeft }) {
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
  const answers = of("reader_answers_total");
  if (answers.length) showRequests(answers.reduce((sum, each) => sum + each.value, 0));
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

// The beginning

at("look-up").addEventListener("submit", (event) => {
  event.preventDefault();
  const userId = at("user-id").value;
  const address = new URL(location.href);
  address.searchParams.set("user", userId);
  history.replaceState(null, "", address);
  watch(userId);
});

const asked = new URL(location.href).searchParams.get("user");
if (asked) {
  at("user-id").value = asked;
  watch(asked);
}
look();
