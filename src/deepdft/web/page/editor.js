// The molecule editor, loaded when it is first opened.

let editor = null;
let library = null;

export async function openEditor(dialog, place, smiles) {
  dialog.showModal();
  library ??= await import("./editor/openchemlib.js");
  editor ??= new library.CanvasEditor(place, { initialMode: "molecule" });
  if (smiles) {
    try {
      editor.setMolecule(library.Molecule.fromSmiles(smiles));
    } catch {
      // What cannot be drawn is not drawn; the field on top still has it.
    }
  }
}

// The SMILES of what was drawn, or "" where nothing was.
export function drawnSmiles() {
  const molecule = editor?.getMolecule();
  return molecule && molecule.getAllAtoms() ? molecule.toIsomericSmiles() : "";
}

// For tests and for links: put a molecule into the open editor.
export function setDrawing(smiles) {
  editor.setMolecule(library.Molecule.fromSmiles(smiles));
}
