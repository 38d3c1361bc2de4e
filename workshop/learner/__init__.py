"""What is the learner's: `src/` and its copies, progress, the quiz, checks at every save."""
