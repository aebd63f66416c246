// The page: what is happening now. State comes from the API; every event makes it be read anew.
// Elements are made once and changed in place, so that the keyboard's focus stays where it is.
"use strict";

const VIA = { toll_free: "toll-free", toll: "toll", voip: "VoIP", call_me: "Call Me" };
const STATES = { invited: "ringing", answered: "answering", prompted: "keying the code", secured: "keying the security code", naming: "saying a name", waiting: "waiting", joined: "in", leaving: "leaving", dialled: "being called", resting: "to be called again", asked: "answered, must press 1" };
const NEWS = {
  "leg.joined": "joined", "leg.left": "left", "leg.waiting": "is waiting", "participant.muted": "is muted",
  "participant.unmuted": "is not muted any more", "participant.hand_raised": "raised a hand",
  "participant.held": "is on hold", "participant.resumed": "is back from hold", "call_me.joined": "accepted the call",
  "call_me.ringing": "rings", "call_me.busy": "is busy", "call_me.no_answer": "does not answer",
  "call_me.declined": "declined the call", "call_me.failed": "could not be called",
};
const CHARGES_MS = 10000;
const QUALITY_MS = 5000;
const $ = (name, within = document) => within.querySelector(name);

const cards = new Map();
let may = { control: false, operator: false };
let clockOffset = 0;
let following = null;

// --- signing in ---------------------------------------------------------------------------

async function begin() {
  takeTokenFromAddress();
  $("#sign-in").addEventListener("submit", (event) => {
    event.preventDefault();
    token.set($("#token").value.trim());
    $("#token").value = "";
    open();
  });
  $("#sign-out").addEventListener("click", () => { close(); showSignIn(""); });
  setInterval(tick, 1000);
  setInterval(() => [...cards.values()].some((card) => card.live) && readNowSoon(), QUALITY_MS);
  setInterval(() => cards.forEach((card) => card.live && readCharges(card)), CHARGES_MS);
  if (token.get()) open(); else showSignIn("");
}

async function open() {
  try {
    const who = await ask("GET", "/accounts");
    may = { control: who.role !== "viewer", operator: who.operator };
    $("#sign-in").hidden = true;
    $("#sign-out").hidden = false;
    say("");
    following = new AbortController();
    follow(onEvent, onLink, following.signal);
    await readSessions();
  } catch (fault) {
    if (fault.status === 401) { close(); showSignIn("This token is not known."); } else trouble(fault);
  }
}

function close() {
  token.forget();
  if (following) following.abort();
  cards.forEach((card) => card.root.remove());
  cards.clear();
  onLink("off");
  $("#totals").textContent = "";
  $("#none").hidden = true;
  $("#sign-out").hidden = true;
}

function showSignIn(why) {
  $("#sign-in").hidden = false;
  $("#token").focus();
  trouble(why ? new Error(why) : null);
}

// --- reading ------------------------------------------------------------------------------

function soon(work, wait = 120) {
  let timer = 0;
  let again = false;
  let busy = false;
  const run = async () => {
    timer = 0;
    if (busy) { again = true; return; }
    busy = true;
    try { await work(); trouble(null); } catch (fault) { trouble(fault); }
    busy = false;
    if (again) { again = false; ask_(); }
  };
  const ask_ = () => { if (!timer) timer = setTimeout(run, wait); };
  return ask_;
}

const readNowSoon = soon(readNow);
const readSessionsSoon = soon(readSessions);

function onEvent(event) {
  if (event.type === "levels") { showLevels(event.dbfs); return; }
  if (event.type === "speaker.changed") return; // the levels show it
  if (event.type.startsWith("session.") || event.type.startsWith("account.") || event.type === "stream.reset") {
    readSessionsSoon();
  } else {
    readNowSoon();
  }
  if (["session.numbers_changed", "account.toll_free_switched"].includes(event.type)) {
    cards.forEach((card) => { if (card.numbers.open) readNumbers(card); });
  }
  if (event.type === "leg.left" || event.type.startsWith("session.")) {
    cards.forEach((card) => { if (card.id === event.session) setTimeout(() => readCharges(card), 2500); });
  }
  const news = NEWS[event.type] && event.leg ? `${nameOf(event)} ${NEWS[event.type]}` : "";
  if (news) say(news);
  const card = cards.get(event.session);
  if (!card) return;
  if (event.type.startsWith("call_me.")) {
    $(".called", card.root).textContent = news;
    readCalls(card);
  }
  if (event.type.startsWith("recording.") && card.tapes.open) setTimeout(() => readTapes(card), 800);
}

