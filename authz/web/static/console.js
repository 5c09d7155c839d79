// Makes lists of the console answer while one types. Without it, the button of the same form does the same.

const WAIT = 250;
const MARKS = ["aria-invalid", "aria-describedby"];

// What is wrong is said beside the field as on a whole page; the field itself stays, for somebody is typing there.
const mark = (control, found) => {
  if (!found) return;
  for (const name of MARKS) {
    if (found.hasAttribute(name)) control.setAttribute(name, found.getAttribute(name));
    else control.removeAttribute(name);
  }
  control.parentElement.querySelector(".field-wrong")?.remove();
  control.parentElement.append(...found.parentElement.querySelectorAll(".field-wrong"));
};

for (const form of document.querySelectorAll("form[data-live]")) {
  // Of several lists on a page each but one has a name, which begins its parameters.
  const list = form.dataset.live;
  const own = (name) => (list ? `${list}-${name}` : name);
  const region = `[data-live-region="${list}"]`;
  let timer;
  let latest = 0;
  const search = async () => {
    // Other lists of the page stay where they were gone on to meanwhile, which their hidden fields here do not know.
    const query = new URLSearchParams(location.search);
    for (const once of ["done", own("after")]) query.delete(once);
    for (const [name, value] of new FormData(form)) {
      if (form.elements[name].type !== "hidden" || !query.has(name)) query.set(name, value);
    }
    const url = new URL(form.getAttribute("action"), location);
    url.search = query;
    const mine = ++latest;
    const response = await fetch(url, { headers: { accept: "text/html" } });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    if (mine !== latest) return;
    const found = page.querySelector(region);
    const shown = document.querySelector(region);
    // The session may have ended meanwhile: then the whole page is asked for, and says so.
    if (!found || !shown) return location.assign(url);
    shown.replaceChildren(...found.childNodes);
    for (const control of form.querySelectorAll(".field [id][name]")) mark(control, page.getElementById(control.id));
    history.replaceState(null, "", url);
  };
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(search, WAIT);
  });
}

// On a wide screen the menu is always there; a phone keeps it folded.
const wide = matchMedia("(min-width: 60rem)");
const menu = document.querySelector("details.menu");
const unfold = () => {
  if (menu && wide.matches) menu.open = true;
};
wide.addEventListener("change", unfold);
unfold();
