"""Reference calculations: from a structure to its DFT density with an open program."""
