// One leg's story, drawn by the bridge; the token is the one that the main page was given.
"use strict";

const leg = decodeURIComponent(location.pathname.split("/").pop());

async function read() {
  takeTokenFromAddress();
  const said = document.querySelector("#said");
  const headers = { Authorization: `Bearer ${token.get()}` };
  try {
    const answer = await fetch(`/api/v1/legs/${encodeURIComponent(leg)}/story.html`, { headers, cache: "no-store" });
    if (answer.ok) {
      // The bridge escapes every text in it, and the page's policy lets no script in it run.
      document.querySelector("#main").innerHTML = await answer.text();
      document.title = document.querySelector("#title").textContent = `The story of ${leg}`;
      return;
    }
    said.textContent = { 401: "Sign in on the first page in this tab, then come back.", 404: "There is no leg of this name, or it is another account's." }[answer.status] || `The bridge answered ${answer.status}.`;
  } catch (fault) {
    said.textContent = "The bridge cannot be reached.";
  }
}

read();
