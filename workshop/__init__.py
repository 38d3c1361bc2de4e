"""The machinery of the workshop: replay lessons, run the learner's app, check its telemetry, explain what is missing."""
