// What a card shows beside its roster: calls, recordings, options, announcements, levels.
"use strict";

const CALLS = { dialling: "being dialled", ringing: "rings", busy: "busy", no_answer: "no answer", declined: "declined", failed: "could not be called", answered: "answered, must press 1", joined: "joined" };
const QUIET_DB = -60;

// --- calls --------------------------------------------------------------------------------

async function readCalls(card) {
  try {
    const calls = await ask("GET", `/sessions/${card.id}/call-me`);
    $(".call-list", card.root).replaceChildren(...calls.items.map(callItem));
  } catch (fault) { trouble(fault); }
}

function callItem(call) {
  const item = document.createElement("li");
  const who = document.createElement("strong");
  const state = document.createElement("span");
  who.textContent = [call.name, call.number].filter(Boolean).join(" ");
  state.className = `badge call-state ${call.state}`;
  state.textContent = CALLS[call.state];
  const tries = call.attempt > 1 || call.again ? ` try ${call.attempt}${call.again ? ", will be tried again" : ""}` : "";
  item.append(who, " ", state, tries);
  return item;
}

// --- recordings ---------------------------------------------------------------------------

async function readTapes(card) {
  try {
    const kept = await ask("GET", `/sessions/${card.id}/recordings`);
    $(".no-tapes", card.root).hidden = kept.items.length > 0;
    $(".tape-list", card.root).replaceChildren(...kept.items.map((file) => tapeItem(card, file)));
  } catch (fault) { trouble(fault); }
}

function tapeItem(card, file) {
  const item = document.createElement("li");
  const name = document.createElement("strong");
  const button = document.createElement("button");
  const length = file.seconds === null ? "" : `, ${Math.floor(file.seconds / 60)}:${String(Math.floor(file.seconds % 60)).padStart(2, "0")}`;
  name.textContent = `Part ${file.part}, ${file.leg || "everybody"}`;
  button.type = "button";
  button.textContent = "Download";
  button.disabled = file.recording;
  button.setAttribute("aria-label", `Download ${file.name}`);
  button.addEventListener("click", () => download(`/sessions/${card.id}/recordings/${file.name}`, file.name));
  const when = file.recording ? "being recorded" : new Date(file.written_at).toLocaleString();
  item.append(name, ` ${file.format}${length}, ${(file.bytes / 1e6).toFixed(1)} MB, ${when} `, button);
  return item;
}

async function download(path, name) {
  try {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await blob(path));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  } catch (fault) { trouble(fault); }
}

// --- announcements and options --------------------------------------------------------------

async function announce(card) {
  const [text, file, to] = [".say-text", ".say-file", ".say-to"].map((name) => $(name, card.root));
  const leg = to.value || null;
  try {
    if (file.files.length) {
      await send(`/sessions/${card.id}/announce-file${leg ? `?leg=${leg}` : ""}`, file.files[0]);
    } else {
      await ask("POST", `/sessions/${card.id}/announce`, { text: text.value.trim(), leg });
    }
    text.value = file.value = "";
    trouble(null);
    say("Announced.");
  } catch (fault) { trouble(fault); }
}

function showOptions(card, session) {
  const form = $(".options", card.root);
  if (form.contains(document.activeElement)) return;
  for (const [selector, value] of [[".entry", session.entry], [".continue", session.continue_minutes], [".seats", session.participants_max], [".security-code", session.security_code]]) {
    $(selector, form).value = value === null ? "" : value;
  }
}

async function saveOptions(card) {
  const value = (name) => $(name, card.root).value.trim() || null;
  const number = (name) => (value(name) === null ? null : Number(value(name)));
  const saved = $(".saved", card.root);
  try {
    const session = await ask("PATCH", `/sessions/${card.id}`, {
      entry: value(".entry"), continue_minutes: number(".continue"), participants_max: number(".seats"), security_code: value(".security-code"),
    });
    saved.textContent = "Saved.";
    trouble(null);
    showSession(card, session);
  } catch (fault) { saved.textContent = ""; trouble(fault); }
}

// --- who speaks, how loud, how well -----------------------------------------------------------

function lineOf(leg) {
  const quality = leg.quality;
  if (!quality) return leg.answered_at ? "not measured yet" : "";
  const trip = quality.round_trip_ms === null ? "" : `, ${Math.round(quality.round_trip_ms)} ms round trip`;
  return `${(quality.loss * 100).toFixed(1)} % lost, ${Math.round(quality.jitter_ms)} ms jitter${trip}`;
}

function showLevels(dbfs) {
  for (const card of cards.values()) {
    for (const [id, row] of card.rows) showLevel(row, id in dbfs ? dbfs[id] : QUIET_DB);
  }
}

function showLevel(row, level) {
  const meter = $(".meter", row.root);
  const shown = Math.max(QUIET_DB, Math.min(0, level));
  if (Number(meter.getAttribute("aria-valuenow")) === shown) return;
  meter.setAttribute("aria-valuenow", shown);
  meter.setAttribute("aria-valuetext", shown > QUIET_DB ? `speaking, ${shown} dB` : "quiet");
  meter.classList.toggle("speaks", shown > QUIET_DB);
  $(".bar", meter).style.transform = `scaleX(${(shown - QUIET_DB) / -QUIET_DB})`;
}

// Fills a list of choices behind its first one, and keeps what is chosen.
function choose(list, first, choices) {
  const key = JSON.stringify(choices);
  if (list.dataset.choices === key) return;
  list.dataset.choices = key;
  const chosen = list.value;
  list.replaceChildren(...[["", first], ...choices].map(([value, text]) => new Option(text, value)));
  if (choices.some(([value]) => value === chosen)) list.value = chosen;
}
