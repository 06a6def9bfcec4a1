"""What is seen while a run goes on: a page with the annotated picture, or a window."""
