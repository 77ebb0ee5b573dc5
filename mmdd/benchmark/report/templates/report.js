'use strict';
// Sorting: numbers by data-value, text by itself; cells without a value stay at the end.
for (const table of document.querySelectorAll('table.sortable')) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  heads.forEach((head, column) => head.firstElementChild.addEventListener('click', () => {
    const down = head.getAttribute('aria-sort') === 'ascending';
    for (const other of heads) other.removeAttribute('aria-sort');
    head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
    const key = row => {
      const cell = row.cells[column];
      return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
    };
    const empty = row => row.cells[column].textContent === '-';
    const order = (a, b) => {
      if (empty(a) !== empty(b)) return empty(a) ? 1 : -1;
      const [x, y] = [key(a), key(b)];
      const result = typeof x === 'number' && typeof y === 'number'
        ? x - y : String(x).localeCompare(String(y), 'en', {numeric: true});
      return down ? -result : result;
    };
    body.append(...[...body.rows].sort(order));
  }));
}
addEventListener('beforeprint', () => {
  for (const details of document.querySelectorAll('details')) details.open = true;
});
