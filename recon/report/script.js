"use strict";
// Everything can be read without this script; it adds dragging, enlarging and reading off charts.

const make = (tag, cls, text = "") => {
  const node = document.createElement(tag);
  node.className = cls;
  node.textContent = text;
  return node;
};

function enliven(split) {
  const range = split.querySelector("input");
  const set = (percent) => {
    range.value = Math.max(0, Math.min(100, percent));
    split.style.setProperty("--at", range.value + "%");
  };
  const follow = (event) => {
    const box = split.getBoundingClientRect();
    set((100 * (event.clientX - box.left)) / box.width);
  };
  split.addEventListener("pointerdown", (event) => {
    split.setPointerCapture(event.pointerId);
    range.focus({ preventScroll: true });
    follow(event);
  });
  split.addEventListener("pointermove", (event) => {
    if (split.hasPointerCapture(event.pointerId)) follow(event);
  });
  range.addEventListener("input", () => set(range.value));
}

function makeSplit(truth, render) {
  const split = document.querySelector("#split-template").content.firstElementChild.cloneNode(true);
  const images = split.querySelectorAll("img");
  [images[0].src, images[1].src] = [truth.src, render.src];
  split.querySelector(".tag.right").textContent = render.dataset.label;
  enliven(split);
  return split;
}

function makeImage(source) {
  const image = make("img", "");
  image.src = source.src;
  image.alt = source.alt;
  return image;
}

const box = document.querySelector("dialog");
const views = [...document.querySelectorAll(".view")].filter((view) => view.querySelector("img"));
let at = 0;
let mode = "";

// What can be shown of a view: [name of the mode, how to make it].
function modes(view) {
  const images = [...view.querySelectorAll("img")];
  const truth = images.find((image) => image.dataset.kind === "truth");
  const renders = images.filter((image) => image.dataset.kind === "render");
  const splits = truth
    ? renders.map((render) => [
        renders.length > 1 ? `Split: ${render.dataset.label}` : "Split",
        () => makeSplit(truth, render),
      ])
    : [];
  return splits.concat(images.map((image) => [image.dataset.label, () => makeImage(image)]));
}

function show(index, wanted) {
  at = (index + views.length) % views.length;
  const view = views[at];
  const all = modes(view);
  const chosen = all.find(([name]) => name === wanted) || all[0];
  mode = chosen[0];
  const title = box.querySelector("h3");
  title.replaceChildren(
    view.querySelector("h3").textContent,
    make("small", "", view.querySelector("header p").textContent),
  );
  const buttons = all.map(([name]) => {
    const button = make("button", "", name);
    button.type = "button";
    button.setAttribute("aria-pressed", String(name === mode));
    button.addEventListener("click", () => show(at, name));
    return button;
  });
  box.querySelector(".modes").replaceChildren(...buttons);
  const shown = chosen[1]();
  const image = view.querySelector("img");
  shown.style.setProperty("--ratio", image.getAttribute("width") / image.getAttribute("height"));
  box.querySelector(".stage").replaceChildren(shown);
  if (!box.open) box.showModal();
}

views.forEach((view, index) => {
  view.querySelectorAll(".pics button").forEach((button) => {
    const { kind, label } = button.querySelector("img").dataset;
    const wanted = kind === "render" ? "" : label;
    button.addEventListener("click", () => show(index, wanted));
  });
});
if (box) {
  box.querySelector(".previous").addEventListener("click", () => show(at - 1, mode));
  box.querySelector(".next").addEventListener("click", () => show(at + 1, mode));
  box.querySelector(".close").addEventListener("click", () => box.close());
  box.addEventListener("keydown", (event) => {
    if (event.target.matches("input")) return;
    if (event.key === "ArrowLeft") show(at - 1, mode);
    if (event.key === "ArrowRight") show(at + 1, mode);
  });
}
document.querySelectorAll(".split").forEach(enliven);

document.querySelectorAll(".chart svg").forEach((svg) => {
  const points = JSON.parse(svg.dataset.points);
  const caption = svg.parentNode.querySelector("b");
  const last = [...caption.childNodes];
  const svgNode = (tag, cls) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    node.setAttribute("class", cls);
    return node;
  };
  const rule = svgNode("line", "rule");
  const mark = svgNode("circle", "mark");
  mark.setAttribute("r", 5);
  svg.addEventListener("pointermove", (event) => {
    const frame = svg.getBoundingClientRect();
    const x = ((event.clientX - frame.left) / frame.width) * svg.viewBox.baseVal.width;
    const y = ((event.clientY - frame.top) / frame.height) * svg.viewBox.baseVal.height;
    // Across counts most; up and down decides between lines.
    const far = (point) => 4 * Math.abs(point[0] - x) + Math.abs(point[1] - y);
    const near = points.reduce((a, b) => (far(b) < far(a) ? b : a));
    mark.setAttribute("cx", near[0]);
    mark.setAttribute("cy", near[1]);
    rule.setAttribute("x1", near[0]);
    rule.setAttribute("x2", near[0]);
    rule.setAttribute("y1", near[1]);
    rule.setAttribute("y2", svg.viewBox.baseVal.height - 28);
    svg.append(rule, mark);
    caption.textContent = near[2];
  });
  svg.addEventListener("pointerleave", () => {
    rule.remove();
    mark.remove();
    caption.replaceChildren(...last);
  });
});
