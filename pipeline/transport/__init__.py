"""Messages between the processes, and frames in shared memory."""
