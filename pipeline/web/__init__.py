"""The annotated picture while a run is in progress: as a web page, or in a window."""
