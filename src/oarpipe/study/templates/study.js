"use strict";

// The page's states are its sections. A participant's state is a number, a plan (what is shown in which
// order and on which side) and the answers given so far; it is kept on the device until it is cleared.

const study = JSON.parse(document.getElementById("study").textContent);
const items = new Map([...study.pairs, ...study.checks].map((item) => [item.item, item]));
const place = `oarpipe-study-${study.study}`;
const PAUSE = 300; // milliseconds in which a pair that has just appeared takes no choice
const PATIENCE = 20000; // milliseconds that sending may take

let participant = restored();
let at = 0;
let since = Infinity;

const element = (id) => document.getElementById(id);

function show(name) {
  if (!element(name).hidden) return;
  for (const section of document.querySelectorAll("main > section")) section.hidden = section.id !== name;
  document.querySelector(`#${name} h1`).focus({ preventScroll: true });
  scrollTo(0, 0);
}

// Chance: the browser's own source of random numbers.

function below(count) {
  return Math.floor((crypto.getRandomValues(new Uint32Array(1))[0] / 2 ** 32) * count);
}

function shuffled(list) {
  const result = [...list];
  for (let i = result.length - 1; i > 0; i--) {
    const j = below(i + 1);
    [result[i], result[j]] = [result[j], result[i]];
  }
  return result;
}

function sides(count, names) {
  const first = below(2);
  return shuffled(Array.from({ length: count }, (_, i) => names[(i + first) % 2]));
}

function planned() {
  const swapped = { a: "b", b: "a" };
  const lefts = sides(study.pairs.length, ["a", "b"]);
  const pairs = shuffled(study.pairs).map(({ item }, i) => ({ item, kind: "pair", left: lefts[i] }));
  const half = Math.ceil(pairs.length / 2);
  const plan = [...pairs];
  for (const { item, left } of pairs.slice(0, study.repeats)) {
    const spot = half + below(plan.length - half + 1);
    plan.splice(spot, 0, { item, kind: "repeat", left: swapped[left] });
  }
  const whole = sides(study.checks.length, ["whole", "degraded"]);
  study.checks.forEach(({ item }, i) => {
    plan.splice(1 + below(plan.length), 0, { item, kind: "check", left: whole[i] });
  });
  return plan;
}

function begun() {
  const words = crypto.getRandomValues(new Uint8Array(8));
  const name = Array.from(words, (word) => word.toString(16).padStart(2, "0")).join("");
  return { participant: name, plan: planned(), answers: [], delivered: null };
}

// What is kept on the device. Some browsers keep nothing for pages from a disk; then it lives in memory.

function restored() {
  try {
    return JSON.parse(localStorage.getItem(place));
  } catch {
    return null;
  }
}

function keep() {
  try {
    localStorage.setItem(place, JSON.stringify(participant));
  } catch {
    element("forgetful").hidden = false;
  }
}

function forget() {
  participant = null;
  at = 0;
  try {
    localStorage.removeItem(place);
  } catch {
    // Where nothing can be kept, nothing is there to be removed.
  }
}

// A pair.

function laid(index) {
  const { item, left } = participant.plan[index];
  const right = Object.keys(items.get(item).pictures).find((name) => name !== left);
  return { left, right };
}

async function showPair(index) {
  at = index;
  since = Infinity;
  const { caption, pictures } = items.get(participant.plan[index].item);
  for (const [side, name] of Object.entries(laid(index))) {
    element(`${side}-picture`).src = pictures[name];
    element(`${side}-picture`).alt = `${side === "left" ? "Left" : "Right"} picture, ${caption}`;
    element(side).setAttribute("aria-pressed", String(participant.answers[index]?.chosen === name));
  }
  element("caption").textContent = caption;
  element("done").value = index;
  element("count").textContent = `${index + 1} of ${participant.plan.length}`;
  element("back").disabled = index === 0;
  show("pair");
  await Promise.all(["left", "right"].map((side) => element(`${side}-picture`).decode()));
  if (at === index) since = performance.now();
}

function choose(side) {
  const now = performance.now();
  if (!(now - since >= PAUSE)) return;
  const chosen = laid(at)[side];
  const before = participant.answers[at];
  participant.answers[at] = {
    chosen,
    seconds: Math.round(now - since + 1000 * (before?.seconds ?? 0)) / 1000,
    changes: before ? before.changes + (before.chosen !== chosen) : 0,
  };
  keep();
  resume();
}

// The end.

function content() {
  const answers = participant.plan.map((one, i) => ({ ...one, ...participant.answers[i] }));
  const facts = { kind: "oarpipe preference answers", format: 1, study: study.study };
  return JSON.stringify({ ...facts, participant: participant.participant, asked: answers.length, answers }, null, 1);
}

function finish() {
  show("end");
  if (study.post && participant.delivered === null) send();
  else showEnd();
}

function showEnd(failure = "") {
  const { delivered } = participant;
  element("save").hidden = delivered === "sent";
  element("resend").hidden = !failure;
  element("next").hidden = delivered === null;
  if (delivered === "sent") {
    element("outcome").textContent = "Your answers were sent. You can close this page.";
  } else if (delivered === "saved") {
    element("outcome").textContent = `Your answers are in the file ${fileName()}. Please send it to whoever gave you this page.`;
  } else {
    element("outcome").textContent = `${failure}You have answered everything. Please save your answers, and send the file to whoever gave you this page.`;
  }
}

async function send() {
  for (const id of ["save", "resend", "next"]) element(id).hidden = true;
  element("outcome").textContent = "Your answers are being sent …";
  try {
    const signal = AbortSignal.timeout(PATIENCE);
    const options = { method: "POST", body: content(), credentials: "omit", referrerPolicy: "no-referrer", signal };
    const response = await fetch(study.post, options);
    if (!response.ok) throw new Error(`status ${response.status}`);
    participant.delivered = "sent";
    keep();
    showEnd();
  } catch {
    showEnd("Your answers could not be sent. ");
  }
}

function fileName() {
  return `answers-${participant.participant}.json`;
}

function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content()], { type: "application/json" }));
  link.download = fileName();
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  participant.delivered = "saved";
  keep();
  showEnd();
}

// Buttons and keys.

function resume() {
  if (!participant) show("consent");
  else if (participant.answers.length < participant.plan.length) showPair(participant.answers.length);
  else finish();
}

const actions = {
  agree() {
    participant = begun();
    keep();
    showPair(0);
  },
  decline: () => show("declined"),
  reconsider: () => show("consent"),
  restart: () => show("consent"),
  left: () => choose("left"),
  right: () => choose("right"),
  back: () => at > 0 && showPair(at - 1),
  withdraw: () => show("withdrawing"),
  continue: () => showPair(at),
  delete() {
    forget();
    show("deleted");
  },
  save,
  resend: send,
  next() {
    forget();
    show("consent");
  },
};
for (const [id, act] of Object.entries(actions)) element(id).addEventListener("click", act);

const keys = { ArrowLeft: actions.left, ArrowRight: actions.right, Backspace: actions.back };
document.addEventListener("keydown", (event) => {
  if (element("pair").hidden || !(event.key in keys)) return;
  if (event.repeat || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  keys[event.key]();
});

resume();
