"""The verbs of the command line that do not run the pipeline itself, one module each."""
