'use strict';
const {images, classes, colours} = JSON.parse(document.getElementById('data').textContent);
const PAGE = 60;
const SVG = 'http://www.w3.org/2000/svg';
const field = id => document.getElementById(id);
let page = 0;

function node(tag, text, ...children) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

function shape(tag, attributes, index) {
  const made = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (index !== undefined) {
    made.setAttribute('stroke', colours[index]);
    const title = document.createElementNS(SVG, 'title');
    title.textContent = classes[index];
    made.append(title);
  }
  return made;
}

// Boxes and outlines over an image, in its own pixels.
function overlay(image) {
  const [height, width] = image.size;
  const svg = shape('svg', {viewBox: `0 0 ${width} ${height}`, 'aria-hidden': 'true'});
  for (const [x, y, w, h, index] of image.boxes) {
    svg.append(shape('rect', {x, y, width: w, height: h}, index));
  }
  for (const [index, d] of image.outlines) svg.append(shape('path', {d}, index));
  return svg;
}

function picture(image) {
  const address = 'images/' + image.file.split('/').map(encodeURIComponent).join('/');
  const img = node('img');
  img.loading = 'lazy';
  img.decoding = 'async';
  [img.height, img.width] = image.size;
  img.alt = `${image.file}: ${image.classes.map(index => classes[index]).join(', ')}`;
  img.src = address;
  const link = node('a', '', img, overlay(image));
  link.className = 'picture';
  link.href = address;
  return link;
}

function names(image) {
  const line = node('p');
  line.className = 'names';
  for (const index of image.classes) {
    const name = node('span', classes[index]);
    name.style.borderColor = colours[index];
    line.append(name);
  }
  return line;
}

// The nearest real images, nearest first.
function neighbours(image) {
  const row = node('p');
  for (const [file, name, distance] of image.near) {
    const img = node('img');
    img.loading = 'lazy';
    img.src = file;
    img.alt = `real image ${name}`;
    img.title = `${name}, distance ${distance}`;
    row.append(img);
  }
  const gaps = image.near.map(([, , distance]) => Number(distance.toPrecision(3)));
  const far = gaps.length > 1 ? ` to ${gaps[gaps.length - 1]}` : '';
  const block = node('div', '', node('p', `nearest real images: ${gaps[0]}${far}`), row);
  block.className = 'near';
  return block;
}

function facts(image) {
  const list = node('dl');
  const sources = (image.sources || []).join(', ');
  const all = {file: image.file, seed: image.seed, 'label from': image.label_source,
               'real images': sources, nearest: image.near.map(([, name]) => name).join(', ')};
  for (const [key, value] of Object.entries(all)) {
    if (value) list.append(node('dt', key), node('dd', value));
  }
  const more = node('details', '', node('summary', 'more'), list);
  more.className = 'more';
  return more;
}

function tile(image) {
  const head = node('p', `#${image.slot}`);
  if (score(image) !== null) head.append(`  score ${score(image).toFixed(3)}`);
  if (!image.accepted) {
    const fate = node('span', '  rejected');
    fate.className = 'fate';
    head.append(fate);
  }
  const caption = node('figcaption', '', head, names(image));
  if (image.prompt) caption.append(node('p', image.prompt));
  if (image.near.length) caption.append(neighbours(image));
  caption.append(facts(image));
  const figure = node('figure', '', picture(image), caption);
  if (!image.accepted) figure.className = 'rejected';
  return figure;
}

const score = image => typeof image.score === 'number' ? image.score : null;
const gap = image => image.near.length ? image.near[0][2] : null;

function chosen() {
  const number = id => field(id).value === '' ? null : Number(field(id).value);
  const [low, high, index] = [number('low'), number('high'), number('class')];
  const fate = field('fate').value;
  const words = field('text').value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = images.filter(image => {
    const text = [image.file, image.prompt, image.seed, ...(image.sources || []),
                  ...image.near.map(([, name]) => name),
                  ...image.classes.map(own => classes[own])].join(' ').toLowerCase();
    return (index === null || image.classes.includes(index))
      && (fate === '' || String(image.accepted) === fate)
      && (low === null || (score(image) !== null && score(image) >= low))
      && (high === null || (score(image) !== null && score(image) <= high))
      && words.every(word => text.includes(word));
  });
  const order = field('order').value;
  if (order === 'slot') return found;
  const [value, sign] = {down: [score, -1], up: [score, 1], near: [gap, 1], far: [gap, -1]}[order];
  // images without a value stay at the end
  const known = image => value(image) !== null;
  return found.sort((a, b) => known(b) - known(a) || (known(a) ? sign * (value(a) - value(b)) : 0));
}

function show() {
  const found = chosen();
  const pages = Math.max(1, Math.ceil(found.length / PAGE));
  page = Math.min(Math.max(page, 0), pages - 1);
  field('images').replaceChildren(...found.slice(page * PAGE, (page + 1) * PAGE).map(tile));
  field('shown').textContent = `${found.length} of ${images.length} images, page ${page + 1} of ${pages}`;
  field('back').disabled = page === 0;
  field('on').disabled = page === pages - 1;
}

for (const id of ['class', 'fate', 'low', 'high', 'text', 'order']) {
  field(id).addEventListener('input', () => { page = 0; show(); });
}
for (const [id, name] of [['labels', 'hide'], ['real', 'alone']]) {
  field(id)?.addEventListener('input', () => {
    field('images').classList.toggle(name, !field(id).checked);
  });
}
for (const [id, step] of [['back', -1], ['on', 1]]) {
  field(id).addEventListener('click', () => { page += step; show(); scrollTo(0, 0); });
}
show();
