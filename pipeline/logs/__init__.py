"""The log of a run: its lines, how a stage sends them, how noise is summed, and where they go.

Code logs with `logging.getLogger(__name__)`. A record may carry `extra={"stream": NAME}` where the process serves
several streams, and `extra={"origin": PROCESS}` where it is about another process.
"""
