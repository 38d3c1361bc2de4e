"""What a checkpoint can say: sandbox, app, outputs, fake servers, verbs by signal."""
