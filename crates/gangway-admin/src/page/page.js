// Fetches parts of the view again when something has changed, and when a filter is written into.
//
// Parts are rendered on the server alone: this script asks for them by `?fragment=` and changes what differs. It keeps
// nothing, and the view works without it.
"use strict";
(() => {
  const live = document.getElementById("live");
  const events = document.documentElement.dataset.events;
  // The time between two requests for parts, in milliseconds.
  const pause = 1000;
  // Without events, all parts are asked for once in this time.
  const turn = 5000;
  let source = null;
  let timer = 0;

  const say = (word) => {
    if (live.textContent !== word) live.textContent = word;
    live.className = word.replaceAll(" ", "-");
  };

  // Makes `old` equal to `now`, and leaves alone what is equal: focus, selection and what is unfolded stay.
  const patch = (old, now) => {
    if (old.isEqualNode(now)) return;
    if (old.nodeName !== now.nodeName || old.nodeType !== 1) {
      old.replaceWith(now);
      return;
    }
    for (const { name } of [...old.attributes]) {
      if (name !== "open" && !now.hasAttribute(name)) old.removeAttribute(name);
    }
    for (const { name, value } of now.attributes) {
      if (name !== "open" && old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    const [before, after] = [[...old.childNodes], [...now.childNodes]];
    after.forEach((node, at) => (at < before.length ? patch(before[at], node) : old.append(node)));
    before.slice(after.length).forEach((node) => node.remove());
  };

  // The parts to ask for next. One request asks for all of them, and the next one follows after a pause.
  const due = new Set();
  let isBusy = false;

  const ask = async (names) => {
    const url = new URL(location.href);
    url.searchParams.set("fragment", names.join());
    url.hash = "";
    try {
      const answer = await fetch(url, { cache: "no-store", headers: { accept: "text/html" } });
      if (!answer.ok) throw new Error(answer.statusText);
      const now = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const name of names) {
        const [old, part] = [document.getElementById(name), now.getElementById(name)];
        if (old && part) patch(old, document.adoptNode(part));
      }
      if (!source) say(events ? "" : "every 5 s");
    } catch {
      say("not reachable");
    }
  };

  const refresh = async (parts) => {
    parts.forEach((part) => due.add(part.id));
    if (isBusy || due.size === 0) return;
    isBusy = true;
    const names = [...due];
    due.clear();
    await ask(names);
    setTimeout(() => {
      isBusy = false;
      if (!document.hidden) refresh([]);
    }, pause);
  };

  const parts = () => [...document.querySelectorAll("[data-live]")];
  const refreshAll = () => refresh(parts());

  const poll = () => {
    clearInterval(timer);
    timer = setInterval(refreshAll, turn);
  };

  const follow = () => {
    if (!events) return poll();
    source = new EventSource(events);
    source.onopen = () => {
      clearInterval(timer);
      say("live");
      // What changed before is in no event.
      refreshAll();
    };
    source.onerror = () => {
      if (source?.readyState !== EventSource.CLOSED) return say("not reachable");
      source = null;
      poll();
    };
    for (const name of ["table", "diagnostics", "change", "request", "log", "figures"]) {
      source.addEventListener(name, () =>
        refresh(parts().filter((part) => part.dataset.live.split(" ").includes(name))));
    }
  };

  // A tab that nobody sees costs nothing.
  const rest = () => {
    clearInterval(timer);
    source?.close();
    source = null;
  };
  document.addEventListener("visibilitychange", () => {
    rest();
    if (document.hidden) return;
    refreshAll();
    follow();
  });
  if (parts().length > 0 && !document.hidden) follow();

  for (const form of document.querySelectorAll("form[data-filter]")) {
    let waiting = 0;
    const apply = () => {
      const url = new URL(location.href);
      url.search = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
      history.replaceState(null, "", url);
      ask([form.dataset.filter]);
    };
    form.classList.add("scripted");
    form.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(apply, 150);
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      apply();
    });
  }

  document.addEventListener("keydown", (event) => {
    const field = document.querySelector("form[data-filter] input[type=search]");
    const isWriting = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.nodeName);
    if (event.key === "/" && field && !isWriting && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      field.focus();
    }
  });
})();
