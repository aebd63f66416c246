// The participant's page: the numbers of one session, always the ones it offers now (R10).
"use strict";

const EVERY_MS = 3000;
const key = location.pathname.split("/").pop();
const $ = (name) => document.querySelector(name);
let words = {};
let spoken = "en";
let items = [];
let known = null;

const word = (name) => (words[spoken] || words.en || {})[name] || "";

async function begin() {
  words = await (await fetch("/static/join_words.json")).json();
  const mine = (navigator.language || "").slice(0, 2);
  if (mine in words) spoken = mine;
  read();
  setInterval(read, EVERY_MS);
}

async function read() {
  try {
    const mine = (navigator.language || "").slice(0, 2);
    const wanted = mine in words ? `?language=${mine}` : "";
    const answer = await fetch(`/api/v1/join/${encodeURIComponent(key)}${wanted}`, { cache: "no-store" });
    const data = await answer.json();
    $("#trouble").hidden = answer.ok;
    $("#trouble").textContent = answer.ok ? "" : word("nothing");
    if (answer.ok) show(data);
  } catch (fault) {
    $("#trouble").hidden = false;
    $("#trouble").textContent = word("unreachable");
  }
}

function show(data) {
  spoken = data.language;
  document.documentElement.lang = spoken;
  for (const one of document.querySelectorAll("[data-word]")) one.textContent = word(one.dataset.word);
  document.title = data.title;
  $("#title").textContent = data.title;
  $("#state").textContent = word(data.state);
  $("#secured").hidden = !data.secured;
  $("#state").className = `badge ${data.state}`;
  $("#code").textContent = `${data.access_code}#`;
  $("#sip").textContent = data.sip_uri;
  $("#when-box").hidden = !data.opens;
  $("#when").textContent = data.opens ? new Date(data.opens).toLocaleString() : "";
  const now = new Set(data.numbers.filter((one) => one.kind === "toll_free").map((one) => one.country_name));
  if (known) {
    const fresh = [...now].filter((name) => !known.has(name));
    const gone = [...known].filter((name) => !now.has(name));
    const news = [fresh.length && word("fresh").replace("{names}", fresh.join(", ")), gone.length && word("gone").replace("{names}", gone.join(", "))];
    if (fresh.length || gone.length) $("#said").textContent = news.filter(Boolean).join(" ");
  }
  known = now;
  if (JSON.stringify(items) !== JSON.stringify(data.numbers)) { items = data.numbers; list(); }
}

function list() {
  const find = $("#find").value.trim().toLowerCase();
  $("#numbers").replaceChildren(...items
    .filter((one) => !find || `${one.country_name} ${one.country}`.toLowerCase().includes(find))
    .map((number) => {
      const item = document.createElement("li");
      const name = document.createElement("strong");
      name.textContent = number.country_name;
      const kind = document.createElement("span");
      kind.textContent = word(number.kind);
      kind.className = number.kind === "toll_free" ? "free" : "";
      item.append(name, `${number.international} (${number.national}) `, kind);
      return item;
    }));
}

$("#find").addEventListener("input", list);
begin();
