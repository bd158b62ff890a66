/* Keeps the first page of the list of requests current. Without it, the list is a list that is reloaded by hand. */

const ROWS = 50;
const PAUSE = 500; // milliseconds between two looks at the server
const LONGEST_WAIT = 30_000;

const live = document.getElementById("of-live");
const changed = new Set();
let fetching = false;
let wait = 1000;

function watch() {
    const url = new URL("../../live/requests/", location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url);
    socket.onopen = () => {
        live.hidden = false;
        wait = 1000;
    };
    socket.onmessage = (message) => {
        for (const id of JSON.parse(message.data).ids) changed.add(id);
        refresh();
    };
    socket.onclose = () => {
        live.hidden = true;
        setTimeout(watch, wait);
        wait = Math.min(2 * wait, LONGEST_WAIT);
    };
}

async function refresh() {
    if (fetching || document.hidden || !changed.size) return;
    fetching = true;
    const ids = [...changed].sort().slice(-ROWS);
    changed.clear();
    try {
        const query = new URLSearchParams(location.search);
        query.set("ids", ids.join());
        const answer = await fetch(`rows/?${query}`, { redirect: "error" });
        if (answer.ok) show(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {
        live.hidden = true; // the server is gone, or this user is; the socket tells when it is back
    }
    setTimeout(() => {
        fetching = false;
        refresh();
    }, PAUSE);
}

function rowsOf(page) {
    return [...page.querySelectorAll("#result_list > tbody")];
}

function idOf(row) {
    return row.querySelector("a[href*='/change/']")?.getAttribute("href").match(/([0-9a-f-]{36})\/change/)?.[1];
}

function show(page) {
    const table = document.getElementById("result_list");
    if (!table) {
        if (rowsOf(page).length) location.reload(); // the first row of a list that was empty
        return;
    }
    const shown = new Map(rowsOf(document).map((row) => [idOf(row), row]));
    for (const row of rowsOf(page).reverse()) {
        const old = shown.get(idOf(row));
        if (old) {
            old.replaceWith(row);
        } else {
            row.classList.add("of-new");
            const first = rowsOf(document)[0];
            first ? first.before(row) : table.append(row);
        }
    }
    rowsOf(document).forEach((row, number) => {
        row.classList.toggle("bg-base-50", number % 2 === 1);
        row.classList.toggle("dark:bg-white/[.02]", number % 2 === 1);
        if (number >= ROWS) row.remove();
    });
}

// New requests belong at the top of the first page of a list in its own order, and nowhere else.
const asked = new URLSearchParams(location.search);
if (!asked.has("o") && (asked.get("p") ?? "1") === "1") {
    document.addEventListener("visibilitychange", refresh);
    watch();
}
