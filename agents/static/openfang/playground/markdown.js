// Markdown as elements: the part of it that models write. Text becomes text nodes, so an answer cannot bring HTML in.

import { element } from "./dom.js";

const INLINE =
  /(`+)(.+?)\1|\*\*(.+?)\*\*|__(.+?)__|\*([^\s*](?:.*?[^\s*])?)\*|(?<!\w)_([^\s_](?:.*?[^\s_])?)_(?!\w)|~~(.+?)~~|\[([^\]]+)\]\(([^\s)]+)[^)]*\)|(https?:\/\/[^\s<>"']*[^\s<>"'.,;:!?)])/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const FENCE = /^\s*(`{3,}|~{3,})\s*([\w+#.-]*)/;
const STARTS_BLOCK = /^(#{1,6}\s|\s*>|\s*(`{3,}|~{3,})|\s*([-*+]|\d{1,9}[.)])\s|\s*([-*_]\s*){3,}$)/;

export function markdown(text) {
  const fragment = document.createDocumentFragment();
  fragment.append(...blocks(text.replaceAll("\r", "").split("\n")));
  return fragment;
}

function* blocks(lines) {
  let at = 0;
  while (at < lines.length) {
    const line = lines[at];
    const heading = line.match(/^(#{1,6})\s+(.*?)\s*#*$/);
    if (!line.trim()) {
      at += 1;
    } else if (FENCE.test(line)) {
      const [code, next] = fenced(lines, at);
      yield code;
      at = next;
    } else if (heading) {
      // The page has headings of its own above level 4.
      yield element(`h${Math.min(6, heading[1].length + 3)}`, {}, ...inline(heading[2]));
      at += 1;
    } else if (/^\s*([-*_]\s*){3,}$/.test(line)) {
      yield element("hr");
      at += 1;
    } else if (/^\s*>/.test(line)) {
      const end = endOf(lines, at, (next) => /^\s*>/.test(next));
      yield element("blockquote", {}, ...blocks(lines.slice(at, end).map((next) => next.replace(/^\s*>\s?/, ""))));
      at = end;
    } else if (ITEM.test(line)) {
      const end = endOf(lines, at, (next, number) => continuesList(lines, next, number));
      yield list(lines.slice(at, end));
      at = end;
    } else if (line.includes("|") && /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/.test(lines[at + 1] ?? "")) {
      const end = endOf(lines, at, (next) => next.includes("|"));
      yield table(lines.slice(at, end));
      at = end;
    } else {
      const end = endOf(lines, at, (next) => next.trim() && !STARTS_BLOCK.test(next));
      yield element("p", {}, ...withBreaks(lines.slice(at, end)));
      at = end;
    }
  }
}

function endOf(lines, at, belongs) {
  let end = at + 1;
  while (end < lines.length && belongs(lines[end], end)) end += 1;
  return end;
}

function fenced(lines, at) {
  const [, fence, language] = lines[at].match(FENCE);
  let end = at + 1;
  while (end < lines.length && !lines[end].trim().startsWith(fence)) end += 1;
  const code = element("code", { textContent: lines.slice(at + 1, end).join("\n") });
  return [element("pre", { tabIndex: 0, "data-language": language }, code), end + 1];
}

function continuesList(lines, line, number) {
  if (!line.trim()) return ITEM.test(lines[number + 1] ?? "") || /^\s{2,}\S/.test(lines[number + 1] ?? "");
  return ITEM.test(line) || /^\s{2,}/.test(line) || (lines[number - 1].trim() && !STARTS_BLOCK.test(line));
}

function list(lines) {
  const [, indent, marker] = lines[0].match(ITEM);
  const ordered = /\d/.test(marker);
  const made = element(ordered ? "ol" : "ul", ordered ? { start: parseInt(marker, 10) } : {});
  let item = [];
  const flush = () => item.length && made.append(element("li", {}, ...tight([...blocks(item)])));
  for (const line of lines) {
    const found = line.match(ITEM);
    if (found && found[1].length <= indent.length) {
      flush();
      item = [found[3]];
    } else {
      item.push(line.replace(/^\s{1,4}/, ""));
    }
  }
  flush();
  return made;
}

/** An item of one paragraph is its text. */
function tight(children) {
  return children[0]?.tagName === "P" ? [...children[0].childNodes, ...children.slice(1)] : children;
}

function table(lines) {
  const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
  const row = (line, tag) => element("tr", {}, ...cells(line).map((cell) => element(tag, {}, ...inline(cell))));
  const body = lines.slice(2).map((line) => row(line, "td"));
  const made = element("table", {}, element("thead", {}, row(lines[0], "th")), element("tbody", {}, ...body));
  return element("div", { className: "of-table", tabIndex: 0 }, made);
}

function withBreaks(lines) {
  return lines.flatMap((line, number) => [...(number ? [/(\s{2}|\\)$/.test(lines[number - 1]) ? element("br") : "\n"] : []), ...inline(line.trim())]);
}

function inline(text) {
  const parts = [];
  let rest = text;
  for (let found = rest.match(INLINE); found; found = rest.match(INLINE)) {
    const [whole, , code, strong, strong2, em, em2, gone, label, address, bare] = found;
    if (found.index) parts.push(rest.slice(0, found.index));
    if (code !== undefined) parts.push(element("code", { textContent: code.trim() || code }));
    else if (strong ?? strong2) parts.push(element("strong", {}, ...inline(strong ?? strong2)));
    else if (em ?? em2) parts.push(element("em", {}, ...inline(em ?? em2)));
    else if (gone) parts.push(element("del", {}, ...inline(gone)));
    else parts.push(link(address ?? bare, label ?? bare));
    rest = rest.slice(found.index + whole.length);
  }
  return rest ? [...parts, rest] : parts;
}

function link(address, label) {
  if (!/^(https?:|mailto:)/i.test(address)) return label;
  return element("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, label);
}