async function readSessions() {
  const sessions = [];
  for (let cursor = ""; cursor !== null;) {
    const page = await ask("GET", `/sessions?cancelled=false&limit=200&cursor=${cursor}`);
    sessions.push(...page.items);
    cursor = page.next_cursor;
  }
  const known = new Set(sessions.map((session) => session.id));
  for (const [id, card] of cards) if (!known.has(id)) { card.root.remove(); cards.delete(id); }
  for (const session of sessions) showSession(cards.get(session.id) || makeCard(session), session);
  $("#none").hidden = sessions.length > 0;
  await readNow();
}

async function readNow() {
  const now = await ask("GET", "/now");
  clockOffset = Date.parse(now.now) - Date.now();
  const waiting = now.legs.filter((leg) => leg.state === "waiting").length;
  const inside = now.legs.filter((leg) => leg.state === "joined").length;
  $("#totals").textContent = `${cards.size} session${cards.size === 1 ? "" : "s"}, ${inside} in, ${waiting} waiting`;
  for (const card of cards.values()) {
    const legs = now.legs.filter((leg) => leg.session === card.id);
    showNow(card, now.occurrences.find((one) => one.session === card.id), legs);
  }
  sortCards();
}

async function readCharges(card) {
  try {
    const charges = await ask("GET", `/sessions/${card.id}/charges`);
    const cell = $(".charges", card.root);
    cell.textContent = `${charges.settled} ${charges.currency}`;
    const small = document.createElement("small");
    small.textContent = charges.legs.length ? `+ about ${charges.estimate} not settled yet` : "settled";
    cell.append(small);
  } catch (fault) { trouble(fault); }
}

async function readNumbers(card) {
  try {
    const numbers = await ask("GET", `/sessions/${card.id}/numbers`);
    $(".off", card.root).hidden = numbers.toll_free_enabled;
    card.items = numbers.items;
    showNumbers(card);
  } catch (fault) { trouble(fault); }
}

// --- showing ------------------------------------------------------------------------------

function makeCard(session) {
  const root = $("#session-card").content.cloneNode(true).firstElementChild;
  const card = { id: session.id, root, rows: new Map(), live: null, items: [], numbers: $(".numbers", root), tapes: $(".tapes", root) };
  root.dataset.session = session.id;
  const order = (selector, path, body, sure) => $(selector, root).addEventListener("click", () => {
    if (!sure || confirm(sure)) act(`/sessions/${card.id}/${path}`, body && body());
  });
  order(".start", "start");
  order(".end", "end", null, "End this conference? Every leg is hung up.");
  order(".lock", "lock", () => ({ locked: !card.live.locked }));
  order(".lecture-mode", "lecture", () => ({ on: !card.live.lecture }));
  order(".record", "recording", () => ({ on: !card.live.recording }));
  order(".mute-all", "mute-all", () => ({ muted: !card.live.mute_all }));
  $(".call-me", root).addEventListener("submit", (event) => {
    event.preventDefault();
    const [number, name] = [$(".call-number", root), $(".call-name", root)];
    act(`/sessions/${card.id}/call-me`, { number: number.value.replace(/[\s().-]/g, ""), name: name.value.trim() });
    number.value = name.value = "";
  });
  $(".announce", root).addEventListener("submit", (event) => { event.preventDefault(); announce(card); });
  $(".options", root).addEventListener("submit", (event) => { event.preventDefault(); saveOptions(card); });
  $(".call-box", root).addEventListener("toggle", (event) => event.target.open && readCalls(card));
  card.tapes.addEventListener("toggle", () => card.tapes.open && readTapes(card));
  card.numbers.addEventListener("toggle", () => card.numbers.open && readNumbers(card));
  $(".find", root).addEventListener("input", () => showNumbers(card));
  cards.set(session.id, card);
  $("#sessions").append(root);
  readCharges(card);
  return card;
}

