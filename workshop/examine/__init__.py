"""An app of the learner's own, wherever it lies: started by its own command line, asked, and judged by what it tells."""
