"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const KEYED = ["notes", "steps", "rows", "unasked"];
  const form = byId("filter"), rows = byId("rows");
  const known = new WeakMap();   // element -> its source, as the server wrote it
  const remember = (element) => known.set(element, element.outerHTML);
  for (const id of KEYED) for (const one of byId(id).querySelectorAll(":scope > [data-key]")) remember(one);

  function ago(seconds) {
    for (const [unit, size] of [["day", 86400], ["hour", 3600], ["minute", 60]])
      if (seconds >= 2 * size) return Math.floor(seconds / size) + " " + unit + "s ago";
    return seconds >= 60 ? "a minute ago" : seconds >= 10 ? Math.floor(seconds) + " s ago" : "just now";
  }
  let skew = 0;                  // of this clock against the server's, in ms
  function tellTimes() {
    for (const time of document.querySelectorAll("time")) {
      time.title = time.title || time.textContent;
      time.textContent = ago(Math.max(0, Date.now() - skew - Date.parse(time.dateTime)) / 1000);
    }
  }

  async function copy(code, button) {
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {                    // plain HTTP to another host has no clipboard
      getSelection().selectAllChildren(code);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  }
  function addButtons() {
    for (const pre of document.querySelectorAll("#steps pre")) {
      const article = pre.closest("[data-key]");
      if (article.querySelector("button")) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.id = "b-" + article.dataset.key;
      button.textContent = "Copy";
      button.setAttribute("aria-label", "Copy the commands: " + article.querySelector("h3").textContent.trim());
      button.addEventListener("click", () => copy(pre.firstElementChild, button));
      pre.before(button);
    }
  }

  function filter() {
    const asked = new FormData(form);
    const words = asked.get("q").toLowerCase().split(/\s+/), statuses = asked.getAll("status");
    let shown = 0, total = 0;
    for (const row of rows.children) {
      const said = row.querySelector("th").textContent + row.children[2].textContent;
      const wanted = (!statuses.length || statuses.includes(row.dataset.status)) &&
        words.every((word) => said.toLowerCase().includes(word));
      row.hidden = !wanted;
      shown += wanted;
      total += 1;
    }
    byId("shown").textContent = shown + " of " + total + " shown";
    return asked;
  }
  function filterNow() {
    const asked = filter();
    if (!asked.get("q")) asked.delete("q");
    const query = new URLSearchParams(asked).toString();
    history.replaceState(null, "", query ? "?" + query : location.pathname);
  }

  function merge(id, fresh) {
    const box = byId(id), old = new Map();
    for (const one of box.querySelectorAll(":scope > [data-key]")) old.set(one.dataset.key, one);
    const focus = document.activeElement.id, selection = getSelection();
    let before = null;
    for (const one of [...fresh.getElementById(id).querySelectorAll(":scope > [data-key]")]) {
      let here = old.get(one.dataset.key);
      old.delete(one.dataset.key);
      const held = here && !selection.isCollapsed && selection.containsNode(here, true);
      if (!here || (!held && known.get(here) !== one.outerHTML)) {
        const made = document.importNode(one, true);
        remember(made);
        if (here) {
          for (const open of here.querySelectorAll("details[open]")) {
            const again = made.id === open.id ? made : made.querySelector("#" + CSS.escape(open.id));
            if (again) again.open = true;
          }
          if (here.open) made.open = true;
          here.replaceWith(made);
        }
        here = made;
      }
      const place = before ? before.nextElementSibling : box.firstElementChild;
      if (place !== here) box.insertBefore(here, place);
      before = here;
    }
    for (const gone of old.values()) gone.remove();
    addButtons();
    if (focus && document.activeElement.id !== focus) byId(focus)?.focus({ preventScroll: true });
  }

  async function update() {
    const stale = byId("stale");
    try {
      const answer = await fetch(location.pathname, { cache: "no-store", signal: AbortSignal.timeout(10000) });
      if (!answer.ok) throw new Error(answer.status);
      skew = Date.now() - Date.parse(answer.headers.get("date") || new Date());
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const id of KEYED) merge(id, fresh);
      const headline = byId("headline"), told = fresh.getElementById("headline");
      if (headline.textContent !== told.textContent) headline.textContent = told.textContent;
      headline.className = told.className;
      for (const count of fresh.querySelectorAll("legend ~ label span")) byId(count.id).textContent = count.textContent;
      document.title = fresh.title;
      filter();
      stale.hidden = true;
    } catch {
      const said = "biostudio-doctor does not answer. What you see is what it said last.";
      if (stale.hidden) { stale.textContent = said; stale.hidden = false; }
    }
    tellTimes();
  }

  addButtons();
  tellTimes();
  byId("apply").hidden = byId("all").hidden = true;
  form.addEventListener("input", filterNow);
  form.addEventListener("submit", (event) => { event.preventDefault(); filterNow(); });
  if (location.search) update(); // the server left out what the filter hides
  setInterval(() => { if (!document.hidden) update(); }, 12000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) update(); });
})();