function showSession(card, session) {
  card.session = session;
  for (const box of [".call-box", ".options-box", ".tapes"]) $(box, card.root).hidden = !may.control;
  const root = card.root;
  $(".title", root).textContent = may.operator ? `${session.title} (${session.account})` : session.title;
  $(".controls", root).setAttribute("aria-label", `Controls of ${session.title}`);
  $("caption", root).textContent = `Who is in ${session.title}`;
  $(".code", root).textContent = `${session.access_code}#`;
  $(".pin-box", root).hidden = session.organizer_pin === null;
  $(".pin", root).textContent = session.organizer_pin || "";
  $(".security-box", root).hidden = !session.security_code;
  $(".security", root).textContent = session.security_code ? `${session.security_code}#` : "";
  $(".secured", root).hidden = !session.secured;
  showOptions(card, session);
  const link = $(".join-url", root);
  link.textContent = session.join_url;
  link.href = new URL(new URL(session.join_url).pathname, location.origin).href;
}

function showNow(card, live, legs) {
  const root = card.root;
  const started = Boolean(live && live.started_at);
  card.live = live || null;
  const state = live ? (started ? "started" : "open") : "scheduled";
  const badge = $(".state", root);
  badge.textContent = { started: "in session", open: "waiting for the organizer", scheduled: "nobody there" }[state];
  badge.className = `badge state ${state}`;
  for (const [selector, on] of [[".locked", live && live.locked], [".lecture", live && live.lecture], [".all-muted", live && live.mute_all], [".recorded", live && live.recording]]) {
    $(selector, root).hidden = !on;
  }
  press($(".lock", root), live && live.locked, "Unlock", "Lock");
  press($(".lecture-mode", root), live && live.lecture, "Lecture mode", "Lecture mode");
  press($(".record", root), live && live.recording, "Stop recording", "Record");
  press($(".mute-all", root), live && live.mute_all, "Unmute all", "Mute all");
  $(".controls", root).hidden = !may.control || !live;
  $(".say-box", root).hidden = !may.control || !live;
  const there = legs.filter((leg) => ["joined", "waiting"].includes(leg.state));
  choose($(".say-to", root), "everybody", there.map((leg) => [leg.leg, shownName(leg)]));
  $(".start", root).hidden = started;
  $(".start", root).disabled = !legs.some((leg) => leg.hosting);
  const count = (test) => String(legs.filter(test).length);
  $(".in", root).textContent = count((leg) => leg.state === "joined");
  $(".waiting", root).textContent = count((leg) => leg.state === "waiting");
  $(".hosting", root).textContent = legs.filter((leg) => leg.hosting).map(shownName).join(", ") || "nobody";
  const seen = new Set(legs.map((leg) => leg.leg));
  for (const [id, row] of card.rows) if (!seen.has(id)) { row.root.remove(); card.rows.delete(id); }
  for (const leg of legs) showLeg(card, leg);
  $("table", root).hidden = legs.length === 0;
  $(".nobody", root).hidden = legs.length > 0;
  tickCard(card);
}

function press(button, on, pressed, released) {
  button.classList.toggle("on", Boolean(on));
  if (pressed === released) button.setAttribute("aria-pressed", String(Boolean(on)));
  button.textContent = on ? pressed : released;
}

function stateOf(leg) {
  if (leg.call === "ringing") return "rings";
  if (leg.state === "resting") return `${CALLS[leg.call]}, ${STATES.resting}`;
  return STATES[leg.state] || leg.state;
}

function shownName(leg) { return leg.name || leg.number || "anonymous"; }

function nameOf(event) {
  for (const card of cards.values()) if (card.rows.has(event.leg)) return shownName(card.rows.get(event.leg).leg);
  return event.data.name || event.data.number || "somebody";
}

function makeRow(card, leg) {
  const root = $("#leg-row").content.cloneNode(true).firstElementChild;
  const row = { root, leg };
  root.dataset.leg = leg.leg;
  $(".story", root).href = `/legs/${encodeURIComponent(leg.leg)}`;
  $(".mute", root).addEventListener("click", () => act(`/legs/${leg.leg}/mute`, { muted: !row.leg.muted }));
  $(".lower", root).addEventListener("click", () => act(`/legs/${leg.leg}/hand`, { raised: false }));
  $(".volume", root).addEventListener("change", (event) => act(`/legs/${leg.leg}/volume`, { gain_db: Number(event.target.value) }));
  $(".move", root).addEventListener("change", (event) => {
    const session = event.target.value;
    event.target.value = "";
    if (session) act(`/legs/${leg.leg}/move`, { session });
  });
  $(".kick", root).addEventListener("click", () => {
    if (confirm(`Hang up ${shownName(row.leg)}?`)) act(`/legs/${leg.leg}/kick`);
  });
  card.rows.set(leg.leg, row);
  $("tbody", card.root).append(root);
  return row;
}

