"use strict";
// Sorting, filtering and paging only: everything is drawn already, and is all there without this script.
(() => {
  document.documentElement.classList.add("scripted");
  const PAGE = 60;
  const value = (item, key) => {
    const text = item.dataset[key];
    return text === undefined || text === "" ? null : Number(text);
  };
  for (const section of document.querySelectorAll("[data-columns]")) {
    const items = [...section.querySelectorAll(":scope > .column")];
    const bar = document.querySelector(".bar");
    const pager = section.querySelector(":scope > .pager");
    const find = bar.querySelector("[name=find]");
    const kind = bar.querySelector("[name=kind]");
    const sort = bar.querySelector("[name=sort]");
    const only = bar.querySelector("[name=only]");
    const shown = section.querySelector(".shown");
    const names = items.map((item) => item.querySelector("h3").textContent.toLowerCase());
    const order = new Map(items.map((item, index) => [item, index]));
    let page = 0;
    const show = () => {
      const words = find.value.trim().toLowerCase();
      const list = items.filter((item, index) =>
        (!words || names[index].includes(words)) &&
        (!kind.value || item.dataset.kind === kind.value) &&
        (!only.checked || item.dataset.notable === "1"));
      const key = sort.value;
      if (key === "name") {
        list.sort((x, y) => (names[order.get(x)] < names[order.get(y)] ? -1 : 1));
      } else if (key) {
        list.sort((x, y) => (value(y, key) ?? -Infinity) - (value(x, key) ?? -Infinity) || order.get(x) - order.get(y));
      }
      const pages = Math.max(1, Math.ceil(list.length / PAGE));
      page = Math.min(Math.max(page, 0), pages - 1);
      const visible = list.slice(page * PAGE, (page + 1) * PAGE);
      const seen = new Set(visible);
      for (const item of items) item.hidden = !seen.has(item);
      for (const item of visible) section.insertBefore(item, pager);
      pager.classList.toggle("on", pages > 1);
      pager.querySelector("span").textContent = `${page + 1} of ${pages}`;
      pager.querySelector("[data-step='-1']").disabled = page === 0;
      pager.querySelector("[data-step='1']").disabled = page === pages - 1;
      shown.textContent = list.length === items.length ? "" : `${list.length} of ${items.length} shown`;
    };
    for (const input of [find, kind, sort, only]) {
      input.addEventListener("input", () => { page = 0; show(); });
    }
    for (const button of pager.querySelectorAll("button")) {
      button.addEventListener("click", () => {
        page += Number(button.dataset.step);
        show();
        section.scrollIntoView();
      });
    }
    const follow = () => {
      const wanted = items.findIndex((item) => item.id && `#${item.id}` === location.hash);
      if (wanted < 0) return;
      find.value = kind.value = sort.value = "";
      only.checked = false;
      page = Math.floor(wanted / PAGE);
      show();
      items[wanted].scrollIntoView();
    };
    addEventListener("hashchange", follow);
    show();
    follow();
  }
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const headings = [...table.tHead.rows[0].cells];
    const cell = (row, index) => {
      const text = row.cells[index].dataset.sort ?? row.cells[index].textContent;
      return text === "" ? null : Number.isNaN(Number(text)) ? text : Number(text);
    };
    headings.forEach((heading, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const down = heading.getAttribute("aria-sort") !== "descending";
        for (const other of headings) other.removeAttribute("aria-sort");
        heading.setAttribute("aria-sort", down ? "descending" : "ascending");
        const sign = down ? -1 : 1;
        const sorted = [...rows].sort((x, y) => {
          const [left, right] = [cell(x, index), cell(y, index)];
          if (left === null || right === null) return (left === null) - (right === null);
          return left < right ? -sign : left > right ? sign : 0;
        });
        body.append(...sorted);
      });
    });
  }
})();
