"""What is told of a run: artefacts of failures, with secrets masked."""
