// Numbers, sentences and tables beside the picture.

const text = (tag, words, kind) => {
  const element = document.createElement(tag);
  element.textContent = words;
  if (kind) element.className = kind;
  return element;
};

const number = (value, digits) => value.toFixed(digits).replace("-", "−");

export function showFacts(list, facts) {
  list.replaceChildren(...facts.map((fact) => {
    const group = document.createElement("div");
    const value = text("dd", `${number(fact.value, fact.digits)}${fact.unit ? ` ${fact.unit}` : ""}`);
    value.dataset.fact = fact.name;
    group.append(text("dt", fact.label), value, text("dd", fact.words, "words"));
    return group;
  }));
}

export function showAtoms(details, table, atoms) {
  const known = atoms.filter((atom) => atom.charge !== null || atom.error !== null);
  details.hidden = known.length === 0;
  const charges = atoms.some((atom) => atom.charge !== null);
  const head = document.createElement("tr");
  const columns = ["Atom", ...(charges ? ["Charge / e"] : []), "Expected error / e"];
  head.append(...columns.map((words) => Object.assign(text("th", words), { scope: "col" })));
  const rows = atoms.map((atom, index) => {
    const row = document.createElement("tr");
    row.append(Object.assign(text("th", `${atom.element}${index + 1}`), { scope: "row" }));
    if (charges) row.append(text("td", atom.charge === null ? "" : signed(atom.charge)));
    row.append(text("td", atom.error === null ? "" : number(atom.error, 4)));
    return row;
  });
  table.replaceChildren(head, ...rows);
}

// As chemists write it.
export const formula = (words) => words.replace(/\d/g, (digit) => "₀₁₂₃₄₅₆₇₈₉"[digit]);

const signed = (value) => `${value > 0 ? "+" : ""}${number(value, 2)}`;

export function showNotes(list, { warnings, notes }) {
  list.replaceChildren(
    ...warnings.map((words) => text("li", words, "warning")),
    ...notes.map((words) => text("li", sentence(words))),
  );
}

const sentence = (words) => words.charAt(0).toUpperCase() + words.slice(1) + (/[.!?]$/.test(words) ? "" : ".");

// What a person who does not see the picture needs to know.
export function summaryOf(result, caption, inside) {
  if (!result) return "";
  const count = result.atoms.length === 1 ? "one atom" : `${result.atoms.length} atoms`;
  const parts = [`${result.name}: ${formula(result.formula)}, ${count}${result.periodic ? " in the cell of a crystal" : ""}.`];
  const fact = (name) => result.facts.find((one) => one.name === name);
  if (fact("electrons")) parts.push(`${number(fact("electrons").value, 2)} electrons.`);
  if (fact("dipole")) parts.push(`Dipole moment ${number(fact("dipole").value, 2)} debye.`);
  if (caption) parts.push(`Shown: ${caption.charAt(0).toLowerCase()}${caption.slice(1)}${inside ? `; ${inside}` : ""}.`);
  return parts.join(" ");
}
