"""What is told of a run: artifacts of failures, with secrets masked."""