function showLeg(card, leg) {
  const row = card.rows.get(leg.leg) || makeRow(card, leg);
  const root = row.root;
  row.leg = leg;
  $(".name", root).textContent = leg.name || (leg.number ? "" : "anonymous");
  $(".number", root).textContent = leg.number;
  $(".via", root).textContent = [VIA[leg.via], leg.country].filter(Boolean).join(" ");
  const state = $(".leg-state", root);
  state.textContent = leg.hosting ? (leg.state === "joined" ? "hosting" : "hosting, not started") : stateOf(leg);
  state.className = `badge leg-state ${leg.hosting ? "hosting-now" : leg.state === "joined" ? "joined" : "waiting-now"}`;
  $(".muted", root).hidden = !leg.muted;
  $(".held", root).hidden = !leg.held;
  $(".hand", root).hidden = !leg.hand_raised;
  $(".lower", root).hidden = !leg.hand_raised;
  press($(".mute", root), leg.muted, "Unmute", "Mute");
  const who = shownName(leg);
  for (const [selector, text] of [[".mute", leg.muted ? "Unmute" : "Mute"], [".kick", "Kick"], [".lower", "Lower the hand of"], [".volume", "Volume of"], [".move", "Move to another session:"], [".meter", "Level of"], [".story", "The story of"]]) {
    $(selector, root).setAttribute("aria-label", `${text} ${who}`);
  }
  const volume = $(".volume", root);
  const value = String(leg.gain_db);
  if (document.activeElement !== volume && [...volume.options].some((one) => one.value === value)) volume.value = value;
  $(".leg-controls", root).hidden = !may.control;
  const others = [...cards.values()].filter((one) => one.id !== card.id && one.session && one.session.account === card.session.account);
  $(".move-label", root).hidden = others.length === 0 || !["joined", "waiting"].includes(leg.state);
  choose($(".move", root), "Move to …", others.map((one) => [one.id, one.session.title]));
  $(".line", root).textContent = lineOf(leg);
  if (!leg.talking) showLevel(row, QUIET_DB);
}

function showNumbers(card) {
  const find = $(".find", card.root).value.trim().toLowerCase();
  const list = $(".number-list", card.root);
  list.replaceChildren(...card.items
    .filter((one) => !find || `${one.country_name} ${one.country}`.toLowerCase().includes(find))
    .map(numberItem));
}

function numberItem(number) {
  const item = document.createElement("li");
  const name = document.createElement("strong");
  const kind = document.createElement("span");
  name.textContent = number.country_name;
  kind.textContent = VIA[number.kind];
  kind.className = number.kind === "toll_free" ? "free" : "";
  item.append(name, `${number.international} (${number.national}) `, kind);
  return item;
}

function sortCards() {
  const order = [...cards.values()].sort((a, b) => Boolean(b.live) - Boolean(a.live) || a.session.title.localeCompare(b.session.title));
  const list = $("#sessions");
  order.forEach((card, place) => { if (list.children[place] !== card.root) list.insertBefore(card.root, list.children[place] || null); });
}

// --- time ---------------------------------------------------------------------------------

function lasted(since) {
  const seconds = Math.max(0, Math.floor((Date.now() + clockOffset - Date.parse(since)) / 1000));
  const rest = `${String(Math.floor(seconds / 60) % 60).padStart(2, "0")}:${String(seconds % 60).padStart(2, "0")}`;
  return seconds >= 3600 ? `${Math.floor(seconds / 3600)}:${rest}` : rest;
}

function tickCard(card) {
  const since = card.live && (card.live.started_at || card.live.opened_at);
  $(".running", card.root).textContent = since ? lasted(since) : "not running";
  for (const row of card.rows.values()) {
    $(".talk", row.root).textContent = row.leg.joined_at ? lasted(row.leg.joined_at) : "none yet";
  }
}

function tick() { cards.forEach(tickCard); }

// --- doing and saying ---------------------------------------------------------------------

async function act(path, body) {
  try {
    await ask("POST", path, body === undefined || body === null ? undefined : body);
    trouble(null);
  } catch (fault) { trouble(fault); }
  readNowSoon();
}

function onLink(state) {
  const link = $("#link");
  link.dataset.state = state;
  link.textContent = { live: "live", lost: "connection lost, trying again", off: "not connected" }[state];
}

function trouble(fault) {
  const box = $("#trouble");
  box.hidden = !fault;
  box.textContent = fault ? fault.message : "";
}

function say(text) { $("#said").textContent = text; }

begin();
